"""Work that follows every change of the directory, off the reactor thread: spam preferences, and counting objects.

It runs in a worker thread with a store of its own, soon after the change number moved, never twice at a time; what
changes meanwhile is seen by the next run. An outage is no error: the change number moves when the store comes back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from mailhooks import spamprefs
from mailhooks.store import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from twisted.internet.interfaces import IDelayedCall
    from twisted.python.failure import Failure

    from mailhooks.renewal import Renewal
    from mailhooks.store import Store

SETTLE_SECONDS = 0.1  # several changes in a row are one run
COUNT_SECONDS = 60.0  # counting a million objects takes a second of a worker: not after every change
RETRY_SECONDS = 10.0  # after a failure that the next change might not cure

log = Logger()


class Refresher:
    """Keeps the published preferences and the numbers of objects current."""

    def __init__(self, reactor: Any, store_factory: Callable[[], Store], renewal: Renewal, preferences: Path) -> None:
        self.objects: Mapping[tuple[str, str], int] = {}
        self._reactor = reactor
        self._factory = store_factory
        self._preferences = preferences
        self._counted = float("-inf")
        self._running = False
        self._again = False
        self._next: IDelayedCall | None = None
        self._stopped = False
        renewal.on_change(self.changed)

    def start(self) -> None:
        """Run for the first time."""
        self.changed()

    def stop(self) -> None:
        """Begin no more runs."""
        self._stopped = True
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def changed(self) -> None:
        """Run soon."""
        self._later(SETTLE_SECONDS)

    def _later(self, seconds: float) -> None:
        if self._stopped:
            return
        if self._running:
            self._again = True
            return
        if self._next is not None:
            self._next.cancel()
        self._next = self._reactor.callLater(seconds, self._run)

    def _run(self) -> None:
        self._next = None
        self._running = True
        count = self._reactor.seconds() - self._counted >= COUNT_SECONDS
        done = deferToThreadPool(self._reactor, self._reactor.getThreadPool(), self._work, count)
        done.addCallbacks(self._done, self._failed)

    def _work(self, count: bool) -> tuple[int, Mapping[tuple[str, str], int] | None]:
        """Run in a worker: touches nothing but its own store."""
        store = self._factory()
        try:
            store.renew()
            published = spamprefs.publish(store, self._preferences)
            return len(published.skipped), store.counts() if count else None
        finally:
            store.close()

    def _done(self, result: tuple[int, Mapping[tuple[str, str], int] | None]) -> None:
        self._running = False
        skipped, objects = result
        if skipped:
            log.warn("{skipped} spam preferences are not published: their values would break spamd", skipped=skipped)
        if objects is not None:
            self.objects = objects
            self._counted = self._reactor.seconds()
        if self._again:
            self._again = False
            self._later(SETTLE_SECONDS)
        elif objects is None:
            self._later(COUNT_SECONDS)

    def _failed(self, failure: Failure) -> None:
        self._running = self._again = False
        if failure.check(Unavailable):
            return
        if failure.check(spamprefs.PublishError):
            log.error("{problem}", problem=str(failure.value))
        else:
            log.failure("spam preferences were not published", failure)
        self._later(RETRY_SECONDS)
