"""Refuse a recipient when every mailbox behind it is full."""

from __future__ import annotations

import pytest
from policy_scene import set_usage

from mailhooks.policy import Settings
from mailhooks.wire.policy import Dunno, render


@pytest.mark.parametrize(
    ("used", "size", "refused"),
    [
        (0, "0", False),
        (999, "0", False),
        (1000, "0", True),  # SIZE= is missing: it has at least one byte
        (1001, "0", True),
        (400, "600", False),
        (400, "601", True),
        (0, "1001", True),
        (5000, "1", True),
    ],
)
def test_usage_and_size_against_the_limit(decide, filled, used, size, refused):
    set_usage(filled, adam=used)
    assert (decide("quota", size=size).rule == "quota") is refused


def test_a_mailbox_that_was_never_counted_is_empty(decide):
    assert decide("quota", size="1000").action == Dunno()
    assert decide("quota", size="1001").rule == "quota"


def test_a_mailbox_without_limit_is_never_full(decide, filled):
    set_usage(filled, free=10**15)
    assert decide("quota", recipient="free@e.example", size="999999999").action == Dunno()


def test_a_new_limit_works_at_once(decide, filled):
    set_usage(filled, adam=1000)
    assert decide("quota").rule == "quota"
    with filled.change("test") as change:
        change.set_mailbox("adam@e.example", quota=2000)
    assert decide("quota").action == Dunno()


@pytest.mark.parametrize(
    "recipient", ["Adam+Work@E.example", "adam@other.example", "sales@e.example", "sales+x@other.example"]
)
def test_every_way_to_a_full_mailbox_is_refused(decide, filled, recipient):
    set_usage(filled, adam=1000)
    assert decide("quota", recipient=recipient).rule == "quota"


def test_an_alias_is_refused_only_when_all_behind_it_are_full(decide, filled):
    set_usage(filled, adam=1000)
    assert decide("quota", recipient="pair@e.example").action == Dunno()
    set_usage(filled, bob=1000)
    decision = decide("quota", recipient="pair@e.example")
    assert decision.rule == "quota"
    assert "every mailbox behind" in decision.action.text
    assert "adam" not in decision.action.text


def test_an_outside_target_has_room(decide, filled):
    set_usage(filled, adam=1000)
    assert decide("quota", recipient="half@e.example").action == Dunno()


def test_a_mailbox_that_does_not_receive_offers_no_room(decide, filled):
    set_usage(filled, adam=1000)
    assert decide("quota", recipient="mixed@e.example").rule == "quota"
    assert decide("quota", recipient="silent@e.example").action == Dunno()  # recipient_access says why


@pytest.mark.parametrize("recipient", ["who@e.example", "x@outside.example", "", "nonsense"])
def test_who_has_no_mailbox_here_is_not_its_business(decide, recipient):
    assert decide("quota", recipient=recipient).action == Dunno()


@pytest.mark.parametrize(("code", "start"), [(452, b"action=452 4.2.2 "), (552, b"action=552 5.2.2 ")])
def test_the_code_is_a_setting(decide, filled, code, start):
    set_usage(filled, adam=1000)
    assert render(decide(Settings(("quota",), quota_code=code)).action).startswith(start)


def test_the_real_size_is_checked_at_the_end_of_the_message(decide):
    changed = {"protocol_state": "END-OF-MESSAGE", "policy_context": "end-of-message"}
    assert decide("quota", size="1001", **changed).rule == "quota"
    assert decide("quota", size="1001", recipient="", recipient_count="2", **changed).action == Dunno()
