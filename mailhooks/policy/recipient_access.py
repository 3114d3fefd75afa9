"""Refuse a recipient whose account does not receive, with the account's reason.

It stands before Postfix's own check of unknown recipients, for which such an account exists. An alias is refused when
there are accounts behind it and none of them receives, and when it has expired: then no table knows it any more. An
address by way of this host (``adam@example.com@[192.0.2.1]``) is nobody's: it would get around every other rule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailhooks import recipients
from mailhooks.policy.facts import is_routed
from mailhooks.store.model import EXPIRED, State
from mailhooks.wire.policy import Reject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mailhooks.policy.facts import Facts
    from mailhooks.policy.settings import Rule, Settings
    from mailhooks.store import Store
    from mailhooks.store.model import Standing
    from mailhooks.wire.policy import Action, Request

STATES = frozenset({"RCPT", "VRFY"})
NAMES = {State.SEND_ONLY: "send_only", State.CLOSED: "closed"}  # of the texts


def bind(settings: Settings, facts: Facts) -> Rule:
    """Bind the texts."""
    texts = {state: settings.text(name) for state, name in NAMES.items()}
    nobody, expired = settings.text("nobody"), settings.text("expired")
    routed = Reject(550, "5.1.3", settings.text("routed"))

    def said(account: Standing) -> str:
        return expired if account.reason == EXPIRED else account.reason or texts[account.state]

    def rule(request: Request, store: Store, _now: float) -> Action | None:
        if request.state not in STATES:
            return None
        account = facts.account(request, store)
        if account is not None:
            return None if account.state.receives else _refusal(said(account))
        found = facts.recipient(request, store)
        if found is recipients.NOWHERE and is_routed(request.recipient):
            return routed
        if found.step is recipients.Step.EXPIRED:
            return _refusal(expired)
        if not found.targets:
            return None
        return _of_alias(facts.leaves(request, store), said, nobody)

    return rule


def _of_alias(leaves: Iterable[recipients.Leaf], said: Callable[[Standing], str], nobody: str) -> Action | None:
    """Refuse an alias of which all accounts are silent; a text on which they agree is theirs to say."""
    texts: set[str] = set()
    for leaf in leaves:
        if leaf.outside or (leaf.account is not None and leaf.account.state.receives):
            return None
        if leaf.account is not None:
            texts.add(said(leaf.account))
    if not texts:
        return None  # nobody at all: virtual_alias_maps does not know the address, so Postfix refuses it
    return _refusal(texts.pop() if len(texts) == 1 else nobody)


def _refusal(text: str) -> Action:
    """Say 550 and X.2.1, "mailbox disabled, not accepting messages" (RFC 3463 section 3.3)."""
    return Reject(550, "5.2.1", text)
