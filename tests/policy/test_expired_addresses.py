"""Accounts and aliases that end, and addresses that are not given out again for a time."""

from __future__ import annotations

import pytest
from policy_scene import make_request

from mailhooks import tables
from mailhooks.policy import Policy, Settings
from mailhooks.store import Refused, State, open_store

DAY = 86_400.0


class Clock:
    now = 1_800_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def aging(store_url, clock):
    handle = open_store(store_url, create=True, clock=clock)
    with handle.change("test") as change:
        change.add_domain("e.example")
        change.add_mailbox("guest@e.example")
        change.add_mailbox("adam@e.example")
        change.add_alias("fair@e.example", ["adam@e.example"])
        change.set_mailbox("guest@e.example", expires=clock.now + DAY)
        change.set_alias("fair@e.example", expires=clock.now + DAY)
    handle.renew()
    yield handle
    handle.close()


def hears(store, clock, recipient, **settings):
    policy = Policy(Settings(("recipient_access",), **settings))
    return policy.decide(make_request(recipient=recipient), store, clock.now).action


def test_an_account_that_has_expired_is_closed(aging, clock):
    assert aging.next_change_at == clock.now + DAY
    assert aging.state("guest@e.example") is State.ACTIVE
    clock.now += DAY
    aging.renew()
    assert aging.state("guest@e.example") is State.CLOSED
    assert aging.mailbox("guest@e.example").state is State.CLOSED
    assert aging.standing("guest@e.example").reason == "this address has expired"
    assert hears(aging, clock, "guest@e.example").text == "this address has expired"
    assert hears(aging, clock, "guest@e.example", texts={"expired": "the fair is over"}).text == "the fair is over"


def test_an_alias_that_has_expired_is_refused(aging, clock):
    assert aging.alias("fair@e.example").expires == clock.now + DAY
    assert not hasattr(hears(aging, clock, "fair@e.example"), "text")
    clock.now += DAY
    assert hears(aging, clock, "fair+x@e.example").code == 550
    with aging.change("test") as change:
        change.set_alias("fair@e.example", expires=None)
    aging.renew()
    assert not hasattr(hears(aging, clock, "fair@e.example"), "text")


def asks(store, table, key):
    return tables.lookup(store, table, key, "+")


def test_no_table_knows_an_alias_that_has_expired(aging, clock):
    """One that ended is gone everywhere at one instant, and no catch-all takes its mail over."""
    with aging.change("test") as change:
        change.add_domain("alias.example", alias_of="e.example")
        change.add_alias("@e.example", ["guest@e.example"])
        change.add_alias("list@e.example", ["fair@e.example", "guest@e.example"])
        change.add_alias("only@e.example", ["fair@e.example"])
        change.set_mailbox("guest@e.example", expires=None)
    names = ("fair@e.example", "fair+x@e.example", "fair@alias.example")
    aging.renew()
    assert aging.next_change_at == clock.now + DAY
    for name in names:
        assert asks(aging, "virtual_alias_maps", name)
        assert asks(aging, "smtpd_sender_login_maps", name) == "adam@e.example"
    clock.now += DAY
    aging.renew()
    assert aging.next_change_at is None
    for name in names:
        assert asks(aging, "virtual_alias_maps", name) is None
        assert asks(aging, "smtpd_sender_login_maps", name) is None
        assert hears(aging, clock, name).text == "this address has expired"
    assert asks(aging, "virtual_alias_maps", "list@e.example") == "guest@e.example"
    assert asks(aging, "virtual_alias_maps", "only@e.example") is None
    assert asks(aging, "virtual_alias_maps", "other@e.example") == "guest@e.example"


def test_a_catch_all_that_has_expired(aging, clock):
    with aging.change("test") as change:
        change.add_alias("@e.example", ["adam@e.example"])
        change.set_alias("@e.example", expires=clock.now + DAY)
    aging.renew()
    assert asks(aging, "virtual_alias_maps", "who@e.example") == "adam@e.example"
    clock.now += DAY
    assert asks(aging, "virtual_alias_maps", "who@e.example") is None
    assert hears(aging, clock, "who@e.example").text == "this address has expired"
    assert not hasattr(hears(aging, clock, "adam@e.example"), "text")


def test_a_mailbox_takes_its_mail_again_when_its_alias_has_expired(aging, clock):
    with aging.change("test") as change:
        change.add_alias("adam@e.example", ["guest@e.example"])
        change.set_alias("adam@e.example", expires=clock.now + DAY / 2)
    aging.renew()
    assert asks(aging, "virtual_alias_maps", "adam@e.example") == "guest@e.example"
    clock.now += DAY / 2
    assert asks(aging, "virtual_alias_maps", "adam@e.example") is None
    assert not hasattr(hears(aging, clock, "adam@e.example"), "text")


def test_an_end_in_the_past_is_refused(aging, clock):
    with pytest.raises(Refused, match="past"), aging.change("test") as change:
        change.set_mailbox("guest@e.example", expires=clock.now)


def test_a_removed_address_is_held(aging, clock):
    with aging.change("test") as change:
        change.remove_mailbox("guest@e.example")
        change.remove_alias("fair@e.example")
    clock.now += 3 * DAY
    for make in (
        lambda change: change.add_mailbox("Guest@e.example", hold=10 * DAY),
        lambda change: change.add_alias("fair@e.example", ["adam@e.example"], hold=10 * DAY),
        lambda change: change.add_mailbox("fair@e.example", hold=10 * DAY),
    ):
        with pytest.raises(Refused, match="free in 7 days: --reuse"), aging.change("test") as change:
            make(change)
    with aging.change("test") as change:
        change.add_mailbox("guest@e.example")  # no hold: at once
    clock.now += 7 * DAY
    with aging.change("test") as change:
        change.add_mailbox("fair@e.example", hold=10 * DAY)
