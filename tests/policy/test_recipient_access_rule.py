"""Refuse a recipient whose account does not receive."""

from __future__ import annotations

import pytest

from mailhooks.store.model import State
from mailhooks.wire.policy import Dunno, render


@pytest.mark.parametrize(
    ("recipient", "text"),
    [
        ("closed@e.example", b"this account is closed"),
        ("Closed+X@other.example", b"this account is closed"),
        ("gone@e.example", b"moved to gone@outside.example"),
        ("noreply@e.example", b"this address only sends mail: nobody reads what is sent to it"),
        ("silent@e.example", b"nobody behind this address receives mail any more"),
        ("left+x@other.example", b"moved to gone@outside.example"),
    ],
)
def test_the_reason_is_said(decide, recipient, text):
    assert render(decide("recipient_access", recipient=recipient).action) == b"action=550 5.2.1 %s\n\n" % text


@pytest.mark.parametrize(
    "recipient",
    [
        "adam@e.example",
        "muted@e.example",
        "away@e.example",
        "mixed@e.example",
        "half@e.example",
        "who@e.example",
        "x@outside.example",
        "",
    ],
)
def test_others_are_not_its_business(decide, recipient):
    assert decide("recipient_access", recipient=recipient).action == Dunno()


@pytest.mark.parametrize(
    "recipient", ["{}@[127.0.0.1]", "{}@[IPv6:::1]", '"{}"@[127.0.0.1]', "{}@[192.0.2.1]@[127.0.0.1]"]
)
@pytest.mark.parametrize("address", ["closed@e.example", "adam@e.example", "x@outside.example"])
def test_an_address_by_way_of_this_host_got_around_every_rule(decide, recipient, address):
    refused = render(decide("recipient_access", recipient=recipient.format(address)).action)
    assert refused == b"action=550 5.1.3 write the address alone, without a host in brackets behind it\n\n"


def test_an_address_literal_alone_is_nothing_strange(decide):
    assert decide("recipient_access", recipient="postmaster@[127.0.0.1]").action == Dunno()


def test_vrfy_hears_the_same(decide):
    assert decide("recipient_access", recipient="closed@e.example", protocol_state="VRFY").rule == "recipient_access"


def test_an_alias_of_nobody_is_left_to_the_tables(decide, filled):
    with filled.change("test") as change:
        change.add_alias("dead@e.example", ["never@e.example"], keep_dangling=True)
    assert decide("recipient_access", recipient="dead@e.example").action == Dunno()


def test_an_account_that_receives_again_is_accepted_at_once(decide, filled):
    assert decide("recipient_access", recipient="closed@e.example").rule
    with filled.change("test") as change:
        change.set_mailbox("closed@e.example", state=State.ACTIVE)
    assert decide("recipient_access", recipient="closed@e.example").action == Dunno()
