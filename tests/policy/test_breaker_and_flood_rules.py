"""Accounts that look stolen are suspended, networks that try out addresses are stopped, all of it bounded."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from policy_scene import NOW, make_request

from mailhooks.policy import Memory, Policy, Settings
from mailhooks.policy.bounded import Bounded
from mailhooks.policy.memory import MAX_FLOODS, network
from mailhooks.store.sending import parse_limits

CLIENT = "192.0.2.1"


class Scene:
    """Recipients one after another, under a clock that the test turns."""

    def __init__(self, store, **settings):
        self.store = store
        self.clock = SimpleNamespace(now=NOW)
        self.memory = Memory(lambda: self.clock.now, lambda: self.clock.now)
        self.policy = Policy(Settings(("flood",), ("breaker",), (), **settings), self.memory)

    def rcpt(self, recipient="x@outside.example", client=CLIENT, login="adam", port="1000"):
        """Return what the client hears: 250, or the code of a refusal."""
        request = make_request(
            recipient=recipient,
            client_address=client,
            client_port=port,
            sasl_username=f"{login}@e.example" if login else "",
            policy_context="submission" if login else "smtp",
        )
        decision = self.policy.decide(request, self.store, self.clock.now)
        return decision.action.code if decision.rule else 250

    def known(self):
        self.store.renew()


@pytest.fixture
def scene(filled):
    def make(**settings):
        return Scene(filled, **settings)

    return make


def test_too_many_recipients(scene):
    here = scene(breaker_recipients=5, breaker_networks=0)
    assert [here.rcpt() for _ in range(7)] == [250] * 6 + [550]
    (trip,) = here.memory.trips
    assert (trip.address, trip.scope, trip.until) == ("adam@e.example", "breaker_recipients", None)
    assert "6 recipients within an hour" in trip.reason
    assert here.rcpt(login="bob") == 250


def test_recipients_over_more_than_an_hour_are_nothing_strange(scene):
    here = scene(breaker_recipients=5)
    for _ in range(40):
        assert here.rcpt() == 250
        here.clock.now += 900


def test_a_large_share_of_refused_recipients_once_there_are_twenty(scene):
    here = scene(breaker_refused=0.5, breaker_networks=0)
    assert [here.rcpt("nobody@e.example") for _ in range(19)] == [250] * 19
    assert not here.memory.trips
    for _ in range(40):
        here.rcpt()
    for _ in range(20):
        here.rcpt("nobody@e.example")
    assert not here.memory.trips  # 39 of 79
    here.rcpt("nobody@e.example")
    here.rcpt("nobody@e.example")
    assert [trip.scope for trip in here.memory.trips] == ["breaker_refused"]


def test_many_networks_within_an_hour(scene):
    here = scene(breaker_networks=3)
    for client in ("192.0.2.1", "192.0.2.9", "192.0.3.1"):
        assert here.rcpt(client=client) == 250
    here.clock.now += 3601
    for client in ("2001:db8::1", "2001:db8::2", "2001:db8:1::"):
        assert here.rcpt(client=client) == 250
    assert not here.memory.trips
    here.memory.logged_in("adam@e.example", "198.51.100.1", "old phone")
    here.rcpt(client="198.51.100.1")
    (trip,) = here.memory.trips
    assert "3 networks" in trip.reason
    assert "'old phone'" in trip.reason


def test_a_suspension_ends_by_time_or_when_it_is_lifted(scene, filled):
    here = scene(breaker_recipients=1, breaker_hours=2.0)
    assert [here.rcpt() for _ in range(3)] == [250, 250, 550]
    (trip,) = here.memory.trips
    with filled.change("test") as change:
        change.suspend(trip.address, trip.reason, trip.until)
    here.memory.unwritten.clear()
    here.known()
    assert here.rcpt() == 550
    assert filled.audit(1)[0].action == "limit trip"
    here.clock.now += 7201
    assert here.rcpt() == 250
    here.clock.now -= 7201
    assert here.rcpt() == 550
    with filled.change("test") as change:
        change.lift("adam@e.example")
    here.known()
    assert here.rcpt() == 250


def test_in_shadow_mode_nobody_is_suspended(scene):
    here = scene(breaker_recipients=2, shadow=("breaker",))
    assert [here.rcpt() for _ in range(6)] == [250] * 6
    assert [trip.shadow for trip in here.memory.trips] == [True, True]
    assert not here.memory.unwritten


def test_a_session_that_tries_out_addresses_is_ended(scene):
    here = scene(flood_session=3, flood_unknown=0)
    heard = [here.rcpt(f"nobody{number}@e.example", login="") for number in range(5)]
    assert heard == [250, 250, 250, 421, 421]  # 250: Postfix itself refuses them
    assert here.rcpt("adam@e.example", login="", port="1001") == 250
    assert here.memory.limit_trips == ["flood", "flood"]


def test_a_network_that_tries_out_addresses_is_put_off_for_an_hour(scene):
    here = scene(flood_session=0, flood_unknown=4)
    for number in range(4):
        assert here.rcpt(f"nobody{number}@e.example", login="", client=f"192.0.2.{number}", port=str(number)) == 250
    assert here.rcpt("adam@e.example", login="", client="192.0.2.200") == 450
    assert here.rcpt("adam@e.example", login="", client="192.0.3.200") == 250
    assert here.rcpt("adam@e.example", client="192.0.2.200") == 250  # a user who has logged in
    here.clock.now += 3600 * 25 / 24 + 1
    assert here.rcpt("adam@e.example", login="", client="192.0.2.200") == 250


def test_a_large_server_with_some_unknown_recipients_is_no_flood(scene):
    here = scene(flood_session=2, flood_unknown=4, flood_share=0.5)
    for number in range(20):
        for recipient in ("adam@e.example", "bob@e.example", f"nobody{number}@e.example"):
            assert here.rcpt(recipient, login="") == 250


def test_what_is_remembered_of_networks_is_bounded(scene):
    here = scene()
    for number in range(MAX_FLOODS // 2 + 100):
        here.rcpt("nobody@e.example", login="", client=f"10.{number // 250}.{number % 250}.1", port="1")
    assert len(here.memory.floods) == MAX_FLOODS


def test_a_bounded_dict_forgets_the_oldest():
    held = Bounded(2)
    for key in "abac":
        held[key] = key
    assert list(held) == ["a", "c"]


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("unknown", ""),
        ("", ""),
    ],
)
def test_the_network_of_a_client(client, expected):
    assert network(client) == expected


def test_who_ran_into_a_limit_was_taken_for_a_thief(filled):
    """A mail program that tried again and again at its limit had the account suspended."""
    with filled.change("test") as change:
        change.set_send_limit("adam@e.example", parse_limits("1/1h"))
    filled.renew()
    here = Scene(filled, breaker_refused=0.5)
    here.policy = Policy(
        Settings((), ("limits", "breaker"), (), breaker_refused=0.5, limit_action="refuse"), here.memory
    )
    here.memory.count(filled, "user adam@e.example", 1, (3600,))
    assert {here.rcpt() for _ in range(30)} == {550}
    assert not here.memory.unwritten


def test_recipients_by_way_of_this_host_are_unknown_ones(scene):
    """A network could ask for any number of them."""
    here = scene(flood_session=3)
    asked = [here.rcpt(f"x{number}@e.example@[127.0.0.1]", login="") for number in range(5)]
    assert asked == [250] * 3 + [421] * 2
