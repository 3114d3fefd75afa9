"""Ties the throttle to a running process: the store it is kept in, the clearings of an admin, log and counters.

It is loaded when the store answers for the first time, and written once in a second, a batch of rows at a time. What
was written last may be lost when the machine fails; a guess or two is what that costs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from mailhooks.store import Unavailable
from mailhooks.throttle import Places, Settings, Throttle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IReactorTime
    from twisted.python.failure import Failure

    from mailhooks.counters import Counters
    from mailhooks.store import Batch, Store
    from mailhooks.throttle import Refusal
    from mailhooks.throttle.model import Writes
    from mailhooks.workers import Writer

WRITE_SECONDS = 1.0
LAST_WRITES = 100  # at the end: as many thousand rows as the tables can hold
ADDRESSES_SECONDS = 60.0  # the machine's own addresses are read as often: it may get others while running
LOG_SECONDS = 10.0  # one line for an address in this time
LINES = 100  # of refusals in LOG_SECONDS; a botnet must not fill the disk
MAX_NAME = 100  # characters of a login in a log line

log = Logger()


class Throttling:
    """One for all auth client sockets of a process."""

    def __init__(
        self,
        clock: IReactorTime,
        counters: Counters,
        *,
        store: Store,
        writer: Writer,
        settings: Settings,
        allow: Iterable[str] = (),
        shared: Callable[[], Iterable[str]] = tuple,
        now: Callable[[], float],
    ) -> None:
        """``shared`` tells the shared networks, now. Raises ValueError for what is no network."""
        self.throttle = Throttle(settings, Places(allow, shared()), store.known_network)
        self._clock = clock
        self._counters = counters
        self._store = store
        self._writer = writer
        self._shared = shared
        self._now = now
        self._loaded = (-1, b"")  # generation of the store, and the key found in it
        self._cleared = 0
        self._writing = False
        self._logged: set[str] = set()
        self._logged_since = float("-inf")
        self._timers = [self._every(self.write), self._every(self._share)]

    def start(self) -> None:
        """Begin to write what changes, once the store has been read."""
        for timer, seconds in zip(self._timers, (WRITE_SECONDS, ADDRESSES_SECONDS), strict=True):
            timer.start(seconds, now=False)

    def stop(self) -> None:
        """Write all that is left; the writer finishes it before it ends."""
        for timer in self._timers:
            if timer.running:
                timer.stop()
        for _ in range(LAST_WRITES):
            if not (writes := self.throttle.writes()):
                break
            self._save(writes)

    def renewed(self) -> None:
        """Follow the store, which has changed or come back: load from it, or forget what was cleared."""
        if not self._store.available:
            return
        try:
            if self._store.generation != self._loaded[0]:
                self._load()
            for clearing in self._store.clearings(self._cleared):
                self.throttle.clear(clearing)
                self._cleared = clearing.id
        except Unavailable:  # the next renewal tries again
            return

    def write(self) -> None:
        """Write some of what has changed, unless the last is still being written."""
        if self._writing or self._loaded[0] < 0:
            return
        self.throttle.sweep(self._now())
        if writes := self.throttle.writes():
            self._save(writes)

    def _save(self, writes: Writes) -> None:
        def save(batch: Batch) -> None:
            batch.save_throttle(writes.rows, writes.gone)
            for account, network, at in writes.notes:
                batch.note_network(account, network, at)

        self._writing = True
        done: Deferred[None] = self._writer.batch(save)
        done.addErrback(self._not_written, writes)
        done.addBoth(self._written)

    def refused(self, refusal: Refusal, account: str, address: str | None) -> None:
        """Count a refusal, and log it unless much was logged lately; the line is documented for fail2ban."""
        self._counters.limit_trips[f"login_{refusal.scope}"] += 1
        now = self._clock.seconds()
        if now - self._logged_since >= LOG_SECONDS:
            self._logged.clear()
            self._logged_since = now
        who = address or "-"
        if len(self._logged) >= LINES or who in self._logged:
            return
        self._logged.add(who)
        log.warn(
            "login throttled: rip={address} scope={scope} network={network} account={account}",
            address=_plain(who),
            scope=refusal.scope.value,
            network=refusal.network,
            account=_plain(account),
        )

    def _load(self) -> None:
        generation, key = self._store.generation, self._store.throttle_key()
        if key != self._loaded[1]:  # else the same store was opened again: what is in memory is newer
            self.throttle.load(key, self._store.throttle_rows())
            self._cleared = max((clearing.id for clearing in self._store.clearings(0)), default=0)
        self._loaded = (generation, key)

    def _share(self) -> None:
        self.throttle.places.share(self._shared())

    def _not_written(self, failure: Failure, writes: Writes) -> None:
        self.throttle.not_written(writes)
        if not isinstance(failure.value, Unavailable):
            log.failure("what the throttle counts could not be written", failure)

    def _written(self, _: object) -> None:
        self._writing = False

    def _every(self, function: Callable[[], None]) -> LoopingCall:
        timer = LoopingCall(function)
        timer.clock = self._clock
        return timer


def _plain(text: str) -> str:
    """A client's text as one word of a log line."""
    return "".join(each if each.isprintable() and not each.isspace() else "?" for each in text[:MAX_NAME])
