"""Refuse a sender that the login does not own."""

from __future__ import annotations

import pytest

from mailhooks.policy import Settings
from mailhooks.wire.policy import Dunno, render

ADAM = {"sasl_username": "adam@e.example"}


@pytest.mark.parametrize(
    ("sender", "refused"),
    [
        ("adam@e.example", False),
        ("Adam+News@E.EXAMPLE", False),
        ("adam@other.example", False),
        ("sales@e.example", False),
        ("pair@e.example", False),
        ("bob@e.example", True),
        ("members@e.example", True),
        ("who@e.example", True),
        ("stranger@outside.example", True),
        ("nonsense", True),
    ],
)
def test_a_login_sends_as_what_it_owns(decide, sender, refused):
    decision = decide("sender_ownership", sender=sender, **ADAM)
    if refused:
        assert render(decision.action).startswith(b"action=553 5.7.1 this is not your sender address")
    else:
        assert decision.action == Dunno()


def test_a_grant_works_at_once(decide, filled):
    assert decide("sender_ownership", sender="stranger@outside.example", **ADAM).rule
    with filled.change("test") as change:
        change.allow_sender("adam@e.example", "@outside.example")
    assert decide("sender_ownership", sender="stranger@outside.example", **ADAM).action == Dunno()
    with filled.change("test") as change:
        change.revoke_sender("adam@e.example", "@outside.example")
    assert decide("sender_ownership", sender="stranger@outside.example", **ADAM).rule


def test_the_login_may_be_spelt_in_any_case(decide):
    assert decide("sender_ownership", sender="adam@e.example", sasl_username="Adam@E.example").action == Dunno()


def test_the_null_sender_is_a_setting(decide):
    assert decide("sender_ownership", sender="", **ADAM).rule == "sender_ownership"
    assert decide(Settings(("sender_ownership",), null_sender="allow"), sender="", **ADAM).action == Dunno()


def test_who_has_not_logged_in_is_not_its_business(decide):
    assert decide("sender_ownership", sender="adam@e.example").action == Dunno()
    assert decide("sender_ownership", sender="").action == Dunno()


def test_an_open_session_loses_the_right_to_send_with_its_account(decide, filled):
    muted = decide("sender_ownership", sender="muted@e.example", sasl_username="muted@e.example")
    assert render(muted.action) == b"action=550 5.7.1 unpaid bill\n\n"
    assert decide("sender_ownership", sender="bob@e.example", sasl_username="bob@e.example").action == Dunno()
    with filled.change("test") as change:
        change.remove_mailbox("bob@e.example")
    removed = decide("sender_ownership", sender="bob@e.example", sasl_username="bob@e.example")
    assert b"does not exist any more" in render(removed.action)


def test_an_account_that_only_sends_may_send(decide):
    assert decide("sender_ownership", sender="noreply@e.example", sasl_username="noreply@e.example").action == Dunno()
