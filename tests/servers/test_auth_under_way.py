"""Logins under way: many at once, handed over, and brought to their end."""

from __future__ import annotations

import pytest
from auth_scene import ADAM, BOB, CAROL, HELLO, QUICK, Client, Scene, auth, b64

from mailhooks.passwords import hash_password
from mailhooks.servers import auth_client


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


# Many at once


def test_replies_come_in_any_order_each_with_its_own_id(scene, client):
    scene.add(BOB, CAROL, password=hash_password("secret"))
    assert client.say(auth(1, BOB) + auth(2) + auth(3, CAROL)) == f"OK\t2\tuser={ADAM}\n"
    scene.clock.wait(2)
    assert client.heard() == f"OK\t1\tuser={BOB}\nOK\t3\tuser={CAROL}\n"


def test_one_password_sent_many_times_at_once_costs_one_hash(scene, client):
    """Hundreds of copies of one wrong password, which is one guess, took all places in the queue."""
    scene.add(BOB, password=hash_password("secret"))
    other = Client(scene.login)
    other.heard()
    with scene.busy_worker():
        client.say("".join(auth(number, BOB) for number in range(1, 41)) + auth(41, BOB, "wrong"))
        other.say(HELLO + auth(1, BOB) + auth(2, BOB, more="\trip=192.0.2.1"))
        assert scene.pool.depth == 3
        client.say("CANCEL\t1\nCANCEL\t41\n")
        assert scene.pool.depth == 2
    scene.clock.wait_until(lambda: scene.authenticator.waiting == 0)
    assert client.heard() == "".join(f"OK\t{number}\tuser={BOB}\n" for number in range(2, 41))
    assert other.heard() == f"OK\t1\tuser={BOB}\nOK\t2\tuser={BOB}\n"


def test_a_password_that_was_changed_meanwhile_is_not_found_out_by_the_run_of_an_earlier_copy(scene, client):
    scene.add(BOB, password=hash_password("secret"))
    with scene.busy_worker():
        client.say(auth(1, BOB, "new"))
        with scene.store.change("test") as change:
            change.set_password(BOB, hash_password("new"))
        scene.store.renew()
        client.say(auth(2, BOB, "new"))
    scene.clock.wait(2)
    assert client.heard() == f"OK\t2\tuser={BOB}\n"


def test_requests_beyond_the_bound_are_temporary_and_a_silent_exchange_makes_room(scene, client, monkeypatch):
    monkeypatch.setattr(auth_client, "MAX_UNDER_WAY", 2)
    client.say("AUTH\t1\tLOGIN\tservice=imap\nAUTH\t2\tLOGIN\tservice=imap\n")
    assert client.say("AUTH\t3\tLOGIN\tservice=imap\n") == "FAIL\t3\tcode=temp_fail\n"
    scene.clock.advance(auth_client.EXCHANGE_SECONDS)
    assert client.say("AUTH\t4\tLOGIN\tservice=imap\n") == "CONT\t4\tVXNlcm5hbWU6\n"
    assert client.say("CONT\t1\t\n") == "FAIL\t1\treason=Authentication request timed out\n"


def test_a_cancelled_request_is_not_answered(scene, client):
    client.say(auth(1, password="wrong"))
    assert client.say("CANCEL\t1\n") == ""
    scene.workers_are_done()
    scene.clock.advance(10)
    assert client.heard() == ""
    assert scene.authenticator.waiting == 0
    assert scene.login.pending == 0


def test_a_cancelled_exchange_is_forgotten(client):
    client.say("AUTH\t1\tLOGIN\tservice=imap\n")
    client.say("CANCEL\t1\n")
    assert client.say(f"CONT\t1\t{b64(ADAM)}\n") == "FAIL\t1\treason=Authentication request timed out\n"


def test_only_a_client_that_knows_the_word_hears_that_its_cancel_was_taken(scene, client):
    assert client.say("CANCEL\t1\n") == ""
    newer = Client(scene.login)
    newer.heard()
    assert newer.say("VERSION\t1\t4\nCPID\t1\nCANCEL\t1\n") == "CANCELLED\t1\n"


def test_a_client_that_leaves_is_forgotten(scene, client):
    client.say(auth(1, password="wrong"))
    client.leave()
    scene.workers_are_done()
    scene.clock.advance(10)
    assert scene.authenticator.waiting == 0
    assert scene.clock.getDelayedCalls() == []


# Handing over


def test_a_granted_login_waits_to_be_collected(scene, client):
    client.say(auth(1))
    assert len(scene.pending) == 1


def test_with_nologin_nothing_waits(scene, client):
    assert client.say(auth(1, more="\tnologin")) == f"OK\t1\tuser={ADAM}\n"
    assert len(scene.pending) == 0


def test_cancel_and_the_end_of_the_connection_drop_granted_logins(scene, client):
    client.say(auth(1) + auth(2) + auth(3))
    client.say("CANCEL\t2\n")
    assert len(scene.pending) == 2
    client.leave()
    assert len(scene.pending) == 0


# The end


def test_an_exchange_under_way_is_brought_to_its_end_when_the_server_ends(scene, client):
    client.say("AUTH\t1\tLOGIN\tservice=imap\n")
    scene.login.drain()
    assert not client.closed
    client.say(f"CONT\t1\t{b64(ADAM)}\n")
    assert client.say(f"CONT\t1\t{b64('secret')}\n") == f"OK\t1\tuser={ADAM}\n"
    assert client.closed


def test_a_quick_login_behind_another_one_ends_with_it(scene, client):
    client.say("AUTH\t1\tLOGIN\tservice=imap\n")
    scene.login.drain()
    assert client.say(auth(2)) == f"OK\t2\tuser={ADAM}\n"
    assert not client.closed
    client.say("CANCEL\t1\n")
    assert client.closed


def test_a_cancel_of_the_last_one_swallowed_what_the_same_read_had_asked_for(scene, client):
    """The close came before the OK: Dovecot 2.3 took it for a wrong password."""
    scene.add(BOB, password=hash_password("secret"))
    with scene.busy_worker():
        client.say(auth(1, BOB))
        scene.login.drain()
        assert client.say(auth(2) + "CANCEL\t1\n") == f"OK\t2\tuser={ADAM}\n"
    assert client.closed


def test_a_login_that_was_granted_before_the_end_is_collected_though_its_connection_is_closed(scene, client):
    client.say(auth(1))
    scene.login.drain()
    assert client.closed
    client.leave()
    assert len(scene.pending) == 1


def test_a_client_that_leaves_by_itself_while_the_server_ends_takes_its_logins_along(scene, client):
    client.say(auth(1) + "AUTH\t2\tLOGIN\tservice=imap\n")
    scene.login.drain()
    client.leave()
    assert len(scene.pending) == 0


def test_who_is_not_answered_when_the_time_is_over_hears_try_again(scene, client):
    scene.add(BOB, password=hash_password("secret"))
    postfix = Client(scene.postfix)
    postfix.say(HELLO)
    postfix.heard()
    with scene.busy_worker():
        client.say("AUTH\t1\tLOGIN\tservice=imap\n" + auth(2, BOB))
        postfix.say(auth(1, BOB, service="smtp"))
        for server in (scene.login, scene.postfix):
            server.drain()
            server.give_up()
        assert client.heard() == "FAIL\t1\tcode=temp_fail\nFAIL\t2\tcode=temp_fail\n"
        assert postfix.heard() == ""
    assert client.closed
    assert postfix.closed
    assert scene.authenticator.waiting == 0
