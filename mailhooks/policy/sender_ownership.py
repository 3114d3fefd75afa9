"""Refuse what a user who has logged in may not send: as a sender address not theirs, or at all.

The account is looked at again with every command, for a session can be older than the change that took the right to
send away. A client that has not logged in is none of this rule's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailhooks import senders
from mailhooks.address import fold
from mailhooks.wire.policy import Reject

if TYPE_CHECKING:
    from mailhooks.policy.facts import Facts
    from mailhooks.policy.settings import Rule, Settings
    from mailhooks.store import Store
    from mailhooks.wire.policy import Action, Request

STATES = frozenset({"MAIL", "RCPT", "DATA", "END-OF-MESSAGE"})  # earlier there is no sender yet, and VRFY has none


def bind(settings: Settings, facts: Facts) -> Rule:  # noqa: ARG001 - every rule is bound alike
    """Bind the texts, what is said to the null sender, and the delimiter."""
    not_yours = Reject(553, "5.7.1", settings.text("not_yours"))
    no_account = Reject(550, "5.7.1", settings.text("no_account"))
    may_not_send = settings.text("may_not_send")
    null_sender = Reject(553, "5.7.1", settings.text("null_sender")) if settings.null_sender == "refuse" else None
    delimiter = settings.delimiter

    def rule(request: Request, store: Store, now: float) -> Action | None:  # noqa: ARG001 - every rule is called alike
        if not request.sasl_username or request.state not in STATES:
            return None
        login = fold(request.sasl_username)
        state = store.state(login) if login is not None else None
        if login is None or state is None:
            return no_account
        if not state.sends:
            return _may_not_send(store, login, may_not_send)
        if not request.sender:
            return null_sender
        # Nearly always the sender is the login, letter for letter.
        sender = login if request.sender == request.sasl_username else fold(request.sender)
        if sender is None or not senders.owns(store, login, sender, delimiter):
            return not_yours
        return None

    return rule


def _may_not_send(store: Store, login: str, text: str) -> Action:
    account = store.standing(login)
    return Reject(550, "5.7.1", (account.reason if account is not None else "") or text)
