"""The daemon's log lines: where they go is decided by ``run``; here is what keeps them few."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FAULT_SECONDS = 10.0  # the same fault is logged once in this time: an outage is one line, not one per request
MAX_FAULTS = 1000  # kinds of faults remembered; more would be a leak


class Limited:
    """Lets the same thing through once in ``FAULT_SECONDS``, and tells how many were held back meanwhile."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[str, tuple[float, int]] = {}

    def passes(self, key: str) -> int | None:
        """How many of ``key`` were held back since the last that passed, or None if this one is held back too."""
        now = self._clock()
        last, held = self._seen.get(key, (float("-inf"), 0))
        if now - last < FAULT_SECONDS:
            self._seen[key] = (last, held + 1)
            return None
        if len(self._seen) >= MAX_FAULTS:
            self._seen.clear()
        self._seen[key] = (now, 0)
        return held
