"""Mail that was accepted and that Dovecot has not counted yet: it is held against the quota until it has.

What a mailbox holds is told after each delivery; what it grew by since takes the oldest reservations away. A mail that
never arrives there (bounced, forwarded by Sieve) is held for an hour at most.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mailhooks.policy.bounded import Bounded

if TYPE_CHECKING:
    from mailhooks.store.model import Standing

MAX_MAILBOXES = 10_000  # with mail under way
MAX_HELD = 1000  # mails under way to one mailbox; more are held as one with the last
HELD_SECONDS = 3600.0  # a mail that was not delivered by then waits in the queue, and is counted when it comes
CHANGED_SHARE = 20  # delivered mail may be a 20th smaller than it came: line ends, headers that are taken away


@dataclass(slots=True)
class _Held:
    storage: int  # what the mailbox held when this was last looked at
    total: int = 0
    mails: deque[list[float]] = field(default_factory=deque)  # when accepted, bytes


class Reservations:
    """What is under way to each mailbox."""

    def __init__(self) -> None:
        self._held: Bounded[str, _Held] = Bounded(MAX_MAILBOXES)

    def reserved(self, account: Standing, now: float) -> int:
        """Bytes under way to an account."""
        held = self._held.get(account.address)
        if held is None:
            return 0
        grown = account.storage - held.storage
        held.storage = account.storage
        mails = held.mails
        if grown > 0:
            grown += grown // CHANGED_SHARE + 1
        while mails and (grown > 0 or mails[0][0] <= now - HELD_SECONDS):
            taken = int(mails[0][1])
            if mails[0][0] > now - HELD_SECONDS and grown < taken:
                mails[0][1] -= grown
                held.total -= grown
                break
            grown -= taken
            held.total -= taken
            mails.popleft()
        if not mails:
            del self._held[account.address]
            return 0
        return held.total

    def reserve(self, account: Standing, size: int, now: float) -> None:
        """Hold bytes for a mail that was just accepted."""
        self.reserved(account, now)
        held = self._held.get(account.address)
        if held is None:
            held = self._held[account.address] = _Held(account.storage)
        if len(held.mails) < MAX_HELD:
            held.mails.append([now, size])
        else:
            held.mails[-1][1] += size
        held.total += size
