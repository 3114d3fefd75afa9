"""The short way grants what the general way grants, with the same words and the same traces; or it does nothing."""

from __future__ import annotations

import dataclasses
import hashlib
import sqlite3
import time
from base64 import b64encode

import pytest
from auth_scene import Client, Scene, plain
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailhooks.logins import LoginRules
from mailhooks.passwords import hash_password
from mailhooks.store import Service, State
from mailhooks.throttle import Settings

SECRET = "secret"
SALTED = "{SSHA512}" + b64encode(hashlib.sha512(b"secretsalt").digest() + b"salt").decode()
SLOW = hash_password(SECRET)
NOW = time.time()
ACCOUNTS = {
    "plain": {"password": "{PLAIN}secret"},
    "salted": {"password": SALTED},
    "lower": {"password": SALTED.replace("SSHA512", "ssha512")},
    "broken": {"password": SALTED[:-3]},
    "slow": {"password": SLOW},
    "verified": {"password": SLOW},
    "nopassword": {},
    "nologin": {"password": SALTED, "state": State.NO_LOGIN},
    "nosend": {"password": SALTED, "state": State.NO_SEND},
    "sendonly": {"password": SALTED, "state": State.SEND_ONLY},
    "closed": {"password": SALTED, "state": State.CLOSED},
    "imap": {"password": SALTED, "allow": frozenset({Service.IMAP})},
    "nothing": {"password": SALTED, "allow": frozenset()},
    "inside": {"password": SALTED, "networks": ["192.0.2.0/24"]},
    "app": {"password": SALTED},
    "throttled": {"password": SALTED},
    "ünï": {"password": SALTED},
    "a b": {"password": SALTED},
    "a*b": {"password": SALTED},
}
NAMES = [
    *["plain", "salted", "verified"] * 4,
    *ACCOUNTS,
    "nobody",
    "alias",
    "Plain",
    '"plain"',
    "salted*plain",
    "plain+work",
]
MORE = [
    *["", "\tnologin", "\trip=192.0.2.7", "\tnologin\trip=198.51.100.1", "\trip=rubbish", "\trip=198.18.0.1"],
    "\tnologin\tlip=127.0.0.1\trip=127.0.0.1\tsecured",
    "\tnologin\tlip=192.0.2.1\trip=192.0.2.1\tsecured",  # in clear
    "\tfinal-resp-ok\tsecured=tls\tsession=a/b+\tlip=192.0.2.1\trip=2001:db8::1\tlport=143\trport=40000",
]


@pytest.fixture(params=["alone", "throttle", "masters", "aliases", "rehash"])
def scene(request, store, store_url, key_file):
    rules = {"masters": LoginRules(masters=frozenset({"plain@e.test"})), "aliases": LoginRules(alias_login=True)}
    more = {"rules": rules[request.param]} if request.param in rules else {}
    throttle = Settings() if request.param != "alone" else None
    scene = Scene(store, store_url, key_file, throttle=throttle, rehash=request.param == "rehash", **more)
    with store.change("test") as change:
        change.add_domain("e.test")
        for name, fields in ACCOUNTS.items():
            address = f'"{name}"@e.test' if " " in name else f"{name}@e.test"
            given_ = dict(fields)
            networks = given_.pop("networks", None)
            change.add_mailbox(address, **given_)
            if networks:
                change.set_mailbox(address, networks=networks)
        change.add_app_password("app@e.test", label="phone", hash="{PLAIN}apppassword")
        change.add_alias("alias@e.test", ["plain@e.test"])
    store.renew()
    scene.cache.add("verified@e.test", SECRET, SLOW, scene.now())
    if scene.throttling:
        scene.throttling.renewed()
        for number in range(40):
            scene.throttling.throttle.begin("throttled@e.test", "192.0.2.7", f"guess{number}", scene.now())
    scene.told = []
    scene.authenticator.tell_policy = lambda *words: scene.told.append(words)
    yield scene
    scene.end()


def traces(scene):
    throttle = scene.throttling and scene.throttling.throttle
    return (
        dict(scene.counters.auth),
        {key: count.value for key, count in scene.login.counters.requests.items() if count.value},
        sum(scene.login.counters.seconds.counts),
        len(scene.pending),
        len(scene.cache),
        throttle and throttle.records,
    )


def difference(before, after):
    counts = {key: after[0][key] - before[0].get(key, 0) for key in after[0] if after[0][key] != before[0].get(key, 0)}
    requests = {key: after[1][key] - before[1].get(key, 0) for key in after[1]}
    return (
        counts,
        {key: each for key, each in requests.items() if each},
        *(a - b for a, b in zip(after[2:4], before[2:4], strict=True)),
    )


@st.composite
def requests(draw):
    login = draw(st.sampled_from(NAMES)) + draw(st.sampled_from(["@e.test", "@E.test", "@elsewhere.test", ""]))
    password = draw(st.sampled_from([SECRET, SECRET, SECRET, "wrong", "apppassword"]))
    service = draw(st.sampled_from(["smtp", "imap", "SIEVE", "doveadm", "submission"]))
    more = draw(st.sampled_from(MORE))
    authzid = draw(st.sampled_from(["", "", "", "plain@e.test"]))
    return f"service={service}{more}\tresp={plain(login, password, authzid)}\n"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200)
@given(asked=requests())
def test_what_it_grants_the_general_way_grants_in_the_same_words_and_with_the_same_traces(scene, asked):
    quick, general = Client(scene.login), Client(scene.login)
    for client in (quick, general):
        client.say("VERSION\t1\t2\nCPID\t10662\n")
    general.protocol._grant = lambda _: None
    line = f"AUTH\t5\tPLAIN\t{asked}".encode()
    scene.told.clear()
    before = traces(scene)
    reply = quick.protocol._quick(line)
    after = traces(scene)
    if not reply:
        assert after == before
    else:
        assert general.say(line) == reply.decode()
        assert difference(after, traces(scene)) == difference(before, after)
        told = len(scene.told)
        assert scene.told[: told // 2] == scene.told[told // 2 :]
    quick.leave()
    general.leave()


def asking(name, *, password=SECRET, more="", service="imap"):
    return f"AUTH\t1\tPLAIN\tservice={service}{more}\tresp={plain(f'{name}@e.test', password)}\n".encode()


def granted(scene, line):
    client = Client(scene.login)
    client.say("VERSION\t1\t2\nCPID\t10662\n")
    return client.protocol._quick(line).decode()


@pytest.mark.parametrize("name", ["plain", "salted", "lower", "verified", "a b"])
def test_an_account_without_limits_goes_the_short_way(scene, name):
    is_left_to_rehash = scene.authenticator.settings.rehash and name != "verified"
    assert granted(scene, asking(name)) == ("" if is_left_to_rehash else f"OK\t1\tuser={name}@e.test\n")


@pytest.mark.parametrize("name", sorted(set(ACCOUNTS) - {"plain", "salted", "lower", "verified", "throttled", "a b"}))
def test_an_account_with_anything_beside_its_password_does_not(scene, name):
    assert granted(scene, asking(name)) == ""


@pytest.mark.parametrize("columns", [{"until": NOW + 3600}, {"until": NOW - 3600}, {"expires": NOW + 3600}])
def test_an_account_that_changes_by_time_does_not(scene, columns):
    with scene.store.change("test") as change:
        for column, value in columns.items():
            change._run(f"UPDATE mailbox SET {column} = ? WHERE address = 'plain@e.test'", (value,))
    scene.store.renew()
    assert granted(scene, asking("plain")) == ""


def test_a_column_of_accounts_that_is_new_is_looked_at_here(store):
    """When this fails: does the new column limit logins? Then ``Reads.password_alone`` has to know it."""
    with sqlite3.connect(store._db.path) as connection:
        columns = {row[1] for row in connection.execute("PRAGMA table_info (mailbox)")}
    connection.close()
    assert columns == {
        "address", "domain", "name", "state", "reason", "until", "allow", "networks", "quota", "password", "expires",
    }  # fmt: skip


def test_a_throttled_pair_is_asked_twice_and_refused_once(store, store_url, key_file):
    scene = Scene(store, store_url, key_file, throttle=Settings())
    scene.add("adam@e.test", password=SALTED)
    scene.throttling.renewed()
    for number in range(10):
        scene.throttling.throttle.begin("adam@e.test", "192.0.2.7", f"guess{number}", scene.now())
    client = Client(scene.login)
    client.say("VERSION\t1\t2\nCPID\t10662\n")
    assert client.say(asking("adam", more="\trip=192.0.2.7")) == ""
    assert scene.counters.limit_trips == {"login_pair": 1}
    scene.clock.advance(3)
    assert client.heard() == "FAIL\t1\tuser=adam@e.test\tcode=temp_fail\n"
    assert granted(scene, asking("adam", more="\trip=203.0.113.7")) == "OK\t1\tuser=adam@e.test\n"
    scene.end()


def test_who_was_guessed_at_too_little_for_a_refusal_goes_the_short_way_too(store, store_url, key_file):
    scene = Scene(store, store_url, key_file, throttle=Settings())
    scene.add("adam@e.test", password=SALTED)
    scene.throttling.renewed()
    scene.throttling.throttle.begin("adam@e.test", "192.0.2.7", "guess", scene.now())
    assert scene.throttling.throttle.unblemished("adam@e.test", "192.0.2.7") is None
    assert granted(scene, asking("adam", more="\trip=192.0.2.7")) == "OK\t1\tuser=adam@e.test\n"
    scene.end()


def test_a_service_that_is_none_of_ours_is_counted_as_other(scene):
    for name in [f"service{number}" for number in range(100)]:
        granted(scene, asking("verified", service=name))
    assert scene.counters.auth == {("other", "PLAIN", "accepted"): 100}


def test_a_weak_hash_is_replaced_as_soon_as_the_configuration_says_so(store, store_url, key_file):
    scene = Scene(store, store_url, key_file)
    scene.add("adam@e.test", password=SALTED)
    assert granted(scene, asking("adam")) == "OK\t1\tuser=adam@e.test\n"
    scene.authenticator.settings = dataclasses.replace(scene.authenticator.settings, rehash=True)
    client = Client(scene.login)
    client.say("VERSION\t1\t2\nCPID\t10662\n")
    assert client.say(asking("adam")) == "OK\t1\tuser=adam@e.test\n"
    scene.clock.wait_until(lambda: store.mailbox("adam@e.test").password.startswith("{ARGON2ID}"))
    scene.end()


def test_half_a_line_and_two_lines_are_answered_in_order(scene):
    client = Client(scene.login)
    client.say("VERSION\t1\t2\nCPID\t10662\n")
    line = asking("plain")
    assert client.say(line[:30]) == ""
    assert client.say(line[30:]) == "OK\t1\tuser=plain@e.test\n"
    two = line.replace(b"\t1\t", b"\t2\t", 1) + line.replace(b"\t1\t", b"\t3\t", 1)
    assert client.say(two) == "OK\t2\tuser=plain@e.test\nOK\t3\tuser=plain@e.test\n"


def test_an_id_that_is_under_way_is_an_error_of_the_protocol(scene):
    client = Client(scene.login)
    client.say("VERSION\t1\t2\nCPID\t10662\n")
    client.say("AUTH\t1\tPLAIN\tservice=imap\n")
    client.say(asking("plain"))
    assert client.closed


def test_nobody_is_granted_anything_before_cpid(scene):
    client = Client(scene.login)
    client.say("VERSION\t1\t2\n")
    client.say(asking("plain"))
    assert client.closed


def test_a_granted_login_waits_to_be_collected_unless_nobody_will(scene):
    client = Client(scene.login)
    client.say("VERSION\t1\t2\nCPID\t10662\n")
    client.say(asking("verified", more="\tnologin"))
    assert len(scene.pending) == 0
    client.say(asking("verified"))
    assert len(scene.pending) == 1


def test_a_fault_on_the_short_way_leaves_the_login_to_the_general_way(scene, monkeypatch):
    def broken(_):
        raise RuntimeError("broken")

    monkeypatch.setattr(scene.store, "password_alone", broken)
    client = Client(scene.login)
    client.say("VERSION\t1\t2\nCPID\t10662\n")
    assert client.say(asking("verified")) == "OK\t1\tuser=verified@e.test\n"
