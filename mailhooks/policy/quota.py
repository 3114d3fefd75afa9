"""Refuse a recipient when every mailbox behind it is full, before the mail is accepted and would have to bounce.

Usage is what Dovecot last told (quota_clone); the size is what the client announced with SIZE=, at the end of the
message its real size. Mail for an alias is refused only when it would fit nowhere: one mailbox with room, or one
address outside, is enough. Mailboxes that do not receive do not count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailhooks import recipients
from mailhooks.wire.policy import Reject

if TYPE_CHECKING:
    from mailhooks.policy.facts import Facts
    from mailhooks.policy.settings import Rule, Settings
    from mailhooks.store import Store
    from mailhooks.wire.policy import Action, Request

STATES = frozenset({"RCPT", "END-OF-MESSAGE"})


def bind(settings: Settings, facts: Facts) -> Rule:
    """Bind the reply code and the texts."""
    cure = "try again later" if settings.quota_code == 452 else "tell the recipient by other means"  # noqa: PLR2004 - SMTP
    dsn = f"{settings.quota_code // 100}.2.2"
    one = Reject(settings.quota_code, dsn, f"the mailbox is full and cannot take this message: {cure}")
    several = Reject(settings.quota_code, dsn, f"every mailbox behind this address is full: {cure}")

    def rule(request: Request, store: Store, now: float) -> Action | None:  # noqa: ARG001 - every rule is called alike
        if request.state not in STATES:
            return None
        account = facts.account(request, store)
        if account is not None:
            return one if account.is_full(request.size) else None
        found = facts.recipient(request, store)
        if not found.targets:
            return None
        return several if _all_full(store, found, request.size, settings.delimiter) else None

    return rule


def _all_full(store: Store, found: recipients.Resolution, size: int, delimiter: str) -> bool:
    seen = False
    for leaf in recipients.leaves(store, found.source, delimiter):
        if leaf.outside:
            return False
        if leaf.account is not None and leaf.account.state.receives:
            if not leaf.account.is_full(size):
                return False
            seen = True
    return seen
