"""Refuse a recipient when every mailbox behind it is full, before the mail is accepted and would have to bounce.

Usage is what Dovecot last told (quota_clone), and on top of it what was accepted and is still under way. The size is
what the client announced with SIZE=, at the end of the message its real size; there a message is refused only when all
its recipients are full. Mail for an alias is refused only when it would fit nowhere: one mailbox with room, or one
address outside, is enough. Mailboxes that do not receive do not count.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from mailhooks.wire.policy import Reject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mailhooks.policy.facts import Facts
    from mailhooks.policy.memory import Memory
    from mailhooks.policy.settings import Rule, Settings, Watch
    from mailhooks.recipients import Leaf
    from mailhooks.store import Store
    from mailhooks.store.model import Standing
    from mailhooks.wire.policy import Action, Request

STATES = frozenset({"RCPT", "END-OF-MESSAGE"})
MAX_RESERVED = 50  # mailboxes of one recipient for which room is held: a larger list is not walked to its end


def bind(settings: Settings, facts: Facts) -> Rule:
    """Bind the reply code and the texts."""
    cure = "try again later" if settings.quota_code == 452 else "tell the recipient by other means"  # noqa: PLR2004 - SMTP
    dsn = f"{settings.quota_code // 100}.2.2"
    one = Reject(settings.quota_code, dsn, settings.text("full", cure=cure))
    several = Reject(settings.quota_code, dsn, settings.text("all_full", cure=cure))
    memory = facts.memory

    def full(account: Standing, size: int) -> bool:
        if account.quota is None:
            return False
        return account.is_full(max(size, 1) + memory.reservations.reserved(account, memory.time()))

    def rule(request: Request, store: Store, now: float) -> Action | None:  # noqa: ARG001 - every rule is called alike
        if request.state not in STATES:
            return None
        account = facts.account(request, store)
        if account is not None:
            return one if full(account, request.size) else None
        if not request.recipient:
            return several if _all_are(full, request, store) else None
        if not facts.recipient(request, store).targets:
            return None
        return several if _all_full(full, facts.leaves(request, store), request.size) else None

    def _all_are(full: Callable[[Standing, int], bool], request: Request, store: Store) -> bool:
        """Tell whether all recipients of a message have a quota, and all of them are full."""
        message = memory.message(request.instance)
        if message is None or not message.mailboxes or message.limited < request.recipient_count:
            return False
        accounts = (store.standing(address) for address in message.mailboxes)
        return all(account is not None and full(account, request.size) for account in accounts)

    return rule


def watch(settings: Settings, facts: Facts) -> Watch:  # noqa: ARG001 - every watcher is bound alike
    """Remember the mailboxes of a message, and hold room in them when it was accepted."""
    memory = facts.memory

    def seen(request: Request, store: Store, now: float, *, accepted: bool) -> None:  # noqa: ARG001 - every one alike
        state = request.state
        if not accepted or state not in STATES or not request.instance:
            return
        if state == "END-OF-MESSAGE":
            _reserve(memory, request, store)
            return
        account = facts.account(request, store)
        if account is None:
            if facts.recipient(request, store).targets:
                _remember_alias(memory, request.instance, facts.leaves(request, store))
        elif account.quota is not None:
            message = memory.begin(request.instance)
            message.limited += 1
            message.mailboxes.add(account.address)

    return seen


def _remember_alias(memory: Memory, instance: str, found: Iterable[Leaf]) -> None:
    leaves = list(islice(found, MAX_RESERVED))
    limited = {leaf.name for leaf in leaves if leaf.account is not None and _is_limited(leaf.account)}
    if limited:
        message = memory.begin(instance)
        message.mailboxes |= limited
        message.limited += all(leaf.name in limited for leaf in leaves) and len(leaves) < MAX_RESERVED


def _reserve(memory: Memory, request: Request, store: Store) -> None:
    message = memory.message(request.instance)
    for address in message.mailboxes if message is not None else ():
        account = store.standing(address)
        if account is not None and account.quota is not None:
            memory.reservations.reserve(account, request.size, memory.time())


def _is_limited(account: Standing) -> bool:
    return account.quota is not None and account.state.receives


def _all_full(full: Callable[[Standing, int], bool], leaves: Iterable[Leaf], size: int) -> bool:
    seen = False
    for leaf in leaves:
        if leaf.outside:
            return False
        if leaf.account is not None and leaf.account.state.receives:
            if not full(leaf.account, size):
                return False
            seen = True
    return seen
