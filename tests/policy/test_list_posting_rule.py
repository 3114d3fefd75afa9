"""Who may post to a list: every posting rule against every kind of poster."""

from __future__ import annotations

import pytest

from mailhooks.store.model import Posting
from mailhooks.wire.policy import Dunno, render

# poster -> (sender, login)
POSTERS = {
    "stranger": ("joe@outside.example", ""),
    "null": ("", ""),
    "member": ("adam@e.example", "adam@e.example"),
    "member from outside": ("Carol+Lists@other.example", ""),
    "outside member": ("ext@outside.example", ""),
    "member by alias": ("sales@e.example", ""),
    "colleague": ("free@e.example", "free@e.example"),
    "colleague from outside": ("free@other.example", ""),
    "moderator": ("bob@e.example", "bob@e.example"),
    "moderator from outside": ("bob@e.example", ""),
    "user with a strange sender": ("joe@outside.example", "free@e.example"),
}
LOCAL = {name for name, (sender, _) in POSTERS.items() if sender and "outside" not in sender}
LOGGED_IN = {name for name, (_, login) in POSTERS.items() if login}
MODERATORS = {"moderator", "moderator from outside"}
ALLOWED = {
    Posting.ANYONE: set(POSTERS),
    Posting.MEMBERS: MODERATORS | {"member", "member from outside", "outside member", "member by alias"},
    Posting.DOMAIN: LOCAL | {"user with a strange sender"},
    Posting.MODERATORS: MODERATORS,
    Posting.AUTHENTICATED: LOGGED_IN,
}


@pytest.mark.parametrize("poster", POSTERS)
@pytest.mark.parametrize("posting", Posting)
@pytest.mark.parametrize("spelling", ["{}@e.example", "{}+x@E.example", "{}@other.example"])
def test_who_may_post(decide, posting, poster, spelling):
    sender, login = POSTERS[poster]
    decision = decide("list_posting", recipient=spelling.format(posting), sender=sender, sasl_username=login)
    if poster in ALLOWED[posting]:
        assert decision.action == Dunno()
    else:
        assert decision.rule == "list_posting"


@pytest.mark.parametrize(
    ("posting", "words"),
    [
        ("members", b"only members of this list may post to it"),
        ("domain", b"only senders of this list's own domain may post to it"),
        ("moderators", b"only moderators of this list may post to it"),
        ("authenticated", b"only users who have logged in here may post to this list"),
    ],
)
def test_the_refusal_says_the_lists_rule(decide, posting, words):
    decision = decide("list_posting", recipient=f"{posting}@e.example")
    assert render(decision.action) == b"action=550 5.7.2 %s\n\n" % words


def test_members_of_a_list_within_are_members(decide, filled):
    with filled.change("test") as change:
        change.add_alias("outer@e.example", ["pair@e.example", "free@e.example"], posting=Posting.MEMBERS)
    for sender, allowed in {"bob@e.example": True, "pair@e.example": True, "dave@e.example": False}.items():
        assert (decide("list_posting", recipient="outer@e.example", sender=sender).action == Dunno()) is allowed


def test_a_catch_all_may_have_a_rule(decide, filled):
    with filled.change("test") as change:
        change.add_alias("@e.example", ["adam@e.example"], posting=Posting.AUTHENTICATED)
    assert decide("list_posting", recipient="any@e.example").rule == "list_posting"
    assert decide("list_posting", recipient="any@e.example", sasl_username="free@e.example").action == Dunno()


def test_only_recipients_are_looked_at(decide):
    assert decide("list_posting", recipient="members@e.example", protocol_state="DATA").action == Dunno()
