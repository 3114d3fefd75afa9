"""Refuse a recipient when every mailbox behind it is full, before the mail is accepted and would have to bounce.

Usage is what Dovecot last told (quota_clone), and on top of it what was accepted and is still under way. The size is
what the client announced with SIZE=, at the end of the message its real size; there a message is refused only when all
its recipients are full. What only mail under way leaves no room for is put off (452) whatever the setting: that mail
may yet go elsewhere. Mail for an alias is refused only when it would fit nowhere: one mailbox with room, or one
address outside, is enough. Mailboxes that do not receive do not count.
"""

from __future__ import annotations

from enum import IntEnum
from itertools import islice
from typing import TYPE_CHECKING

from mailhooks.wire.policy import Reject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from mailhooks.policy import Decision
    from mailhooks.policy.facts import Facts
    from mailhooks.policy.memory import Memory, Message
    from mailhooks.policy.settings import Rule, Settings, Watch
    from mailhooks.recipients import Leaf
    from mailhooks.store import Store
    from mailhooks.store.model import Standing
    from mailhooks.wire.policy import Action, Request

STATES = frozenset({"RCPT", "END-OF-MESSAGE"})
MAX_RESERVED = 50  # mailboxes of one recipient for which room is held: a larger list is not walked to its end


class Fullness(IntEnum):
    """How full a mailbox is for one message."""

    ROOM = 0
    TAKEN = 1  # it has room, and mail that is under way needs it: the one refusal that is always temporary
    FULL = 2


def bind(settings: Settings, facts: Facts) -> Rule:
    """Bind the reply code and the texts."""
    one, several = _refusals(settings, "full"), _refusals(settings, "all_full")
    memory = facts.memory

    def fullness(account: Standing, size: int) -> Fullness:
        if account.quota is None:
            return Fullness.ROOM
        reserved = memory.reservations.reserved(account, memory.time())  # first: it sees what was delivered
        if account.is_full(max(size, 1)):
            return Fullness.FULL
        return Fullness.TAKEN if reserved and account.is_full(max(size, 1) + reserved) else Fullness.ROOM

    def rule(request: Request, store: Store, now: float) -> Action | None:  # noqa: ARG001 - every rule is called alike
        if request.state not in STATES:
            return None
        account = facts.account(request, store)
        if account is not None:
            return one[fullness(account, request.size)]
        if not request.recipient:
            return several[_of_message(fullness, memory.message(request.instance), request, store)]
        if not facts.recipient(request, store).targets:
            return None
        return several[_of_alias(fullness, facts.leaves(request, store), request.size)]

    return rule


def _refusals(settings: Settings, text: str) -> Mapping[Fullness, Action | None]:
    """What is said to each fullness: a mailbox that waits for mail under way may have room again in a moment."""
    later = settings.text(text, cure="try again later")
    final = settings.text(text, cure="tell the recipient by other means")
    full = Reject(552, "5.2.2", final) if settings.quota_code == 552 else Reject(452, "4.2.2", later)  # noqa: PLR2004 - SMTP
    return {Fullness.ROOM: None, Fullness.TAKEN: Reject(452, "4.2.2", later), Fullness.FULL: full}


def watch(settings: Settings, facts: Facts) -> Watch:  # noqa: ARG001 - every watcher is bound alike
    """Remember the mailboxes of a message, and hold room in them when it was accepted."""
    memory = facts.memory

    def seen(request: Request, store: Store, now: float, *, decision: Decision) -> None:  # noqa: ARG001 - every one alike
        state = request.state
        if decision.rule or state not in STATES or not request.instance:
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


def _of_message(
    fullness: Callable[[Standing, int], Fullness], message: Message | None, request: Request, store: Store
) -> Fullness:
    """Say how full the emptiest mailbox of a message is, when all its recipients have a quota."""
    if message is None or message.limited < request.recipient_count:
        return Fullness.ROOM
    accounts = (store.standing(address) for address in message.mailboxes)
    return _least(Fullness.ROOM if account is None else fullness(account, request.size) for account in accounts)


def _of_alias(fullness: Callable[[Standing, int], Fullness], leaves: Iterable[Leaf], size: int) -> Fullness:
    """Say how full the emptiest mailbox behind an alias is."""
    return _least(
        Fullness.ROOM if leaf.account is None else fullness(leaf.account, size)
        for leaf in leaves
        if leaf.outside or (leaf.account is not None and leaf.account.state.receives)
    )


def _least(found: Iterable[Fullness]) -> Fullness:
    """Return the least of some, looking no further than the first with room; of none there is room."""
    least = Fullness.FULL
    at_all = False
    for each in found:
        least, at_all = min(least, each), True
        if least is Fullness.ROOM:
            break
    return least if at_all else Fullness.ROOM
