"""Attacks of docs/throttle.rst, simulated: what the attacker gets to try, and whether the owner gets in meanwhile."""

from __future__ import annotations

import tracemalloc
from functools import partial

from attack import OWNER, RIGHT, Door, address_of

from mailhooks.throttle import Settings

HOUR, DAY = 3600, 86400
HOME, PHONE, HOTEL = "198.51.100.7", "203.0.113.9", "192.0.2.200"
BOTS = 10_000


def guesses(door, seconds, every, attempt):
    """Let an attacker try all the time; how many of his passwords were checked."""
    before = door.verified
    for number in range(int(seconds / every)):
        attempt(number)
        door.now += every
    return door.verified - before


def test_one_address_one_account():
    door = Door()
    first = guesses(door, HOUR, 1, lambda n: door.login(HOTEL, f"guess {n}"))
    assert 10 <= first <= 14
    a_day = guesses(door, DAY, 5, lambda n: door.login(HOTEL, f"later {n}"))
    assert a_day <= 100
    assert door.login(HOME, RIGHT) == "in"


def test_a_thousand_guesses_at_once_do_not_slip_through_before_the_first_is_found_wrong():
    door = Door()
    begun = 0
    for number in range(1000):
        if door.throttle.ask(OWNER, HOTEL, f"guess {number}", door.now) is None:
            door.throttle.begin(OWNER, HOTEL, f"guess {number}", door.now)
            begun += 1
    assert begun == 10


def test_one_address_many_accounts():
    door = Door()
    for neighbour in ("bob@example1.com", "carol@example1.com"):
        assert door.login(HOTEL, RIGHT, neighbour) == "in"
    first = guesses(door, HOUR, 1, lambda n: door.login(HOTEL, "Summer2026", f"user{n}@example1.com"))
    assert 50 <= first <= 70
    assert door.login(HOTEL, RIGHT) == "network"  # a stranger there has to wait
    assert door.login(HOTEL, RIGHT, "bob@example1.com") == "in"  # who was there before has not
    assert door.login(HOME, RIGHT) == "in"
    assert guesses(door, DAY, 10, lambda n: door.login(HOTEL, "Winter2026", f"other{n}@example1.com")) <= 500


def test_neighbours_of_one_network_share_a_limit():
    door = Door()
    tried = guesses(door, HOUR, 1, lambda n: door.login(f"192.0.2.{n % 256}", f"guess {n}"))
    assert 40 <= tried <= 60
    door = Door()
    tried = guesses(door, HOUR, 0.1, lambda n: door.login(f"2001:db8:{n % 65536:x}::1", f"guess {n}"))
    assert tried <= 240  # a provider's whole /32


def test_behind_the_owners_address_he_gets_in_whatever_the_other_guesses():
    """The price of that: his logins forgive what the other guessed."""
    for address in (HOME, "127.0.0.1"):  # the same NAT, or webmail
        door = Door()
        heard, number = [], 0
        for step in range(DAY // 60):
            if step % 5 == 0:
                heard.append(door.login(address, RIGHT))
            while guessed(door, address) < 38:  # he takes care that the pair is not refused
                assert door.login(address, f"guess {number}") == "wrong"
                number += 1
            door.now += 60
        assert set(heard) == {"in"}
        assert 10_000 <= number <= 12_000


def test_behind_the_owners_address_a_careless_guesser_does_not_lock_him_out():
    door = Door()
    heard = []
    for minute in range(DAY // 60):
        door.login(HOME, f"guess {minute}")
        if minute % 5 == 0:
            heard.append(door.login(HOME, RIGHT))
        door.now += 60
    assert set(heard) == {"in"}


def guessed(door, address):
    pairs = door.throttle._pairs
    record = pairs.get((OWNER, door.throttle.places.of(address).narrow))
    return 0 if record is None else pairs.guesses(record, door.now)


def test_a_customers_ipv6_network_is_one_address():
    door = Door()
    a_day = guesses(door, DAY, 5, lambda n: door.login(f"2001:db8:1:{n % 65536:x}::1", f"guess {n}"))
    assert a_day <= 110
    door = Door()
    a_day = guesses(door, DAY, 5, lambda n: door.login(f"2001:db8:1:{n % 65536:x}::1", "x", f"user{n}@example1.com"))
    assert a_day <= 500


def test_a_providers_ipv6_network():
    def of(number):
        return f"2001:db8:{number % 65536:x}::1"

    def once(door, number):
        door.login(of(number), f"guess {number}")

    def twice(door, number):  # he comes again after ten seconds, as an owner would
        once(door, number)
        once(door, number - 10)

    def everybody(door, number):
        door.login(of(number), "x", f"user{number}@example1.com")

    for attempt, first, a_day in ((once, 60, 160), (twice, 280, 1700), (everybody, 1350, 8500)):
        door = Door()
        attempts = partial(attempt, door)
        assert guesses(door, HOUR, 1, attempts) <= first
        assert guesses(door, DAY, 5, lambda n, attempts=attempts: attempts(n + HOUR)) <= a_day


def test_a_botnet_that_never_repeats_a_password_gets_nowhere():
    door = Door()
    assert door.login(HOME, RIGHT) == "in"
    tried = guesses(door, HOUR, 0.1, lambda n: door.login(address_of(n % BOTS), f"guess {n}"))
    assert 50 <= tried <= 60
    assert guesses(door, DAY, 2, lambda n: door.login(address_of(n % BOTS), f"later {n}")) <= 200
    assert door.login(HOME, RIGHT) == "in"
    assert door.login("198.51.100.77", RIGHT) == "in"  # his provider gave him another address


def test_a_mobile_owner_gets_in_from_a_new_network_at_the_second_try_while_10_000_addresses_attack():
    door = Door()
    for number in range(BOTS):
        door.login(address_of(number), f"guess {number}")
    assert door.login(PHONE, RIGHT) == "account"
    for number in range(BOTS):
        door.login(address_of(number), f"more {number}")
    door.now += 10
    assert door.login(PHONE, RIGHT) == "in"
    assert door.login(PHONE, RIGHT) == "in"
    # A typing error costs him half an hour in that network, and nothing in any other.
    assert door.login(HOTEL, "the rihgt one") == "account"
    door.now += 15
    assert door.login(HOTEL, "the rihgt one") == "wrong"
    assert door.login(HOTEL, RIGHT) == "pair"
    assert door.login(HOME, RIGHT) == "account"
    door.now += 10
    assert door.login(HOME, RIGHT) == "in"
    door.now += 30 * 60
    assert door.login(HOTEL, RIGHT) == "in"


def test_a_botnet_that_knows_the_rules_has_three_guesses_a_day_from_each_address_and_cannot_keep_the_owner_out():
    door = Door(Settings(account_guesses=5))
    bots = 200
    before = door.verified
    for step in range(DAY // 60):  # each bot repeats its guess until it is heard
        for bot in range(bots):
            password = f"guess {bot} {door.now - door.now % 600}" if step % 2 else f"guess {bot} {step // 60}"
            door.login(address_of(bot), password)
        if step % 240 == 120:
            network = f"2001:db8:{step:x}::1"
            door.login(network, RIGHT)
            door.now += 12
            assert door.login(network, RIGHT) == "in"
        door.now += 60
    assert (door.verified - before) / bots <= 4


def test_a_phone_that_repeats_an_old_password_for_ever_is_one_guess():
    door = Door()
    assert {door.login(HOME, "old") for _ in range(10_000)} == {"wrong"}
    assert door.login(HOME, "typing error") == "wrong"
    assert door.login(HOME, RIGHT) == "in"
    for number in range(300):  # also where its address changes
        assert door.login(f"203.0.113.{number % 256}", "old") == "wrong"
        door.now += 60
    assert door.login("203.0.113.1", RIGHT) == "in"


def test_an_office_full_of_phones_with_old_passwords_does_not_lock_it_out():
    door = Door()
    staff = [f"user{number}@example1.com" for number in range(200)]
    assert {door.login(HOME, RIGHT, account) for account in staff} == {"in"}
    assert {door.login(HOME, "old", account) for account in staff} == {"wrong"}
    assert {door.login(HOME, RIGHT, account) for account in staff} == {"in"}
    assert door.login(HOME, RIGHT, "new@example1.com") == "in"


def test_webmail_is_never_a_network():
    door = Door()
    assert {door.login("127.0.0.1", "wrong", f"user{n}@example1.com") for n in range(500)} == {"wrong"}
    assert door.login("127.0.0.1", RIGHT) == "in"
    assert {door.login(None, "wrong", f"other{n}@example1.com") for n in range(500)} == {"wrong"}
    assert [door.login("::1", f"guess {n}") for n in range(50)].count("pair") == 10  # known: four times as many


def test_an_allowed_network_is_never_refused():
    door = Door(allow=["192.0.2.0/24"])
    assert {door.login(HOTEL, f"guess {n}") for n in range(500)} == {"wrong"}
    assert door.throttle.records == 0


def test_a_restart_forgets_nothing():
    door = Door()
    assert door.login(HOME, RIGHT) == "in"
    for number in range(100):
        door.login(HOTEL, f"guess {number}")
        door.login(address_of(number), "wrong", f"user{number % 2}@example1.com")
    asked = [(HOTEL, "another"), (PHONE, "another"), (HOME, "another")]
    before = [door.throttle.ask(OWNER, address, password, door.now) for address, password in asked]
    door.restart()
    assert [door.throttle.ask(OWNER, address, password, door.now) for address, password in asked] == before
    assert before[0] is not None
    assert door.login(HOME, RIGHT) == "in"


def test_a_million_addresses_cost_bounded_memory_and_do_not_flush_the_attacker():
    settings = Settings(pairs=2048, networks=1024, accounts=1024, notes=1024)
    door = Door(settings)
    for number in range(12):
        door.login(HOTEL, f"guess {number}")
    assert door.login(HOTEL, "more") == "pair"

    def flood(first, count):
        for number in range(first, first + count):
            guess = door.throttle.begin(f"u{number}@example1.com", address_of(number), "x", door.now)
            door.throttle.wrong(guess, door.now)

    flood(0, 990_000)
    tracemalloc.start()
    flood(990_000, 10_000)
    grown = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert grown < 5_000_000  # no more than a table full: the old ones were allocated before
    assert door.throttle.records <= 4096
    assert door.login(HOTEL, "more") == "pair"
    assert door.login(HOME, RIGHT) == "in"
