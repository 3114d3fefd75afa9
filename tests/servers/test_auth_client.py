from __future__ import annotations

import re

import pytest
from auth_scene import ADAM, BOB, HELLO, QUICK, SPID, Client, Scene, auth, b64, plain

from mailhooks import passwords
from mailhooks.passwords import hash_password
from mailhooks.store import Service, State


@pytest.fixture
def scene(store, store_url, key_file):
    scene = Scene(store, store_url, key_file)
    scene.add(ADAM, password=QUICK)
    yield scene
    scene.end()


@pytest.fixture
def client(scene):
    client = Client(scene.login)
    client.greeting = client.heard()
    client.say(HELLO)
    return client


def test_the_whole_greeting_comes_at_connect_in_the_order_that_both_clients_accept(client):
    assert re.fullmatch(
        "VERSION\t1\t2\n"
        "MECH\tPLAIN\tplaintext\nMECH\tLOGIN\tplaintext\n"
        f"SPID\t{SPID}\nCUID\t\\d+\nCOOKIE\t[0-9a-f]{{32}}\nDONE\n",
        client.greeting,
    )


def test_the_greeting_needs_no_store(scene, store):
    store.close()
    assert Client(scene.login).heard().endswith("DONE\n")


def test_cuid_and_cookie_differ_between_connections_and_the_spid_does_not(scene):
    greetings = [Client(server).heard().splitlines() for server in (scene.login, scene.login, scene.postfix)]
    assert len({line for greeting in greetings for line in greeting if line.startswith("COOKIE")}) == 3
    assert greetings[0][-3] != greetings[1][-3]
    assert len({greeting[3] for greeting in greetings}) == 1


@pytest.mark.parametrize("word", ["service", "protocol"])
def test_a_right_password_is_granted_at_once_under_the_canonical_address(client, word):
    request = auth(1, "Adam@EXAMPLE1.com").replace("service=", f"{word}=")
    assert client.say(request) == f"OK\t1\tuser={ADAM}\n"


@pytest.mark.parametrize(
    ("more", "granted"),
    [
        ("\tsecured\tlip=10.0.2.100\trip=10.0.2.100", False),  # a client behind the published port of a container
        ("\tlip=2001:db8::1\trip=2001:db8::1", False),
        ("\tsecured=tls\tlip=10.0.2.100\trip=10.0.2.100", True),
        ("\tsecured\tlip=127.0.0.1\trip=127.0.0.1", True),
        ("\tsecured\tlip=::1\trip=::1", True),
        ("\tsecured\tlip=10.0.2.100\trip=192.0.2.1", True),  # a trusted network: Dovecot's configuration says so
    ],
)
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_a_password_in_clear_from_the_servers_own_address_is_refused_unchecked(client, mechanism, more, granted):
    heard = client.say(auth(1, more=more).replace("PLAIN", mechanism))
    if mechanism == "LOGIN" and granted:
        assert heard.startswith("CONT\t1\t")
    else:
        assert heard.startswith("OK\t1\t" if granted else "FAIL\t1\treason=Passwords are taken over TLS only")


def test_postfix_sees_to_tls_itself(scene):
    client = Client(scene.postfix)
    client.say(HELLO)
    more = "\tnologin\tsecured\tlip=10.0.2.100\trip=10.0.2.100"
    assert "OK\t1\t" in client.say(auth(1, service="smtp", more=more))


def test_plain_without_initial_response_is_asked_with_an_empty_third_field(client):
    assert client.say("AUTH\t1\tPLAIN\tservice=imap\n") == "CONT\t1\t\n"
    assert client.say(f"CONT\t1\t{plain(ADAM, 'secret')}\n") == f"OK\t1\tuser={ADAM}\n"


def test_an_empty_resp_is_no_initial_response(client):
    assert client.say("AUTH\t1\tLOGIN\tservice=imap\tresp=\n") == "CONT\t1\tVXNlcm5hbWU6\n"
    assert client.say(f"CONT\t1\t{b64(ADAM)}\n") == "CONT\t1\tUGFzc3dvcmQ6\n"
    assert client.say(f"CONT\t1\t{b64('secret')}\n") == f"OK\t1\tuser={ADAM}\n"


def test_a_slow_hash_is_checked_by_a_worker_and_then_known(scene, client):
    scene.add(BOB, password=hash_password("secret"))
    assert client.say(auth(1, BOB)) == ""
    scene.clock.wait()
    assert client.heard() == f"OK\t1\tuser={BOB}\n"
    assert client.say(auth(2, BOB)) == f"OK\t2\tuser={BOB}\n"


def test_a_wrong_password_is_said_after_the_delay_and_holds_nobody_up(scene, client):
    assert client.say(auth(1, password="wrong")) == ""
    scene.clock.wait()
    assert client.say(auth(2)) == f"OK\t2\tuser={ADAM}\n"
    scene.clock.advance(1.9)
    assert client.heard() == ""
    scene.clock.advance(0.2)
    assert client.heard() == f"FAIL\t1\tuser={ADAM}\n"


def test_an_unknown_user_hears_the_same_as_one_with_a_wrong_password(scene, client):
    client.say(auth(1, "nobody@example1.com"))
    scene.clock.wait()
    scene.clock.advance(2.1)
    assert client.heard() == "FAIL\t1\tuser=nobody@example1.com\n"
    assert scene.counters.auth["imap", "PLAIN", "refused"] == 1


def test_a_login_in_a_fail_needs_no_escaping(scene, client):
    client.say(auth(1, "a\tb\r\nOK\t1\tuser=root\x01@x"))
    scene.clock.wait()
    scene.clock.advance(2.1)
    assert client.heard() == "FAIL\t1\tuser=a?b??OK?1?user=root?@x\n"


@pytest.mark.parametrize(
    ("state", "service", "reply"),
    [
        (State.NO_LOGIN, "imap", "FAIL\t1\tuser=%s\treason=unpaid\n"),
        (State.NO_SEND, "smtp", "FAIL\t1\tuser=%s\treason=unpaid\n"),
        (State.NO_SEND, "imap", "OK\t1\tuser=%s\n"),
        (State.CLOSED, "imap", "FAIL\t1\tuser=%s\tcode=user_disabled\n"),
    ],
)
def test_the_owner_of_a_closed_account_hears_why(scene, client, state, service, reply):
    scene.add(BOB, password=QUICK, state=state, reason="unpaid")
    heard = client.say(auth(1, BOB, service=service))
    scene.clock.advance(2.1)
    assert heard + client.heard() == reply % BOB


def test_a_service_that_the_account_does_not_allow(scene, client):
    scene.add(BOB, password=QUICK, allow=frozenset({Service.IMAP}))
    assert client.say(auth(1, BOB, service="pop3")) == ""
    scene.clock.advance(2.1)
    assert client.heard() == f"FAIL\t1\tuser={BOB}\tcode=authz_fail\n"


def test_nobody_acts_as_another(scene, client):
    assert client.say(f"AUTH\t1\tPLAIN\tservice=imap\tresp={plain(ADAM, 'secret', BOB)}\n") == ""
    scene.clock.advance(2.1)
    assert client.heard() == f"FAIL\t1\tuser={ADAM}\n"


# Outages


def test_a_store_that_is_gone_is_temporary_to_dovecot_and_closes_the_connection_of_postfix(scene, client, tmp_path):
    postfix = Client(scene.postfix)
    assert postfix.heard().endswith("DONE\n")
    postfix.say(HELLO)
    (tmp_path / "mailhooks.db").rename(tmp_path / "elsewhere.db")
    scene.store.renew()
    assert client.say(auth(1)) == f"FAIL\t1\tuser={ADAM}\tcode=temp_fail\n"
    assert postfix.say(auth(1, service="smtp", more="\tnologin")) == ""
    assert postfix.closed


def test_a_store_that_goes_while_the_password_is_checked(scene, client, tmp_path):
    client.say(auth(1, password="wrong"))
    (tmp_path / "mailhooks.db").rename(tmp_path / "elsewhere.db")
    scene.store.renew()
    scene.clock.wait()
    scene.clock.advance(2.1)
    assert client.heard() in (f"FAIL\t1\tuser={ADAM}\n", f"FAIL\t1\tuser={ADAM}\tcode=temp_fail\n")


def test_a_full_queue_is_temporary_to_dovecot_and_closes_the_connection_of_postfix(store, store_url, key_file):
    scene = Scene(store, store_url, key_file, queue_limit=0)
    dovecot, postfix = Client(scene.login), Client(scene.postfix)
    for client in (dovecot, postfix):
        client.say(HELLO)
        client.heard()
    assert dovecot.say(auth(1, BOB)) == f"FAIL\t1\tuser={BOB}\tcode=temp_fail\n"
    assert not dovecot.closed
    assert postfix.say(auth(1, BOB, service="smtp")) == ""
    assert postfix.closed
    assert scene.counters.auth["smtp", "PLAIN", "temporary"] == 1
    scene.end()


def test_the_delay_counts_from_the_beginning(scene, client):
    client.say(auth(1, password="wrong"))
    scene.clock.advance(1.5)  # in the queue
    scene.clock.wait()
    scene.clock.advance(0.49)
    assert client.heard() == ""
    scene.clock.advance(0.02)
    assert client.heard() == f"FAIL\t1\tuser={ADAM}\n"


def test_queue_hash_and_delay_together_stay_within_the_limit(store, store_url, key_file):
    scene = Scene(store, store_url, key_file, failure_delay=60.0)
    client = Client(scene.login)
    client.say(HELLO + auth(1, "nobody@example1.com"))
    client.heard()
    scene.clock.advance(7.5)  # in the queue
    scene.clock.wait()
    scene.clock.advance(0.49)
    assert client.heard() == ""
    scene.clock.advance(0.02)
    assert client.heard() == "FAIL\t1\tuser=nobody@example1.com\n"
    scene.end()


def test_a_refusal_that_took_long_enough_is_said_at_once(scene, client):
    client.say(auth(1, password="wrong"))
    scene.clock.advance(5.0)
    scene.clock.wait()
    scene.clock.advance(0)
    assert client.heard() == f"FAIL\t1\tuser={ADAM}\n"


def test_what_was_not_decided_within_the_limit_is_temporary(scene, client):
    client.say(auth(1, password="wrong"))
    scene.clock.advance(8.01)
    assert client.heard() == f"FAIL\t1\tuser={ADAM}\tcode=temp_fail\n"
    scene.workers_are_done()
    scene.clock.advance(10)
    assert client.heard() == ""


def test_a_hash_that_found_no_memory_is_temporary_and_not_a_wrong_password(scene, client, monkeypatch):
    def no_memory(*_, **__):
        raise passwords.NotComputed

    scene.add(BOB, password=hash_password("secret"))
    monkeypatch.setattr(passwords, "verify", no_memory)
    for number, login in enumerate([BOB, "nobody@example1.com"], 1):
        client.say(auth(number, login))
        scene.clock.wait()
        assert client.heard() == f"FAIL\t{number}\tuser={login}\tcode=temp_fail\n"


def test_a_stored_hash_that_takes_longer_than_a_login_may_is_temporary(scene, client):
    """Such ones were accepted; those that stand in a store say "try again" when the time is over."""
    dear = (
        "{ARGON2ID}$argon2id$v=19$m=65536,t=40,p=1$c2FsdHNhbHRzYWx0c2FsdA$ZbBPIDtTK+2sE5bGsF45kA2Vf94zXwNc86pkfllpA20"
    )
    scene.add(BOB, password=dear)
    client.say(auth(1, BOB))
    scene.clock.advance(8.01)
    assert client.heard() == f"FAIL\t1\tuser={BOB}\tcode=temp_fail\n"
    scene.workers_are_done()
    assert client.heard() == ""
    assert client.say(auth(2)) == f"OK\t2\tuser={ADAM}\n"


def test_a_rush_of_logins_that_heard_try_again_left_its_hashes_to_the_workers(scene, client):
    """Who came after it waited for the hashes of all who were gone: minutes without a login."""
    scene.add(BOB, password=hash_password("secret"))
    with scene.busy_worker():
        client.say("".join(auth(number, BOB, f"wrong {number}") for number in range(1, 6)))
        assert scene.pool.depth == 5
        client.say("CANCEL\t5\n")
        assert scene.pool.depth == 4
        scene.clock.advance(8.01)
        assert client.heard().count("code=temp_fail") == 4
        assert scene.pool.depth == 0
    client.say(auth(6, BOB))
    scene.clock.wait()
    assert client.heard() == f"OK\t6\tuser={BOB}\n"


def test_wrong_passwords_do_not_cost_memory_without_bound(scene, client, monkeypatch):
    monkeypatch.setattr("mailhooks.servers.authenticator.MAX_WAITING", 1)
    client.say(auth(1, password="wrong"))
    scene.clock.wait()
    assert client.say(auth(2, password="wrong")) == f"FAIL\t2\tuser={ADAM}\tcode=temp_fail\n"
    assert client.say(auth(3)) == f"OK\t3\tuser={ADAM}\n"


# Wrong input


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_base64_rubbish_is_refused_in_the_words_of_the_stock_server(client, mechanism):
    reply = "code=invalid_base64\treason=Invalid base64 data in"
    assert client.say(f"AUTH\t5\t{mechanism}\tservice=imap\tresp=%%%\n") == f"FAIL\t5\t{reply} initial response\n"
    client.say(f"AUTH\t6\t{mechanism}\tservice=imap\n")
    assert client.say("CONT\t6\t%%%\n") == f"FAIL\t6\t{reply} continued response\n"
    assert client.say(auth(7)) == f"OK\t7\tuser={ADAM}\n"


def test_a_message_that_is_none_of_the_mechanism_is_refused(scene, client):
    assert client.say(f"AUTH\t1\tPLAIN\tservice=imap\tresp={b64('no parts')}\n") == "FAIL\t1\n"
    assert scene.counters.auth["imap", "PLAIN", "invalid"] == 1


def test_cont_for_an_unknown_id(client):
    assert client.say("CONT\t7\t\n") == "FAIL\t7\treason=Authentication request timed out\n"


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("AUTH\t2\tDIGEST-MD5\tservice=imap\n", "field"),
        ("AUTH\t2\tPLAIN\tresp=AA==\n", "field"),
        ("AUTH\t0\tPLAIN\tservice=imap\n", "field"),
        ("HELO\tyou\n", "unknown_command"),
        ("\n", "unknown_command"),
        ("VERSION\t2\t0\n", "version"),
        ("A" * 20_000, "oversized"),
    ],
)
def test_what_the_stock_server_disconnects_for_is_disconnected_for(scene, client, line, kind):
    # What was asked in good order before is answered still.
    assert client.say(auth(1) + line) == f"OK\t1\tuser={ADAM}\n"
    assert client.closed
    assert scene.login.counters.protocol_errors[kind] == 1


def test_auth_before_cpid_and_an_id_under_way_used_again(scene, client):
    early = Client(scene.login)
    early.heard()
    early.say("VERSION\t1\t2\n" + auth(1))
    assert early.closed
    client.say("AUTH\t1\tLOGIN\tservice=imap\nAUTH\t1\tLOGIN\tservice=imap\n")
    assert client.closed


def test_cont_while_the_password_is_being_checked(client):
    client.say(auth(1, password="wrong"))
    client.say("CONT\t1\t\n")
    assert client.closed


def test_every_piece_of_a_conversation_may_come_alone(scene):
    client = Client(scene.login)
    client.heard()
    heard = [client.say(bytes([byte])) for byte in (HELLO + auth(1) + auth(2)).encode()]
    assert "".join(heard) == f"OK\t1\tuser={ADAM}\nOK\t2\tuser={ADAM}\n"


# Rehash


def test_a_weak_hash_is_replaced_at_login(store, store_url, key_file):
    scene = Scene(store, store_url, key_file, rehash=True)
    scene.add(ADAM, password=QUICK)
    client = Client(scene.login)
    client.heard()
    client.say(HELLO + auth(1))
    client.say(auth(2))  # while the first is under way: not a second time
    scene.clock.wait(2)
    assert store.mailbox(ADAM).password.startswith("{ARGON2ID}")
    assert [entry.who for entry in store.audit(1)] == ["login"]
    scene.end()
