"""Tables of fixed size that say how many distinct guesses were made, fading by half in every half-life.

A record keeps one number for "how many and when": the instant at which its guesses will have faded to one. All records
of a table fade alike, so this number also orders them, at any time, by how much they count.

When a table is full, a record with a single guess makes room in the order in which they came, and of those with more
the one that counts least. So an attacker's record is not flushed by many cheap ones: to drive out one of two guesses,
every place in the table must be taken by a record that counts more, each of which is held against its own network.
"""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict
from math import inf, log2

DIGEST_BYTES = 2
FADED = 4  # half-lives after its guesses have faded to one, a record (a sixteenth of a guess) is dropped
SWEEP = 500  # records looked at in one sweep, so that it takes less than a millisecond

Key = tuple[str, str]  # account and network; "" is any


class Record:
    """What was guessed lately, and what a network was told to come again with."""

    __slots__ = ("falls_at", "seen", "strikes", "ticket", "ticket_at")

    def __init__(self, falls_at: float = -inf, seen: bytes = b"", strikes: int = 0) -> None:
        self.falls_at = falls_at  # seconds since the epoch
        self.seen = seen  # digests of the last distinct guesses, the latest at the end
        self.strikes = strikes  # wrong passwords verified while the account was under attack
        self.ticket = b""  # the digest that it must come again with
        self.ticket_at = 0.0

    def has(self, digest: bytes) -> bool:
        """Tell whether a guess was counted."""
        return _find(self.seen, digest) >= 0

    def see(self, digest: bytes, limit: int) -> bool:
        """Remember a guess as the latest of ``limit``; tell whether it is new."""
        at = _find(self.seen, digest)
        rest = self.seen if at < 0 else self.seen[:at] + self.seen[at + DIGEST_BYTES :]
        self.seen = (rest + digest)[-limit * DIGEST_BYTES :]
        return at < 0

    def unsee(self, digest: bytes) -> None:
        """Forget a guess."""
        at = _find(self.seen, digest)
        if at >= 0:
            self.seen = self.seen[:at] + self.seen[at + DIGEST_BYTES :]


class Table:
    """At most ``capacity`` records: half of them with one guess, half with more."""

    def __init__(self, capacity: int, half_life: float, changed: dict[Key, None]) -> None:
        """Note the keys of what is to be kept on disk, or no more, in ``changed``."""
        self.half_life = half_life
        self._records: dict[Key, Record] = {}
        self.get = self._records.get
        self._half = max(1, capacity // 2)
        self._light: OrderedDict[Key, None] = OrderedDict()  # in the order in which they came
        self._heavy: list[tuple[float, Key]] = []  # a heap; entries whose record has changed since are passed over
        self._changed = changed

    def __len__(self) -> int:
        return len(self._records)

    def guesses(self, record: Record, now: float) -> float:
        """Return how many guesses a record counts now."""
        return math.exp2(min(64.0, (record.falls_at - now) / self.half_life))

    def reaches(self, record: Record | None, limit: float, now: float) -> bool:
        """Tell whether a record counts ``limit`` guesses, to the nearest whole one: the first fade from the start."""
        return record is not None and self.guesses(record, now) >= limit - 0.5

    def falls_below(self, record: Record, limit: float) -> float:
        """Return the instant at which a record will not reach ``limit`` any more."""
        return record.falls_at - self.half_life * log2(limit - 0.5)

    def make(self, key: Key) -> Record:
        """Return the record of a key; a new one at need."""
        record = self.get(key)
        if record is None:
            if len(self._light) >= self._half:
                del self._records[self._light.popitem(last=False)[0]]
            record = self._records[key] = Record()
            self._light[key] = None
        return record

    def add(self, key: Key, amount: float, now: float) -> None:
        """Count ``amount`` guesses more, or less."""
        record = self.get(key)
        if record is None:
            return
        guesses = self.guesses(record, now) + amount
        # Less than a hundredth of a guess is none: what was counted and taken back has lost next to nothing meanwhile.
        self._set(key, record, now + self.half_life * log2(guesses) if guesses > 0.01 else -inf)  # noqa: PLR2004

    def hold(self, key: Key, limit: float, until: float) -> None:
        """Have a record reach ``limit`` until an instant at least."""
        record = self.make(key)
        self._set(key, record, max(record.falls_at, until + self.half_life * log2(limit - 0.5)))

    def load(self, key: Key, record: Record) -> None:
        """Take a record that was kept on disk."""
        self._records[key] = record
        self._push(key, record)

    def drop(self, key: Key) -> None:
        """Forget a record."""
        if self._records.pop(key, None) is not None:
            if key in self._light:
                del self._light[key]
            else:
                self._changed[key] = None

    def all_keys(self) -> list[Key]:
        """Return all keys."""
        return list(self._records)

    def is_kept(self, key: Key) -> bool:
        """Tell whether a record belongs on disk: those with a single guess do not."""
        return key in self._records and key not in self._light

    def sweep(self, now: float) -> None:
        """Drop some of what has faded."""
        faded = now - FADED * self.half_life
        for _ in range(SWEEP):
            if not self._heavy or self._heavy[0][0] > faded:
                break
            self._pop()
        for key in [key for _, key in zip(range(SWEEP), self._light, strict=False)]:
            record = self._records[key]
            if max(record.falls_at, record.ticket_at) <= faded:
                del self._light[key], self._records[key]

    def _set(self, key: Key, record: Record, falls_at: float) -> None:
        record.falls_at = falls_at
        if falls_at == -inf and not record.strikes and not record.ticket:
            self.drop(key)
            return
        if key in self._light and len(record.seen) <= DIGEST_BYTES and not record.strikes:
            return
        self._light.pop(key, None)
        self._changed[key] = None
        self._push(key, record)

    def _push(self, key: Key, record: Record) -> None:
        heapq.heappush(self._heavy, (record.falls_at, key))
        while len(self._records) - len(self._light) > self._half:
            self._pop()
        if len(self._heavy) > 4 * self._half:  # mostly passed over
            self._heavy = [(r.falls_at, k) for k, r in self._records.items() if k not in self._light]
            heapq.heapify(self._heavy)

    def _pop(self) -> None:
        """Drop the record that counts least, or an entry of the heap that says nothing any more."""
        falls_at, key = heapq.heappop(self._heavy)
        record = self.get(key)
        if record is not None and record.falls_at == falls_at and key not in self._light:
            del self._records[key]
            self._changed[key] = None


def _find(seen: bytes, digest: bytes) -> int:
    at = seen.find(digest)
    while at >= 0 and at % DIGEST_BYTES:  # across two digests
        at = seen.find(digest, at + 1)
    return at
