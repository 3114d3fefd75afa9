"""Refuse a recipient whose account does not receive, with the account's reason.

It stands before Postfix's own check of unknown recipients, for which such an account exists. An alias is refused when
there are accounts behind it and none of them receives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailhooks import recipients
from mailhooks.store.model import State
from mailhooks.wire.policy import Reject

if TYPE_CHECKING:
    from mailhooks.policy.facts import Facts
    from mailhooks.policy.settings import Rule, Settings
    from mailhooks.store import Store
    from mailhooks.store.model import Standing
    from mailhooks.wire.policy import Action, Request

STATES = frozenset({"RCPT", "VRFY"})
TEXTS = {
    State.SEND_ONLY: "this address only sends mail: nobody reads what is sent to it",
    State.CLOSED: "this account is closed",
}
NOBODY = "nobody behind this address receives mail any more"


def bind(settings: Settings, facts: Facts) -> Rule:
    """Bind the delimiter."""
    delimiter = settings.delimiter

    def rule(request: Request, store: Store, now: float) -> Action | None:  # noqa: ARG001 - every rule is called alike
        if request.state not in STATES:
            return None
        account = facts.account(request, store)
        if account is not None:
            return None if account.state.receives else _refusal(_text(account))
        found = facts.recipient(request, store)
        return _of_alias(store, found, delimiter) if found.targets else None

    return rule


def _of_alias(store: Store, found: recipients.Resolution, delimiter: str) -> Action | None:
    """Refuse an alias of which all accounts are silent; a text on which they agree is theirs to say."""
    texts: set[str] = set()
    for leaf in recipients.leaves(store, found.source, delimiter):
        if leaf.outside or (leaf.account is not None and leaf.account.state.receives):
            return None
        if leaf.account is not None:
            texts.add(_text(leaf.account))
    if not texts:
        return None  # nobody at all: virtual_alias_maps does not know the address, so Postfix refuses it
    return _refusal(texts.pop() if len(texts) == 1 else NOBODY)


def _text(account: Standing) -> str:
    return account.reason or TEXTS[account.state]


def _refusal(text: str) -> Action:
    """Say 550 and X.2.1, "mailbox disabled, not accepting messages" (RFC 3463 section 3.3)."""
    return Reject(550, "5.2.1", text)
