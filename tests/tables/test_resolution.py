"""The fixed order of resolution, one test for each way an address can be found or not."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from mailhooks import recipients, tables
from mailhooks.recipients import Fate, Step
from mailhooks.store import Store
from mailhooks.store.model import State


@pytest.fixture
def filled(store: Store) -> Store:
    with store.change("test") as change:
        change.add_domain("e.example")
        change.add_domain("f.example")
        change.add_domain("other.example", alias_of="e.example")
        for address in ("adam@e.example", "bob@e.example", "adam+shop@e.example", "carol@f.example"):
            change.add_mailbox(address)
        change.add_mailbox("closed@e.example", state=State.CLOSED)
        change.add_mailbox("noreply@e.example", state=State.SEND_ONLY)
        change.add_alias("sales@e.example", ["adam@e.example"])
        change.add_alias("sales+eu@e.example", ["carol@f.example"])
        change.add_alias("team@e.example", ["adam@e.example", "bob@e.example", "x@outside.example"])
        change.add_alias("bob@e.example", ["bob@e.example", "carol@f.example"])
        change.add_alias("nested@f.example", ["team@e.example", "sales@e.example"])
        change.add_alias("@f.example", ["adam@e.example"])
    store.renew()
    return store


@pytest.mark.parametrize(
    ("address", "step", "source", "targets"),
    [
        ("adam@e.example", Step.EXACT, "adam@e.example", ()),
        ("adam+work@e.example", Step.WITHOUT_EXTENSION, "adam@e.example", ()),
        ("adam+shop@e.example", Step.EXACT, "adam+shop@e.example", ()),
        ("adam+shop+x@e.example", Step.WITHOUT_EXTENSION, "adam@e.example", ()),
        ("sales@e.example", Step.EXACT, "sales@e.example", ("adam@e.example",)),
        ("sales+eu@e.example", Step.EXACT, "sales+eu@e.example", ("carol@f.example",)),
        ("sales+us@e.example", Step.WITHOUT_EXTENSION, "sales@e.example", ("adam+us@e.example",)),
        ("bob@e.example", Step.EXACT, "bob@e.example", ("bob@e.example", "carol@f.example")),
        ("bob+x@e.example", Step.WITHOUT_EXTENSION, "bob@e.example", ("bob+x@e.example", "carol+x@f.example")),
        ("adam@other.example", Step.ALIAS_DOMAIN, "adam@e.example", ("adam@e.example",)),
        ("adam+x@other.example", Step.ALIAS_DOMAIN, "adam+x@e.example", ("adam+x@e.example",)),
        ("sales@other.example", Step.ALIAS_DOMAIN, "sales@e.example", ("sales@e.example",)),
        ("who@f.example", Step.CATCH_ALL, "@f.example", ("adam@e.example",)),
        ("who+x@f.example", Step.CATCH_ALL, "@f.example", ("adam+x@e.example",)),
        ("carol@f.example", Step.EXACT, "carol@f.example", ()),
        ("who@e.example", Step.NOWHERE, "", ()),
        ("who@other.example", Step.NOWHERE, "", ()),
        ("who@outside.example", Step.OUTSIDE, "", ()),
    ],
)
def test_an_address_is_found_by_the_first_step_that_knows_it(filled, address, step, source, targets):
    found = recipients.resolve(filled, address, "+")
    assert (found.step, found.source, found.targets) == (step, source, targets)
    assert found.mailbox == ("" if targets else source)


def test_a_catch_all_behind_an_alias_domain_is_the_hosted_domains(filled):
    with filled.change("test") as change:
        change.add_domain("f2.example", alias_of="f.example")
    filled.renew()
    assert recipients.resolve(filled, "who@f2.example", "+").targets == ("who@f.example",)
    assert recipients.mailboxes_behind(filled, "who@f2.example", "+") == ("adam@e.example",)


def test_an_alias_domain_settles_at_its_hosted_domain(filled):
    assert recipients.settle(filled, "sales+x@other.example", "+").source == "sales@e.example"
    assert recipients.settle(filled, "who@other.example", "+") is recipients.NOWHERE


def test_the_delimiter_may_be_off_or_hold_several_characters(filled):
    assert recipients.resolve(filled, "adam+work@e.example", "").step is Step.NOWHERE
    assert recipients.resolve(filled, "adam-work@e.example", "+-").source == "adam@e.example"


def test_an_extension_without_text_is_left_off(filled):
    assert recipients.resolve(filled, "sales+@e.example", "+").targets == ("adam@e.example",)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("adam@e.example", ("adam@e.example",)),
        ("adam+x@other.example", ("adam@e.example",)),
        ("team@e.example", ("adam@e.example", "bob@e.example", "carol@f.example")),
        ("nested@f.example", ("adam@e.example", "bob@e.example", "carol@f.example")),
        ("bob@e.example", ("bob@e.example", "carol@f.example")),
        ("who@f.example", ("adam@e.example",)),
        ("who@e.example", ()),
        ("who@outside.example", ()),
    ],
)
def test_mailboxes_behind(filled, address, expected):
    assert recipients.mailboxes_behind(filled, address, "+") == expected


def test_leaves_tell_mailboxes_outside_and_nobody_apart(filled):
    with filled.change("test") as change:
        change.add_alias("mix@e.example", ["adam@e.example", "x@outside.example", "gone@e.example"], keep_dangling=True)
    filled.renew()
    found = [
        (leaf.name, leaf.account is not None, leaf.outside) for leaf in recipients.leaves(filled, "mix@e.example", "+")
    ]
    assert found == [
        ("adam@e.example", True, False),
        ("x@outside.example", False, True),
        ("gone@e.example", False, False),
    ]


def test_an_alias_that_sends_to_its_own_extension_reaches_everybody_once(filled):
    with filled.change("test") as change:
        change.set_alias("bob@e.example", targets=["bob+copies@e.example", "carol@f.example"])
    filled.renew()
    first = recipients.resolve(filled, "bob@e.example", "+").targets
    assert first == ("bob+copies@e.example", "carol@f.example")
    # cleanup(8) asks again for what it got: the extension must not reach carol, who has the message already
    assert recipients.resolve(filled, "bob+copies@e.example", "+").targets == first
    assert recipients.mailboxes_behind(filled, "bob@e.example", "+") == ("bob@e.example", "carol@f.example")


def test_two_targets_that_become_one_by_the_extension_are_named_once(filled):
    with filled.change("test") as change:
        change.add_alias("twice@e.example", ["adam@e.example", "adam+x@e.example"])
    filled.renew()
    assert recipients.resolve(filled, "twice+x@e.example", "+").targets == ("adam+x@e.example",)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("adam@e.example", Fate.RECEIVED),
        ("closed@e.example", Fate.SILENT),
        ("noreply+x@e.example", Fate.SILENT),
        ("noreply@other.example", Fate.SILENT),
        ("who@outside.example", Fate.RECEIVED),
        ("who@e.example", Fate.DEAD),
        ("team@e.example", Fate.RECEIVED),
    ],
)
def test_fate(filled, address, expected):
    assert recipients.fate(filled, address, "+") is expected


def test_what_the_store_would_refuse_still_ends(filled, tmp_path):
    """A loop and an oversized expansion, put in by hand behind the store's back."""
    with closing(sqlite3.connect(tmp_path / "mailhooks.db")) as raw, raw:
        for source, targets in {
            "one@e.example": ["two@e.example"],
            "two@e.example": ["one@e.example"],
            "big@e.example": [f"u{number}@outside.example" for number in range(recipients.MAX_BEHIND * 2)],
        }.items():
            raw.execute("INSERT INTO alias (source, domain, posting) VALUES (?, 'e.example', 'anyone')", [source])
            rows = ((source, position, target) for position, target in enumerate(targets))
            raw.executemany("INSERT INTO alias_target VALUES (?, ?, ?)", rows)
    filled.renew()
    assert recipients.mailboxes_behind(filled, "one@e.example", "+") == ()
    assert recipients.fate(filled, "one@e.example", "+") is Fate.DEAD
    assert len(list(recipients.leaves(filled, "big@e.example", "+"))) == recipients.MAX_BEHIND


class Counted:
    """A store that may be asked so often only."""

    def __init__(self, store, most):
        self._store, self._left = store, most

    def __getattr__(self, name):
        self._left -= 1
        assert self._left > 0, "the store is asked too often"
        return getattr(self._store, name)


def test_a_chain_of_forwards_took_twice_as_long_with_each_link(store):
    """20 accounts that forwarded one to the next without a copy kept everybody waiting for half a minute."""
    links = 60
    with store.change("test") as change:
        change.add_domain("example1.com")
        for number in range(links + 1):
            change.add_mailbox(f"u{number}@example1.com")
        for number in range(links):
            change.add_alias(f"u{number}@example1.com", [f"u{number + 1}@example1.com"])
    store.renew()
    counted = Counted(store, 100 * links)
    assert tables.virtual_alias_maps(counted, "u0@example1.com", "+") == "u1@example1.com"
    assert recipients.mailboxes_behind(counted, "u0@example1.com", "+") == (f"u{links}@example1.com",)
