"""Who may send as an address."""

from __future__ import annotations

import pytest

from mailhooks import senders
from mailhooks.store import Store


@pytest.fixture
def filled(store: Store) -> Store:
    with store.change("test") as change:
        change.add_domain("e.example")
        change.add_domain("f.example")
        change.add_domain("other.example", alias_of="e.example")
        for name in ("adam", "bob", "carol"):
            change.add_mailbox(f"{name}@e.example")
        change.add_alias("sales@e.example", ["adam@e.example"])
        change.add_alias("pair@e.example", ["adam@e.example", "bob@e.example"])
        change.add_alias("half@e.example", ["adam@e.example", "x@outside.example"])
        change.add_alias("list@e.example", ["adam@e.example", "bob@e.example", "carol@e.example"])
        change.add_alias("outlist@e.example", ["adam@e.example", "x@outside.example", "y@outside.example"])
        change.add_alias("chain@e.example", ["sales@e.example"])
        change.add_alias("hidden@e.example", ["adam@e.example", "list@e.example"])
        change.add_alias("carol@e.example", ["carol@e.example", "adam@e.example"])
        change.add_alias("@f.example", ["bob@e.example"])
        change.allow_sender("carol@e.example", "list@e.example")
        change.allow_sender("carol@e.example", "press@outside.example")
        change.allow_sender("bob@e.example", "@e.example")
    store.renew()
    return store


@pytest.mark.parametrize(
    ("login", "sender", "expected"),
    [
        ("adam@e.example", "adam@e.example", True),
        ("adam@e.example", "adam+x@e.example", True),
        ("adam@e.example", "adam+x@other.example", True),
        ("adam@e.example", "bob@e.example", False),
        ("adam@e.example", "sales@e.example", True),
        ("adam@e.example", "sales+x@other.example", True),
        ("adam@e.example", "chain@e.example", True),
        ("adam@e.example", "pair@e.example", True),
        ("adam@e.example", "half@e.example", True),
        ("adam@e.example", "list@e.example", False),
        ("adam@e.example", "outlist@e.example", False),
        ("adam@e.example", "hidden@e.example", False),
        ("adam@e.example", "carol@e.example", False),  # a copy of her mail is not her name
        ("carol@e.example", "carol@e.example", True),
        ("carol@e.example", "list@e.example", True),
        ("carol@e.example", "list+x@other.example", True),
        ("carol@e.example", "press@outside.example", True),
        ("carol@e.example", "other@outside.example", False),
        ("bob@e.example", "any@f.example", True),  # its catch-all delivers to bob
        ("bob@e.example", "list@e.example", True),  # the whole domain is granted
        ("bob@e.example", "adam@e.example", True),
        ("bob@e.example", "unknown@other.example", True),
        ("bob@e.example", "x@outside.example", False),
        ("nobody@e.example", "sales@e.example", False),
    ],
)
def test_owns(filled, login, sender, expected):
    assert senders.owns(filled, login, sender, "+") is expected
    assert (login in senders.owners(filled, sender, "+")) is expected


def test_owners_names_everybody_once(filled):
    assert senders.owners(filled, "pair@e.example", "+") == ("adam@e.example", "bob@e.example")
    assert senders.owners(filled, "list@e.example", "+") == ("carol@e.example", "bob@e.example")
    assert senders.owners(filled, "x@outside.example", "+") == ()


def test_an_account_with_an_extension_in_its_name_is_not_its_base_accounts(filled):
    with filled.change("test") as change:
        change.add_mailbox("adam+own@e.example")
    filled.renew()
    assert not senders.owns(filled, "adam@e.example", "adam+own@e.example", "+")
    assert senders.owns(filled, "adam+own@e.example", "adam+own@e.example", "+")


def test_scopes_go_from_the_address_to_the_hosted_domain(filled):
    assert list(senders.scopes(filled, "a+x@other.example", "+")) == [
        "a+x@other.example",
        "a@other.example",
        "@other.example",
        "a+x@e.example",
        "a@e.example",
        "@e.example",
    ]
    assert list(senders.scopes(filled, "a@e.example", "+")) == ["a@e.example", "@e.example"]
