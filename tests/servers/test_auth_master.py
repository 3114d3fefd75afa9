from __future__ import annotations

import re

import pytest
from auth_scene import SPID, Client, Scene, plain

from mailhooks.servers.auth_master import AuthMasterConnection
from mailhooks.servers.in_order import MAX_WAITING
from mailhooks.store import Service, State

ADAM, BOB = "adam@example1.com", "bob@example1.com"
FIELDS = "uid=5000\tgid=5000\thome=/var/mail/example1.com/adam"
HELLO = "VERSION\t1\t0\n"


@pytest.fixture
def scene(store, store_url, key_file):
    scene = Scene(store, store_url, key_file)
    scene.add(ADAM, password="{PLAIN}secret", quota=20480)
    yield scene
    scene.end()


@pytest.fixture(autouse=True)
def peer(monkeypatch):
    """Who is at the other end: root, until a test says otherwise."""

    def be(uid):
        monkeypatch.setattr(AuthMasterConnection, "peer_uid", uid)

    be(0)
    return be


@pytest.fixture
def master(scene):
    client = Client(scene.master)
    client.greeting = client.heard()
    client.say(HELLO)
    return client


@pytest.fixture
def granted(scene):
    """A login process that was granted the login of adam as its request 1: its cookie."""
    login = Client(scene.login)
    cookie = re.search("COOKIE\t(.*)\n", login.heard())[1]
    login.say(f"VERSION\t1\t2\nCPID\t10662\nAUTH\t1\tPLAIN\tservice=imap\tresp={plain(ADAM, 'secret')}\n")
    assert login.heard() == ""
    login.cookie = cookie
    return login


def test_the_greeting_is_version_and_spid_and_needs_no_store(scene, store, master):
    assert master.greeting == f"VERSION\t1\t1\nSPID\t{SPID}\n"
    store.close()
    assert Client(scene.master).heard() == master.greeting


def test_user_with_the_quota_field_of_the_generation_that_asks(scene, master):
    known = f"USER\t1\t{ADAM}\t{FIELDS}"
    assert master.say(f"USER\t1\t{ADAM}\tservice=lmtp\n") == f"{known}\tquota_rule=*:storage=20480B\n"
    newer = Client(scene.master)
    newer.heard()
    newer.say("VERSION\t1\t3\n")
    assert newer.say("USER\t1\tAdam@EXAMPLE1.com\tprotocol=lmtp\n") == f"{known}\tquota_storage_size=20480B\n"


def test_an_unknown_user_is_positively_not_found(master):
    assert master.say("USER\t7\tnobody@example1.com\tservice=lmtp\n") == "NOTFOUND\t7\n"


def test_an_account_that_does_not_receive_is_not_found_by_lmtp_only(scene, master):
    scene.add(BOB, state=State.SEND_ONLY)
    assert master.say(f"USER\t1\t{BOB}\tservice=lmtp\n") == "NOTFOUND\t1\n"
    assert master.say(f"USER\t2\t{BOB}\tservice=doveadm\n").startswith(f"USER\t2\t{BOB}\tuid=")


def test_a_store_that_is_gone_is_never_not_found(scene, master, granted, tmp_path):
    (tmp_path / "mailhooks.db").rename(tmp_path / "elsewhere.db")
    scene.store.renew()
    assert master.say(f"USER\t1\t{ADAM}\tservice=lmtp\n") == "FAIL\t1\n"
    assert master.say(f"PASS\t2\t{ADAM}\tservice=lmtp\n") == "FAIL\t2\n"
    assert master.say(f"REQUEST\t3\t10662\t1\t{granted.cookie}\tsession_pid=1\n") == "FAIL\t3\n"
    master.say("LIST\t4\n")
    scene.clock.advance(0)
    assert master.heard() == "DONE\t4\tfail\n"
    assert not master.closed


def test_a_line_longer_than_clients_take_is_fail(scene, master):
    scene.master.mail = type(scene.master.mail)(5000, 5000, "/" + "x" * 9000 + "/%n")
    assert master.say(f"USER\t1\t{ADAM}\tservice=lmtp\n") == "FAIL\t1\n"
    assert not master.closed


# Logins


def test_a_granted_login_is_collected_once_with_all_its_fields(master, granted):
    request = f"REQUEST\t3358588929\t10662\t1\t{granted.cookie}\tsession_pid=10664\trequest_auth_token\n"
    assert master.say(request) == f"USER\t3358588929\t{ADAM}\t{FIELDS}\tquota_rule=*:storage=20480B\n"
    assert master.say(request) == "FAIL\t3358588929\n"


@pytest.mark.parametrize("change", [{"state": State.CLOSED}, {"allow": frozenset({Service.POP3})}])
def test_a_login_was_let_in_that_was_granted_just_before_its_account_was_closed(scene, master, granted, change):
    with scene.store.change("test") as directory:
        directory.set_mailbox(ADAM, **change)
    scene.store.renew()
    assert master.say(f"REQUEST\t7\t10662\t1\t{granted.cookie}\tsession_pid=1\n") == "FAIL\t7\n"


def test_a_login_of_2_4_gets_the_fields_of_2_4(scene, granted):
    master = Client(scene.master)
    master.heard()
    master.say("VERSION\t1\t3\n")
    assert "quota_storage_size=" in master.say(f"REQUEST\t1\t10662\t1\t{granted.cookie}\tsession_pid=1\n")


@pytest.mark.parametrize("wrong", ["10663\t1\t{}", "10662\t2\t{}", "10662\t1\t" + "0" * 32])
def test_another_process_id_or_cookie_gets_nothing(master, granted, wrong):
    assert master.say(f"REQUEST\t5\t{wrong.format(granted.cookie)}\tsession_pid=1\n") == "FAIL\t5\n"
    assert master.say(f"REQUEST\t6\t10662\t1\t{granted.cookie}\tsession_pid=1\n").startswith("USER\t6\t")


def test_a_login_expires(scene, master, granted):
    scene.clock.advance(151)
    assert master.say(f"REQUEST\t5\t10662\t1\t{granted.cookie}\tsession_pid=1\n") == "FAIL\t5\n"


def test_a_login_whose_account_was_removed_meanwhile(scene, master, granted):
    with scene.store.change("test") as change:
        change.remove_mailbox(ADAM)
    scene.store.renew()
    assert master.say(f"REQUEST\t5\t10662\t1\t{granted.cookie}\tsession_pid=1\n") == "NOTFOUND\t5\n"


# Who may ask


def test_only_root_and_the_configured_users_may_ask(master, peer):
    question = f"USER\t1\t{ADAM}\tservice=lmtp\nPASS\t2\t{ADAM}\tservice=lmtp\nLIST\t3\nCACHE-FLUSH\t4\n"
    peer(1000)
    assert master.say(question) == "FAIL\t1\nFAIL\t2\nDONE\t3\tfail\nFAIL\t4\n"
    peer(5000)
    lines = master.say(question).splitlines()
    assert [line.split("\t")[0] for line in lines] == ["USER", "FAIL", "DONE", "OK"]


def test_pass_tells_who_may_log_in_and_no_hash(scene, master):
    scene.add(BOB, password="{PLAIN}secret", state=State.CLOSED)
    assert master.say("PASS\t1\tADAM@example1.com\tservice=imap\n") == f"PASS\t1\tuser={ADAM}\n"
    assert master.say(f"PASS\t2\t{BOB}\tservice=imap\n") == "NOTFOUND\t2\n"


def test_cache_flush_counts_what_it_forgot(scene, master):
    for user in (ADAM, BOB):
        scene.cache.add(user, "secret", "{X}", 0.0)
    assert master.say("CACHE-FLUSH\t1\tAdam@example1.com\n") == "OK\t1\t1\n"
    assert master.say("CACHE-FLUSH\t2\n") == "OK\t2\t1\n"


# Lists


def rows(client):
    return [line.split("\t")[-1] for line in client.heard().splitlines() if line.startswith("LIST\t")]


@pytest.mark.parametrize(("mask", "found"), [("", [ADAM, BOB]), ("\tuser=*", [ADAM, BOB]), ("\tuser=B?b@*", [BOB])])
def test_list_by_mask(scene, master, mask, found):
    scene.add(BOB)
    assert master.say(f"LIST\t9{mask}\tservice=doveadm\n") == ""
    scene.clock.pump([0, 0])
    text = master.transport.value().decode()
    assert text.endswith("DONE\t9\t\n")
    assert rows(master) == found


def test_a_list_waits_for_the_peer_and_commands_for_the_list(scene, master, monkeypatch):
    users = [f"u{number:04}@example1.com" for number in range(1000)]
    scene.add(*users)
    write = master.transport.write

    def write_to_a_peer_that_does_not_read(data):
        write(data)
        master.protocol.pauseProducing()  # what Twisted's buffer calls when it is full

    monkeypatch.setattr(master.transport, "write", write_to_a_peer_that_does_not_read)
    assert master.say(f"LIST\t1\nUSER\t2\t{ADAM}\tservice=lmtp\n") == ""
    scene.clock.pump([0] * 20)
    first = rows(master)
    assert 0 < len(first) < 300
    monkeypatch.setattr(master.transport, "write", write)
    master.protocol.resumeProducing()
    scene.clock.pump([0] * 20)
    lines = master.transport.value().decode().splitlines()
    assert lines[-2] == "DONE\t1\t"
    assert lines[-1].startswith(f"USER\t2\t{ADAM}\t")
    assert first + rows(master) == [ADAM, *users]


def test_what_waits_behind_a_list_is_bounded_by_pausing_and_answered_before_the_server_ends(scene, master):
    asked = f"USER\t2\t{ADAM}\tservice=lmtp\n"
    master.say("LIST\t1\n" + asked * MAX_WAITING)
    assert master.protocol.busy
    assert master.transport.producerState == "paused"
    master.protocol.resumeProducing()  # the peer has read: not yet a reason to read more commands
    assert master.transport.producerState == "paused"
    scene.master.drain()
    assert not master.closed
    scene.clock.pump([0] * 5)
    assert master.heard().count("USER\t2") == MAX_WAITING
    assert master.closed


def test_a_list_that_is_done_is_followed_by_more_reading(scene, master):
    master.say("LIST\t1\n" + f"USER\t2\t{ADAM}\tservice=lmtp\n" * MAX_WAITING)
    scene.clock.pump([0] * 5)
    assert master.transport.producerState == "producing"


def test_a_peer_that_leaves_in_the_middle_of_a_list(scene, master):
    master.say("LIST\t1\n")
    master.leave()
    scene.clock.pump([0, 0])
    assert [call for call in scene.clock.getDelayedCalls() if call.active()] == []


# Wrong input


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (f"USER\t1\t{ADAM}\n", "field"),
        ("USER\t1\n", "field"),
        ("USER\n", "field"),
        ("REQUEST\t1\t2\t3\n", "field"),
        ("AUTH\t1\tPLAIN\tservice=imap\n", "unknown_command"),
        ("X" * 20_000, "oversized"),
    ],
)
def test_wrong_input_ends_the_connection_after_what_was_right(scene, master, line, kind):
    assert master.say(f"USER\t1\tno@x.org\tservice=lmtp\n{line}") == "NOTFOUND\t1\n"
    assert master.closed
    assert scene.master.counters.protocol_errors[kind] == 1


def test_version_is_mandatory_and_its_major_is_ours(scene):
    for hello in (f"USER\t1\t{ADAM}\tservice=lmtp\n", "VERSION\t2\t0\n"):
        client = Client(scene.master)
        client.heard()
        client.say(hello)
        assert client.closed
