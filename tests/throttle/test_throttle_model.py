from __future__ import annotations

import ipaddress
import math

import pytest
from attack import KEY, OWNER, RIGHT, Door, address_of
from hypothesis import given
from hypothesis import strategies as st

from mailhooks.store.throttling import Clearing
from mailhooks.throttle import Places, Settings
from mailhooks.throttle.records import Record, Table

HOTEL, HOME = "192.0.2.200", "198.51.100.7"
NOW = 1_700_000_000.0

# Places


@pytest.mark.parametrize(
    ("address", "narrow", "wide", "home"),
    [
        ("192.0.2.200", "192.0.2.200/32", "192.0.2.0/24", "192.0.2.0/24"),
        ("::ffff:192.0.2.200", "192.0.2.200/32", "192.0.2.0/24", "192.0.2.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48", "2001:db8::/32", "2001:db8:1::/48"),
        ("fe80::1%eth0", "fe80::/48", "fe80::/32", "fe80::/48"),
        ("::192.0.2.200", "::/48", "::/32", "::/48"),
        ("127.0.0.1", "shared", "", "shared"),
        ("::1", "shared", "", "shared"),
        ("", "shared", "", "shared"),
        (None, "shared", "", "shared"),
        ("mail.example1.com", "shared", "", "shared"),
    ],
)
def test_places(address, narrow, wide, home):
    place = Places((), ("127.0.0.0/8", "::1/128")).of(address)
    assert (place.narrow, place.wide, place.home) == (narrow, wide, home)


@given(st.ip_addresses().map(str))
def test_every_address_lies_in_its_networks(address):
    place = Places().of(address)
    if not place.is_shared:
        ip = ipaddress.ip_address(address)
        ip = getattr(ip, "ipv4_mapped", None) or ip
        assert all(ip in ipaddress.ip_network(network) for network in place.networks)


def test_places_are_remembered_within_bounds():
    places = Places()
    for number in range(30_000):
        places.of(address_of(number))
    assert len(places._places) <= 10_000


def test_a_network_that_is_none_is_an_error():
    with pytest.raises(ValueError, match=r"192\.0\.2\.1/24.* is no network"):
        Places(["192.0.2.1/24"])


# Tables


def test_guesses_fade_by_half_in_each_half_life():
    table = Table(10, 100.0, {})
    record = table.make(("a", "n"))
    for number in range(8):
        record.see(bytes([number, 0]), 16)
        table.add(("a", "n"), 1, NOW)
    assert table.guesses(record, NOW) == pytest.approx(8)
    assert table.guesses(record, NOW + 200) == pytest.approx(2)
    assert table.falls_below(record, 2.5) == pytest.approx(NOW + 200)
    assert table.reaches(record, 2.5, NOW + 199)
    assert not table.reaches(record, 2.5, NOW + 201)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 5)), max_size=300))
def test_a_table_never_holds_more_than_its_capacity_and_knows_what_is_on_disk(attempts):
    changed: dict = {}
    disk: set = set()
    table = Table(8, 10.0, changed)
    now = NOW
    for who, password in attempts:
        now += 1
        key = (f"a{who}", "n")
        if table.make(key).see(bytes([password, 0]), 4):
            table.add(key, 1, now)
        assert len(table) <= 8
        for each in changed:
            (disk.add if table.is_kept(each) else disk.discard)(each)
        changed.clear()
        assert disk == {each for each in table.all_keys() if table.is_kept(each)}


def test_of_several_guesses_the_record_that_counts_least_makes_room():
    table = Table(8, 100.0, {})
    for who, count in (("a", 9), ("b", 2), ("c", 5), ("d", 4), ("e", 3)):
        for number in range(count):
            table.make((who, "n")).see(bytes([number, 0]), 16)
            table.add((who, "n"), 1, NOW)
    assert {account for account, _ in table.all_keys()} == set("acde")


def test_what_has_faded_is_swept():
    changed: dict = {}
    table = Table(8, 100.0, changed)
    for number in range(4):
        table.make(("a", "n")).see(bytes([number, 0]), 16)
        table.add(("a", "n"), 1, NOW)
    table.make(("b", "n")).see(b"xx", 16)
    table.add(("b", "n"), 1, NOW)
    changed.clear()
    table.sweep(NOW + 300)
    assert len(table) == 2
    table.sweep(NOW + 700)
    assert len(table) == 0
    assert list(changed) == [("a", "n")]


@given(st.lists(st.binary(min_size=2, max_size=2), max_size=40))
def test_the_last_distinct_guesses_are_remembered(digests):
    record = Record()
    news = [record.see(digest, 16) for digest in digests]
    assert len(record.seen) <= 32
    assert len(record.seen) // 2 == len({record.seen[i : i + 2] for i in range(0, len(record.seen), 2)})
    if digests:
        assert news[0] is True
        assert record.has(digests[-1])
        record.unsee(digests[-1])
        assert not record.has(digests[-1])


# The model


def test_success_forgives_the_pair():
    door = Door()
    for _ in range(5):
        assert [door.login(HOME, f"typo {n}") for n in range(9)] == ["wrong"] * 9
        assert door.login(HOME, RIGHT) == "in"


def test_a_check_without_a_result_was_no_guess():
    door = Door()
    for number in range(100):
        assert door.throttle.ask(OWNER, HOTEL, f"guess {number}", door.now) is None
        guess = door.throttle.begin(OWNER, HOTEL, f"guess {number}", door.now)
        door.throttle.withdraw(guess, door.now)


def test_a_guess_sent_twice_counts_though_its_first_copy_is_cancelled():
    """The first copy was counted, the second was not: who cancelled the first guessed for nothing."""
    for cancelled in (0, 1):
        for verified_first in (True, False):
            door = Door()
            for number in range(10):
                copies = [door.throttle.begin(OWNER, HOTEL, f"guess {number}", door.now) for _ in range(2)]
                ends = [(door.throttle.wrong, copies[1 - cancelled]), (door.throttle.withdraw, copies[cancelled])]
                for end, copy in ends if verified_first else reversed(ends):
                    end(copy, door.now)
            assert door.throttle.ask(OWNER, HOTEL, RIGHT, door.now) is not None
            assert len(door.throttle._networks.get(("", f"{HOTEL}/32")).seen) == 20


def test_of_the_same_guess_from_two_places_the_account_takes_back_none_that_was_verified():
    door = Door()
    here, there = (door.throttle.begin(OWNER, address, "guess", door.now) for address in (HOTEL, HOME))
    door.throttle.wrong(there, door.now)
    door.throttle.withdraw(here, door.now)
    assert [table.get(key) is not None for table, key in counted(door)] == [False, True, True]


def counted(door):
    throttle = door.throttle
    pairs = [(throttle._pairs, (OWNER, f"{address}/32")) for address in (HOTEL, HOME)]
    return [*pairs, (throttle._accounts, (OWNER, ""))]


ENDS = VERIFIED, MISSED, UNSEEN = list(range(3))


@given(
    st.lists(
        st.one_of(
            st.tuples(st.integers(0, 2), st.sampled_from([RIGHT, *"abcdefgh"])),  # a check begins
            st.tuples(st.integers(0, 30), st.sampled_from(ENDS)),  # one that is under way ends
        ),
        max_size=80,
    )
)
def test_whatever_overlaps_a_password_counts_once_if_any_check_found_it_wrong(steps):
    door = Door(Settings(known_seconds=0))  # so that no place is spared
    throttle, under_way, wrong, forgiven = door.throttle, [], set(), set()

    def end(address, password, guess, how):
        if how == UNSEEN:
            throttle.withdraw(guess, door.now)
        elif how == VERIFIED and password == RIGHT:
            throttle.right(OWNER, address, door.now, guess)
            forgiven.add(address)
        else:
            (throttle.wrong if how == VERIFIED else throttle.stand)(guess, door.now)
            wrong.add((address, password))

    for which, what in steps:
        if isinstance(what, str):
            address = f"10.{which}.0.1"
            under_way.append((address, what, throttle.begin(OWNER, address, what, door.now)))
        elif under_way:
            end(*under_way.pop(which % len(under_way)), what)
    for check in under_way:
        end(*check, UNSEEN)
    assert not throttle._under_way
    assert not throttle._undecided

    def guesses(table, *key):
        record = table.get(key)
        return 0 if record is None else round(table.guesses(record, door.now), 6)

    everywhere = {password for _, password in wrong}
    # The right one may have missed another credential, and was forgiven if it got in elsewhere.
    assert guesses(throttle._accounts, OWNER, "") in {len(everywhere), len(everywhere - {RIGHT})}
    for address in {f"10.{which}.0.1" for which in range(3)} - forgiven:
        here = len({password for where, password in wrong if where == address})
        assert guesses(throttle._pairs, OWNER, f"{address}/32") == here
        assert guesses(throttle._networks, "", f"{address}/32") == here


def test_the_delay_grows_with_the_guesses():
    door = Door()
    times = []
    for number in range(10):
        guess = door.throttle.begin(OWNER, HOTEL, f"guess {number}", door.now)
        times.append(door.throttle.wrong(guess, door.now))
    assert times == [1, 1, 1, 1.5, 2, 2.5, 3, 3, 3, 3]


def test_a_refusal_tells_nothing_about_the_password_and_counts_nothing():
    door = Door()
    for number in range(10):
        door.login(HOTEL, f"guess {number}")
    verified = door.verified
    assert {door.login(HOTEL, word) for word in (RIGHT, "guess 0", "new")} == {"pair"}
    assert door.verified == verified
    door.now += 16.5 * 60
    assert door.login(HOTEL, RIGHT) == "in"


def test_a_known_network_counts_only_against_itself():
    door = Door()
    assert door.login(HOME, RIGHT) == "in"
    for number in range(60):
        door.login(HOME, f"guess {number}")
    assert door.login(HOME, "x") == "pair"
    assert door.login(HOME, RIGHT, "bob@example1.com") == "in"
    assert door.login(HOTEL, "x") == "wrong"  # the account is not under attack


def test_lately_ends_after_thirty_days():
    door = Door()
    door.login(HOME, RIGHT)
    place = door.throttle.places.of(HOME)
    assert door.throttle.is_known(OWNER, place, door.now + 29 * 86400)
    assert not door.throttle.is_known(OWNER, place, door.now + 31 * 86400)


def test_clearing():
    def attacked():
        door = Door()
        for number in range(60):
            door.login(HOTEL, f"guess {number}")
            door.login(HOTEL, "x", f"user{number}@example1.com")
        return door

    door = attacked()
    door.throttle.clear(Clearing(1, OWNER, ""))
    assert door.login(HOTEL, RIGHT) == "network"
    for network in ("192.0.2.200/32", "192.0.2.0/24", "192.0.0.0/16"):
        door = attacked()
        door.throttle.clear(Clearing(1, "", network))
        assert door.login(HOTEL, RIGHT) == "in"
    door = attacked()
    door.throttle.clear(Clearing(1, "", "192.0.2.201/32"))  # its /24 goes, not the other address
    assert door.login(HOTEL, RIGHT) == "pair"
    door.throttle.clear(Clearing(1, "", ""))
    assert door.throttle.records == 0


def test_what_was_cleared_leaves_the_disk_even_if_it_was_just_being_written():
    door = Door()
    for number in range(5):
        door.login(HOTEL, f"guess {number}")
    under_way = door.throttle.writes()
    assert {(row.account, row.network) for row in under_way.rows} >= {(OWNER, f"{HOTEL}/32"), (OWNER, "")}
    door.throttle.clear(Clearing(1, "", ""))
    assert set(door.throttle.writes().gone) >= {(row.account, row.network) for row in under_way.rows}


def test_what_could_not_be_written_is_written_later():
    door = Door()
    door.login(HOME, RIGHT)
    for number in range(5):
        door.login(HOTEL, f"guess {number}")
    first = door.throttle.writes()
    assert not door.throttle.writes()
    door.throttle.not_written(first)
    door.login(HOME, RIGHT)
    again = door.throttle.writes()
    assert set(again.rows) == set(first.rows)
    assert again.notes == first.notes != ()


def test_a_single_guess_is_not_worth_a_write():
    door = Door()
    for number in range(500):
        door.login(address_of(number), "x", f"user{number}@example1.com")
    assert not door.throttle.writes().rows


def test_digests_need_the_key_and_are_too_short_to_find_a_password_by():
    door, other = Door(), Door()
    other.throttle.load(KEY[:-1] + b"1", ())
    digests = [{each.throttle._digest(OWNER, f"guess {n}") for n in range(50)} for each in (door, other)]
    assert digests[0] != digests[1]
    assert all(len(digest) == 2 for digest in digests[0])


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 8), st.floats(0, 4000)), min_size=1, max_size=200
    )
)
def test_no_sequence_of_attempts_lets_more_through_than_the_limit_of_a_pair(attempts):
    door = Door(Settings(pair_guesses=3))
    tried: dict = {}
    for network, account, password, pause in attempts:
        door.now += pause
        name = f"user{account}@example1.com"
        if door.login(f"10.0.{network}.1", f"wrong {password}", name) == "wrong":
            tried.setdefault((network, name), []).append((door.now, password))
    for those in tried.values():
        for begin, _ in those:
            within = {word for at, word in those if begin <= at <= begin + 600}
            assert len(within) <= 5


@pytest.mark.parametrize("name", ["pair_guesses", "network_guesses", "account_guesses"])
def test_a_limit_that_refuses_everybody_is_an_error(name):
    with pytest.raises(ValueError, match="enabled = false"):
        Settings(**{name: 0})


def test_no_number_overflows_after_years():
    door = Door()
    for number in range(12):
        door.login(HOTEL, f"guess {number}")
    door.now += 20 * 365 * 86400
    assert door.login(HOTEL, RIGHT) == "in"
    table = Table(2, 1.0, {})
    assert math.isfinite(table.guesses(Record(1e300), 0.0))


# The short way of a right password


@given(
    tries=st.lists(
        st.tuples(
            st.sampled_from(
                [HOTEL, "192.0.2.9", HOME, "127.0.0.1", "2001:db8:1::1", "2001:db8:2::1", "203.0.113.1", None]
            ),
            st.sampled_from([OWNER, "bob@example1.com"]),
            st.sampled_from([RIGHT, "one", "two"]),
            st.sampled_from([0, 1, 90_000]),
        ),
        max_size=12,
    )
)
def test_where_nothing_is_known_to_note_a_login_is_all_that_is_to_be_done(tries):
    quick, general = Door(allow=["203.0.113.0/24"]), Door(allow=["203.0.113.0/24"])
    for address, account, password, seconds in tries:
        for door in (quick, general):
            door.now += seconds
        key = quick.throttle.unblemished(account, address)
        if key is not None:
            assert quick.throttle.ask(account, address, password, quick.now) is None
        if key is not None and password == RIGHT:
            quick.throttle.note(key, quick.now)
            general.throttle.right(account, address, general.now)
        else:
            assert quick.login(address, password, account) == general.login(address, password, account)
        assert state(quick) == state(general)


def state(door):
    throttle = door.throttle
    tables = (throttle._pairs, throttle._networks, throttle._accounts)
    return [sorted(table.all_keys()) for table in tables], throttle._noted, throttle._notes, throttle._changed


def test_what_was_guessed_at_the_pair_or_its_networks_is_no_clean_slate():
    door = Door()
    assert door.throttle.unblemished(OWNER, HOTEL) == (OWNER, "192.0.2.0/24")
    assert door.throttle.unblemished(OWNER, "127.0.0.1") == (OWNER, "shared")
    assert door.throttle.unblemished(OWNER, "2001:db8:1::1") == (OWNER, "2001:db8:1::/48")
    door.login(HOTEL, "wrong")
    assert door.throttle.unblemished(OWNER, HOME) is None  # the account
    assert door.throttle.unblemished("bob@example1.com", HOTEL) is None  # the network
    assert door.throttle.unblemished("bob@example1.com", "192.0.2.9") is None  # the one around it
    assert door.throttle.unblemished("bob@example1.com", HOME) is not None
