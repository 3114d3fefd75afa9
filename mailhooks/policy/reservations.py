"""Mail that was accepted and that Dovecot has not counted yet: it is held against the quota until it has.

What a mailbox holds is told after each delivery, and looked at every second: what it grew by takes mails away. One
that never arrives there (bounced, forwarded by Sieve) is held for an hour at most.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from mailhooks.policy.bounded import Bounded

if TYPE_CHECKING:
    from mailhooks.store import Store
    from mailhooks.store.model import Standing

MAX_MAILBOXES = 10_000  # with mail under way
MAX_HELD = 1000  # mails under way to one mailbox; more are held as one with the last
HELD_SECONDS = 3600.0  # a mail that was not delivered by then waits in the queue, and is counted when it comes
LOOKED_AT = 100  # mailboxes at once, about half a millisecond
CHANGED_SHARE = 20  # delivered mail may be a 20th smaller than it came: line ends, headers that are taken away


@dataclass(slots=True)
class _Held:
    storage: int  # what the mailbox held when this was last looked at
    total: int = 0
    came: int = 0  # bytes by which it grew, and which no mail was taken away for
    mails: deque[tuple[float, int]] = field(default_factory=deque)  # when accepted, bytes


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
        if grown > 0 or held.mails[0][0] <= now - HELD_SECONDS:
            self._settle(held, grown, now - HELD_SECONDS)
        if not held.mails:
            del self._held[account.address]
            return 0
        return held.total

    def look(self, store: Store, now: float) -> None:
        """See what was delivered to some of the mailboxes, before its owner deletes it. Raises ``Unavailable``."""
        for address in list(islice(self._held, LOOKED_AT)):
            account = store.standing(address)
            if account is None or account.quota is None:
                del self._held[address]
            elif self.reserved(account, now):
                self._held.move_to_end(address)

    def _settle(self, held: _Held, grown: int, oldest: float) -> None:
        """Take away what is too old, and the mails that the mailbox grew by.

        Each comes whole, and in any order: the largest that fits is the likeliest. Should it be another one, what is
        over is kept for the next, so that nothing stays when all has come.
        """
        left = [mail for mail in held.mails if mail[0] > oldest]
        held.came += max(grown, 0)
        for mail in sorted(left, key=lambda mail: mail[1], reverse=True):
            if mail[1] <= held.came + held.came // CHANGED_SHARE:
                left.remove(mail)
                held.came = max(0, held.came - mail[1])
        held.mails = deque(left)
        held.total = sum(size for _, size in left)

    def reserve(self, account: Standing, size: int, now: float) -> None:
        """Hold bytes for a mail that was just accepted."""
        self.reserved(account, now)
        held = self._held.get(account.address)
        if held is None:
            held = self._held[account.address] = _Held(account.storage)
        held.came = 0  # by what it grew before, this mail did not come
        if len(held.mails) < MAX_HELD:
            held.mails.append((now, size))
        else:
            at, last = held.mails.pop()
            held.mails.append((at, last + size))
        held.total += size
