"""Keeps the reader's snapshot of the store current, and tells those who remember answers when to forget them.

Everybody in the process who renews the reader does it through here: the timer, and the writer before it acknowledges.
So the caches need no look at the store per request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from twisted.internet.task import LoopingCall
from twisted.logger import Logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IReactorTime

RENEW_SECONDS = 0.020  # a change by another process is seen within 50 ms: this, and room for a busy reactor
LAG_WINDOW_SECONDS = 15.0  # the reported lag is the worst of the last one to two windows

log = Logger()


class Reader(Protocol):
    """The part of a Store that this needs."""

    @property
    def available(self) -> bool:
        """Whether the store answers."""

    @property
    def change_number(self) -> int:
        """The number of the last change in the snapshot."""

    @property
    def generation(self) -> int:
        """Counts the files that were opened."""

    @property
    def reason(self) -> str:
        """Why it is not available."""

    @property
    def next_change_at(self) -> float | None:
        """The instant at which an answer changes by time alone."""

    def renew(self) -> None:
        """Take a fresh snapshot."""


class Renewal:
    """One reader, and the caches filled from it."""

    def __init__(self, store: Reader, clock: IReactorTime) -> None:
        self._store = store
        self._clock = clock
        self._forget: list[Callable[[], None]] = []
        self._state: tuple[bool, int, int, float | None] | None = None
        self._timer = LoopingCall(self._tick)
        self._timer.clock = clock
        self._expected = 0.0
        self._lags = [0.0, 0.0]
        self._window_ends = 0.0
        self.store_errors = 0  # times the store went away

    def on_change(self, forget: Callable[[], None]) -> None:
        """Call ``forget`` whenever an answer given before may be wrong now."""
        self._forget.append(forget)

    def renew(self) -> None:
        """Take a fresh snapshot; caches are empty, where they must be, when this returns."""
        store = self._store
        store.renew()
        state = (store.available, store.generation, store.change_number, store.next_change_at)
        if state == self._state:
            return
        if self._state is None or state[0] != self._state[0]:
            self._report(state[0])
        self._state = state
        self.forget()

    def forget(self) -> None:
        """Have every answer given before forgotten."""
        for forget in self._forget:
            forget()

    @property
    def available(self) -> bool:
        """Whether the store answers."""
        return self._store.available

    @property
    def change_number(self) -> int:
        """The number of the last change in the snapshot."""
        return self._store.change_number

    @property
    def lag(self) -> float:
        """Seconds by which the timer was late at worst, lately: how long the reactor was kept busy by one thing."""
        return max(self._lags)

    def start(self) -> None:
        """Renew now, and every RENEW_SECONDS."""
        self._expected = self._clock.seconds()
        self._timer.start(RENEW_SECONDS)

    def stop(self) -> None:
        """Renew no more."""
        if self._timer.running:
            self._timer.stop()

    def _tick(self) -> None:
        now = self._clock.seconds()
        if now >= self._window_ends:
            self._lags = [0.0, self._lags[0]]
            self._window_ends = now + LAG_WINDOW_SECONDS
        self._lags[0] = max(self._lags[0], now - self._expected)
        self._expected = now + RENEW_SECONDS
        self.renew()

    def _report(self, available: bool) -> None:
        if not available:
            self.store_errors += 1
            log.error("the store cannot answer, every client is told to try again: {why}", why=self._store.reason)
        elif self._state is not None:
            log.info("the store answers again")
