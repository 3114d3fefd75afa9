"""Throttled logins through the auth sockets: one counter for all of them, and only temporary answers."""

from __future__ import annotations

import time

import pytest
from auth_scene import Client, Scene, plain
from twisted.logger import formatEvent, globalLogPublisher

from mailhooks.passwords import hash_password
from mailhooks.servers.authenticator import PART_OF_QUEUE
from mailhooks.store import Store
from mailhooks.throttle import Settings

ADAM, BOB = "adam@example1.com", "bob@example1.com"
HELLO = "VERSION\t1\t2\nCPID\t10662\n"
HOTEL, HOME = "192.0.2.200", "198.51.100.7"
LIMIT = 3


@pytest.fixture
def scene(store, store_url, key_file):
    scene = Scene(
        store, store_url, key_file, throttle=Settings(pair_guesses=LIMIT, network_guesses=5, account_guesses=8)
    )
    scene.add(ADAM, password="{PLAIN}secret")
    scene.throttling.renewed()
    yield scene
    scene.end()


def connect(server):
    client = Client(server)
    client.say(HELLO)
    return client


class Tries:
    """Logs in and returns the reply, however long it takes."""

    def __init__(self, scene):
        self.scene = scene
        self.number = 0

    def __call__(self, password, *, rip=HOTEL, service="imap", more="", login=ADAM, server=None):
        self.number += 1
        client = connect(server or self.scene.login)
        client.heard()
        resp = plain(login, password)
        reply = client.say(f"AUTH\t{self.number}\tPLAIN\tservice={service}\trip={rip}{more}\tresp={resp}\n")
        if not reply and self.scene.authenticator.held_off == 0:
            self.scene.clock.wait()
        self.scene.clock.advance(8)
        reply += client.heard()
        return "closed" if client.closed else reply.replace(f"\t{self.number}", "", 1).strip()


@pytest.fixture
def login(scene):
    return Tries(scene)


IN, WRONG, LATER = f"OK\tuser={ADAM}", f"FAIL\tuser={ADAM}", f"FAIL\tuser={ADAM}\tcode=temp_fail"


def test_one_counter_for_all_services_and_sockets(scene, login):
    assert login("guess 1", service="imap") == WRONG
    assert login("guess 2", service="smtp", server=scene.postfix) == WRONG
    assert login("guess 3", service="sieve") == WRONG
    for service in ("imap", "pop3", "sieve"):
        assert login("guess 4", service=service) == LATER
    assert login("guess 4", service="smtp", server=scene.postfix) == "closed"
    assert login("secret") == LATER  # it is not even checked
    assert scene.counters.limit_trips == {"login_pair": 5}
    assert scene.counters.auth["pop3", "PLAIN", "throttled"] == 1


def test_the_verified_cache_is_no_way_around(scene, login):
    scene.add("bob@example1.com", password=hash_password("secret"))
    assert login("secret", login="bob@example1.com") == "OK\tuser=bob@example1.com"
    for number in range(4 * LIMIT):
        login(f"guess {number}", login="bob@example1.com")
    assert login("secret", login="bob@example1.com").endswith("temp_fail")


def test_a_throttled_login_is_answered_after_the_delay(scene, login):
    for number in range(LIMIT):
        login(f"guess {number}")
    client = connect(scene.login)
    client.heard()
    assert client.say(f"AUTH\t1\tPLAIN\tservice=imap\trip={HOTEL}\tresp={plain(ADAM, 'x')}\n") == ""
    scene.clock.advance(1.9)
    assert client.heard() == ""
    scene.clock.advance(0.2)
    assert client.heard() == f"FAIL\t1\tuser={ADAM}\tcode=temp_fail\n"
    assert (scene.authenticator.waiting, scene.authenticator.held_off) == (0, 0)


def test_a_client_that_goes_while_it_is_held_off(scene, login):
    for number in range(LIMIT):
        login(f"guess {number}")
    client = connect(scene.login)
    client.say(f"AUTH\t1\tPLAIN\tservice=imap\trip={HOTEL}\tresp={plain(ADAM, 'x')}\n")
    assert scene.authenticator.held_off == 1
    client.leave()
    scene.clock.advance(10)
    assert (scene.authenticator.waiting, scene.authenticator.held_off) == (0, 0)


def test_going_before_the_answer_is_no_way_around(scene, login):
    for number in range(LIMIT):
        client = connect(scene.login)
        client.say(f"AUTH\t1\tPLAIN\tservice=imap\trip={HOTEL}\tresp={plain(ADAM, f'guess {number}')}\n")
        scene.workers_have_begun()
        client.leave()
        scene.clock.wait()
    assert login("secret") == LATER


def undecided(scene, how, user, passwords):
    """Send passwords that no worker comes to check."""
    client = connect(scene.login)
    with scene.busy_worker():
        scene.pool.limit = 0 if how == "queue full" else 10
        for number, password in enumerate(passwords, 1):
            resp = plain(user, password)
            client.say(f"AUTH\t{number}\tPLAIN\tservice=imap\trip={HOTEL}\tresp={resp}\n")
            if how == "cancelled":
                client.say(f"CANCEL\t{number}\n")
            elif how == "too late":
                scene.clock.advance(8.1)
        if how == "gone":
            client.leave()
        scene.pool.limit = 10


GUESSES = [f"guess {number}" for number in range(LIMIT)]
WAYS = pytest.mark.parametrize("how", ["queue full", "cancelled", "too late", "gone"])


@WAYS
def test_what_nothing_looked_at_is_no_guess(scene, login, how):
    scene.add(BOB, password=hash_password("secret"))
    undecided(scene, how, BOB, GUESSES)
    undecided(scene, how, "nobody@example1.com", GUESSES)
    assert login("secret", login=BOB) == f"OK\tuser={BOB}"
    assert scene.counters.limit_trips == {}


@WAYS
def test_what_missed_a_quick_hash_is_a_guess_though_no_worker_came(scene, login, how):
    """While the queue was full, who heard "try again" to a password could go on to the next one for ever."""
    undecided(scene, how, ADAM, GUESSES)
    assert login("secret") == LATER


@WAYS
def test_what_missed_the_verified_cache_is_a_guess_though_no_worker_came(scene, login, how):
    scene.add(BOB, password=hash_password("secret"))
    assert login("secret", login=BOB, rip=HOME) == f"OK\tuser={BOB}"
    undecided(scene, how, BOB, GUESSES)
    assert login("secret", login=BOB).endswith("temp_fail")


@WAYS
def test_a_right_password_that_missed_another_credential_is_not_refused_for_it(scene, login, how):
    with scene.store.change("test") as change:
        change.add_app_password(ADAM, label="phone", hash=hash_password("app"))
    scene.store.renew()
    undecided(scene, how, ADAM, ["app"] * 9)
    assert login("app") == IN
    assert not any(
        table.all_keys() for table in (scene.throttling.throttle._networks, scene.throttling.throttle._accounts)
    )


def test_one_network_that_tries_out_accounts_while_the_queue_is_full_is_stopped(scene, login):
    names = [f"user{number}@example1.com" for number in range(6)]
    scene.add(*names, password="{PLAIN}secret")
    for name in names[:5]:
        undecided(scene, "queue full", name, ["Summer2026"])
    assert login("secret", login=names[5]).endswith("temp_fail")
    assert scene.counters.limit_trips == {"login_network": 1}


def test_one_network_does_not_take_all_places_in_the_queue(scene):
    """One address with hundreds of logins under way kept everybody else from logging in."""
    names = [f"user{number}@example1.com" for number in range(5)]
    scene.add(*names, password=hash_password("secret"))
    scene.pool.limit = 2 * PART_OF_QUEUE

    def ask(client, number, rip):
        resp = plain(names[number], "secret")
        return client.say(f"AUTH\t{number + 1}\tPLAIN\tservice=imap\trip={rip}\tresp={resp}\n")

    one, other, webmail, allowed = (connect(scene.login) for _ in range(4))
    for client in (one, other, webmail, allowed):
        client.heard()
    with scene.busy_worker():
        assert [ask(one, number, HOTEL) for number in range(2)] == ["", ""]
        assert ask(one, 2, HOTEL) == f"FAIL\t3\tuser={names[2]}\tcode=temp_fail\n"
        assert ask(other, 2, HOME) == ""
        assert [ask(webmail, number, "127.0.0.1") for number in range(4)] == [""] * 4
        scene.pool.limit = 20
        assert [ask(allowed, number, "198.18.0.1") for number in range(5)] == [""] * 5
    scene.clock.wait_until(lambda: scene.authenticator.waiting == 0)
    assert [client.heard().count("OK") for client in (one, other, webmail, allowed)] == [2, 1, 4, 5]
    assert not scene.authenticator._crowds


def test_what_is_held_off_is_answered_within_the_limit_however_long_the_delay(store, store_url, key_file):
    scene = Scene(store, store_url, key_file, throttle=Settings(pair_guesses=1), failure_delay=60.0)
    scene.add(ADAM, password="{PLAIN}secret")
    scene.throttling.renewed()
    login = Tries(scene)
    assert login("guess") == WRONG
    assert login("secret") == LATER
    scene.end()


def test_queue_hash_and_grown_delay_stay_within_the_limit(store, store_url, key_file):
    scene = Scene(store, store_url, key_file, throttle=Settings(pair_guesses=50), failure_delay=5.0)
    scene.add(ADAM, password="{PLAIN}secret")
    scene.throttling.renewed()
    for number in range(9):
        client = connect(scene.login)
        client.heard()
        client.say(f"AUTH\t1\tPLAIN\tservice=imap\trip={HOTEL}\tresp={plain(ADAM, f'guess {number}')}\n")
        scene.clock.advance(3)
        scene.clock.wait()
        scene.clock.advance(5)
        assert client.heard() == f"FAIL\t1\tuser={ADAM}\n"
    scene.end()


def test_a_repeated_password_is_one_guess_and_success_forgives(login):
    assert {login("old") for _ in range(20)} == {WRONG}
    assert login("secret") == IN
    assert login("guess 1") == login("guess 2") == WRONG
    assert login("secret") == IN


def test_shared_networks_and_what_a_client_says_of_itself(login):
    for name in range(12):
        assert login("wrong", rip="127.0.0.1", login=f"user{name}@example1.com").startswith("FAIL")
    assert login("secret", rip="127.0.0.1") == IN
    for number in range(LIMIT):
        assert login(f"guess {number}", more=f"\tforward_fields=rip=203.0.113.{number}\treal_rip=127.0.0.1") == WRONG
    assert login("secret", more="\tforward_fields=rip=203.0.113.9") == LATER


def test_no_rip_is_a_shared_network(scene, login):
    for name in range(12):
        assert login("wrong", rip="", login=f"user{name}@example1.com").startswith("FAIL")
    assert login("secret", rip="") == IN
    assert scene.counters.limit_trips == {}


def test_an_allowed_network(login):
    for number in range(20):
        assert login(f"guess {number}", rip="198.18.0.1") == WRONG
    assert login("secret", rip="198.18.0.1") == IN


def test_the_owner_comes_again_while_his_account_is_attacked(login):
    assert login("secret", rip=HOME) == IN
    for number in range(20):
        login(f"guess {number}", rip=f"10.{number}.0.1")
    assert login("secret", rip=HOME) == IN
    assert login("secret", rip="203.0.113.9") == LATER
    login.scene.clock.advance(5)  # and the eight that the first answer took
    assert login("secret", rip="203.0.113.9") == IN


def test_an_outage_is_no_guess(scene, tmp_path):
    client = connect(scene.login)
    client.heard()
    for number in range(1, 10):
        client.say(f"AUTH\t{number}\tPLAIN\tservice=imap\trip={HOTEL}\tresp={plain(ADAM, f'guess {number}')}\n")
    moved = (tmp_path / "mailhooks.db").rename(tmp_path / "elsewhere.db")
    scene.store.renew()
    scene.clock.advance(8)
    assert client.heard().count("temp_fail") + scene.authenticator.waiting >= LIMIT
    moved.rename(tmp_path / "mailhooks.db")


# Kept on disk


def written(scene):
    scene.throttling.write()
    scene.clock.wait_until(lambda: not scene.throttling._writing)


def test_a_restart_forgets_nothing_and_the_change_number_stays(scene, login, store, store_url, key_file):
    number = store.change_number
    assert login("secret", rip=HOME) == IN
    for guess in range(LIMIT):
        login(f"guess {guess}")
    written(scene)
    assert store.change_number == number
    other = Store(store_url, key_file=key_file)
    assert other.known_network(ADAM, "198.51.100.0/24") is not None
    again = Scene(other, store_url, key_file, throttle=Settings(pair_guesses=LIMIT))
    again.clock.advance(scene.clock.seconds())
    again.throttling.renewed()
    assert Tries(again)("secret") == LATER
    assert Tries(again)("secret", rip=HOME) == IN
    again.end()
    other.close()


def test_a_clearing_acts_at_the_next_renewal(scene, login, store, store_url, key_file):
    for guess in range(LIMIT):
        login(f"guess {guess}")
    written(scene)
    admin = Store(store_url, key_file=key_file)
    with admin.change("admin") as change:
        assert change.clear_throttle(account=ADAM) == 3
    admin.close()
    assert login("secret") == LATER
    store.renew()
    scene.throttling.renewed()
    assert login("secret") == IN
    written(scene)
    assert [row for row in store.throttle_rows() if row.account == ADAM] == []
    assert [(entry.action, entry.subject) for entry in store.audit(1)] == [("throttle clear", ADAM)]


def test_what_is_not_written_in_an_outage_is_written_after_it(scene, login, store, tmp_path):
    for guess in range(LIMIT):
        login(f"guess {guess}")
    moved = (tmp_path / "mailhooks.db").rename(tmp_path / "elsewhere.db")
    written(scene)
    moved.rename(tmp_path / "mailhooks.db")
    found, deadline = set(), time.monotonic() + 10  # a store that was away is opened again after a quarter of a second
    while not found and time.monotonic() < deadline:
        written(scene)
        store.renew()
        found = {row.network for row in store.throttle_rows()} if store.available else set()
    assert found >= {"192.0.2.200/32", "192.0.2.0/24"}


def test_the_end_writes_all_that_is_left(scene, store):
    throttle = scene.throttling.throttle
    for number in range(1200):
        for word in "ab":
            throttle.begin(f"user{number}@example1.com", "127.0.0.1", word, scene.now())
    scene.throttling.stop()
    scene.clock.wait_until(lambda: not throttle.writes() and len(store.throttle_rows()) == 2400)


def test_an_idle_throttle_writes_nothing(scene):
    before = scene.writer.depth
    scene.throttling.write()
    assert not scene.throttling._writing
    assert scene.writer.depth == before


def test_the_log_line_is_stable_and_rare(scene, login):
    lines: list[str] = []

    def observe(event):
        lines.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    try:
        for guess in range(LIMIT + 3):
            login(f"guess {guess}")
        refusal = scene.throttling.throttle.ask(ADAM, HOTEL, "x", scene.now())
        for number in range(500):
            scene.throttling.refused(refusal, "evil\n@x y", f"10.0.{number // 256}.{number % 256}")
    finally:
        globalLogPublisher.removeObserver(observe)
    ours = [line for line in lines if line.startswith("login throttled")]
    assert ours[0] == f"login throttled: rip={HOTEL} scope=pair network={HOTEL}/32 account={ADAM}"
    assert len(ours) <= 103
    assert ours[-1].endswith("account=evil?@x?y")
