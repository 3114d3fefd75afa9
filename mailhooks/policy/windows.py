"""Counting in sliding windows: how many recipients in the last hour, and when there is room again.

A window is cut into slices, and what was counted in a slice leaves the window as one, when the slice's last moment has.
So a limit is never overrun, in no window however laid; what was counted may stand against it for a slice too long, a
24th of the window. The memory of a counter is the slices that were used.

Time is seconds since the epoch that never go back (``Memory.time``).
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mailhooks.store.sending import Limit

SLICES = 24  # an hour in pieces of two and a half minutes


class Counter:
    """What was counted, for windows of some lengths."""

    __slots__ = ("_slices",)

    def __init__(self) -> None:
        self._slices: dict[int, dict[int, int]] = {}  # length of the window -> slice -> count; slices in their order

    @classmethod
    def load(cls, text: str, now: float, later: float = 0.0) -> Counter:
        """Read what ``dump`` wrote, as if it had been ``later`` seconds later.

        Slices that lie ahead, since the clock was set back, become the present one.
        """
        counter = cls()
        for word in text.split():
            seconds, at, number = map(int, word.split(":"))
            slices = counter._slices.setdefault(seconds, {})
            at = min(at + _slices(later, seconds), _slice(now, seconds))
            slices[at] = slices.get(at, 0) + number
        return counter

    def dump(self, later: float = 0.0) -> str:
        """Write everything as ``seconds:slice:number``, joined by spaces, as if it had been ``later`` seconds later."""
        return " ".join(
            f"{seconds}:{at + _slices(later, seconds)}:{number}"
            for seconds, slices in self._slices.items()
            for at, number in slices.items()
        )

    @property
    def ends(self) -> float:
        """When all that was counted will have left its window."""
        last = ((seconds, max(slices)) for seconds, slices in self._slices.items() if slices)
        return max(((at + SLICES + 1) * seconds / SLICES for seconds, at in last), default=0.0)

    def used(self, seconds: int, now: float) -> int:
        """How many are in the window of this length that ends now."""
        slices = self._slices.get(seconds)
        if not slices:
            return 0
        oldest = _slice(now, seconds) - SLICES
        while slices and (first := next(iter(slices))) < oldest:
            del slices[first]
        return sum(slices.values())

    def add(self, number: int, lengths: Iterable[int], now: float) -> None:
        """Count in the windows of these lengths."""
        for seconds in lengths:
            self.used(seconds, now)
            slices = self._slices.setdefault(seconds, {})
            at = _slice(now, seconds)
            slices[at] = slices.get(at, 0) + number

    def exceeded(self, limits: Iterable[Limit], number: int, now: float) -> Limit | None:
        """The first limit that has no room for ``number`` more."""
        for limit in limits:
            if self.used(limit.seconds, now) + number > limit.recipients:
                return limit
        return None

    def room_at(self, limit: Limit, number: int, now: float) -> float:
        """When there will be room for ``number`` more, if nothing is counted meanwhile; never is a window from now."""
        over = self.used(limit.seconds, now) + number - limit.recipients
        if over <= 0:
            return now
        for at, counted in self._slices.get(limit.seconds, {}).items():
            over -= counted
            if over <= 0:
                return (at + SLICES + 1) * limit.seconds / SLICES
        return now + limit.seconds


def _slice(now: float, seconds: int) -> int:
    return int(now * SLICES // seconds)


def _slices(later: float, seconds: int) -> int:
    """How many slices later; the one begun counts, for what was counted must not leave its window too early."""
    return ceil(later * SLICES / seconds)
