"""A directory with one account of each kind, and a way to ask one rule about it."""

from __future__ import annotations

import pytest
from policy_scene import NOW, make_request

from mailhooks.policy import Decision, Policy, Settings
from mailhooks.store import Store
from mailhooks.store.model import Posting, State


@pytest.fixture
def filled(store: Store) -> Store:
    with store.change("test") as change:
        change.add_domain("e.example")
        change.add_domain("other.example", alias_of="e.example")
        for name in ("adam", "bob", "carol", "dave"):
            change.add_mailbox(f"{name}@e.example", quota=1000)
        change.add_mailbox("free@e.example")
        change.add_mailbox("closed@e.example", state=State.CLOSED)
        change.add_mailbox("gone@e.example")
        change.set_mailbox("gone@e.example", state=State.CLOSED, reason="moved to gone@outside.example")
        change.add_mailbox("noreply@e.example", state=State.SEND_ONLY, quota=1000)
        change.add_mailbox("muted@e.example")
        change.set_mailbox("muted@e.example", state=State.NO_SEND, reason="unpaid bill")
        change.add_mailbox("away@e.example", state=State.NO_LOGIN)
        change.add_alias("pair@e.example", ["adam@e.example", "bob@e.example"])
        change.add_alias("half@e.example", ["adam@e.example", "x@outside.example"])
        change.add_alias("silent@e.example", ["closed@e.example", "noreply@e.example"])
        change.add_alias("left@e.example", ["gone@e.example"])
        change.add_alias("mixed@e.example", ["closed@e.example", "adam@e.example"])
        members = ["adam@e.example", "carol@e.example", "dave@e.example", "ext@outside.example"]
        for posting in Posting:
            change.add_alias(f"{posting}@e.example", members, posting=posting)
            change.allow_sender("bob@e.example", f"{posting}@e.example")
        change.add_alias("sales@e.example", ["adam@e.example"])
    store.renew()
    return store


@pytest.fixture
def decide(filled: Store):
    """Decide with one rule in every context, or with the rules given."""

    def call(rules: str | Settings, **changed: str) -> Decision:
        settings = rules if isinstance(rules, Settings) else Settings((rules,), (rules,), (rules,))
        filled.renew()
        return Policy(settings).decide(make_request(**changed), filled, NOW)

    return call
