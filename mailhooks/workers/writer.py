"""One thread with its own writable store: groups small writes into one commit, and acknowledges after it."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.defer import Deferred, fail

from mailhooks.store import Unavailable
from mailhooks.workers.reactor import Raised, Reactor, answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IDelayedCall

    from mailhooks.store import Batch, Change, Store

WRITE_SECONDS = 5.0  # a lookup's own time limit: a dict client hears "try again" then
WRITE_QUEUE = 10_000  # about a second and a half of group commits; each entry is a closure of some hundred bytes
REST_SECONDS = 0.25  # an idle writer looks as often whether its file is still the one at the path
WRITE_GROUP = 500  # operations in one commit, so that its time stays in milliseconds


@dataclass(slots=True, eq=False)
class _Write:
    """One write and who waits for it. ``who`` is None for an operation of a batch."""

    run: Callable[[Any], Any]
    who: str | None
    deadline: float
    done: Deferred[Any] = field(default_factory=Deferred)
    answered: bool = False  # set on the reactor thread; the writer's thread skips by it what has not begun


class Reader(Protocol):
    """What the reactor thread answers by: its store, or whoever renews it and empties what was remembered of it."""

    def renew(self) -> None:
        """Take a fresh snapshot."""


class Writer:
    """Does writes in the order they came.

    While one group is being committed the next one collects. Before anybody hears of a commit, ``reader`` (the store
    of the reactor thread) is renewed, so that this process reads its own writes. A write that was not acknowledged
    within the time limit fails with Unavailable; it may still have been done, as after any lost acknowledgement.
    """

    def __init__(
        self,
        reactor: Reactor,
        store_factory: Callable[[], Store],
        reader: Reader,
        *,
        queue_limit: int = WRITE_QUEUE,
        seconds: float = WRITE_SECONDS,
    ) -> None:
        self._reactor = reactor
        self._factory = store_factory
        self._reader = reader
        self._limit = queue_limit
        self._seconds = seconds
        self._waiting: deque[_Write] = deque()  # what the thread has not begun
        self._unanswered: deque[_Write] = deque()  # in the order of their deadlines
        self._changed = threading.Condition()
        self._stopping = False
        self._timer: IDelayedCall | None = None
        self._ended: Deferred[None] = Deferred()
        threading.Thread(target=self._work, name="writer", daemon=True).start()

    @property
    def depth(self) -> int:
        """How many writes have not begun."""
        return len(self._waiting)

    def batch(self, operation: Callable[[Batch], Any]) -> Deferred[Any]:
        """Do ``operation`` in the next group commit; fires with its result after the commit.

        An operation may be run twice (its group is undone when another one fails): it has no effect but on the batch.
        """
        return self._submit(operation, None)

    def change(self, function: Callable[[Change], Any], *, who: str = "daemon") -> Deferred[Any]:
        """Do ``function`` in a transaction of its own on the directory; fires with its result after the commit."""
        return self._submit(function, who)

    def stop(self) -> Deferred[None]:
        """Take no more, finish what waits, close the store. Fires when the thread has ended."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        return self._ended

    def _submit(self, run: Callable[[Any], Any], who: str | None) -> Deferred[Any]:
        write = _Write(run, who, self._reactor.seconds() + self._seconds)
        with self._changed:
            if self._stopping or len(self._waiting) >= self._limit:
                return fail(Unavailable("too many writes wait"))
            self._waiting.append(write)
            self._changed.notify()
        self._unanswered.append(write)
        if self._timer is None:
            self._timer = self._reactor.callLater(self._seconds, self._expire)
        return write.done

    # On the writer's thread

    def _work(self) -> None:
        store = self._factory()
        try:
            while (group := self._next_group()) is not None:
                if group:
                    self._reactor.callFromThread(self._acknowledge, group, _do(store, group))
                else:
                    store.release()  # an idle handle must not keep a replaced file from being opened anew
        finally:
            store.close()
            self._reactor.callFromThread(self._end)

    def _next_group(self) -> list[_Write] | None:
        """Wait for writes that may go into one commit, in order; an empty list after a rest, None at the end."""
        with self._changed:
            if not self._waiting and not self._stopping:
                self._changed.wait(REST_SECONDS)
            group: list[_Write] = []
            while self._waiting and len(group) < WRITE_GROUP:
                alone = self._waiting[0].who is not None
                if alone and group:
                    break
                write = self._waiting.popleft()
                if write.answered:  # nobody waits for it any more
                    continue
                group.append(write)
                if alone:
                    break
            return None if self._stopping and not group else group

    # On the reactor thread

    def _acknowledge(self, group: list[_Write], outcomes: list[Any]) -> None:
        self._reader.renew()
        for write, outcome in zip(group, outcomes, strict=True):
            if not write.answered:
                write.answered = True
                answer(write.done, outcome)
        while self._unanswered and self._unanswered[0].answered:
            self._unanswered.popleft()

    def _expire(self) -> None:
        """Answer what is late, and look again when the next one will be."""
        self._timer = None
        now = self._reactor.seconds()
        while self._unanswered and (self._unanswered[0].answered or self._unanswered[0].deadline <= now):
            write = self._unanswered.popleft()
            if not write.answered:
                write.answered = True
                write.done.errback(Unavailable("the write took too long"))
        if self._unanswered:
            self._timer = self._reactor.callLater(self._unanswered[0].deadline - now, self._expire)

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._ended.callback(None)


def _do(store: Store, group: list[_Write]) -> list[Any]:
    """Do a group in one commit; the outcome of each write."""
    try:
        if (who := group[0].who) is not None:
            with store.change(who) as change:
                result = group[0].run(change)
            return [result]
        with store.batch() as batch:
            results = [write.run(batch) for write in group]
    except Unavailable as error:
        # Not one by one: each would wait for the lock again.
        return [Raised(Unavailable(str(error))) for _ in group]
    except Exception as error:  # noqa: BLE001 - it belongs to who asked for the write
        if len(group) == 1:
            return [Raised(error)]
        # One bad operation undid its whole group: each alone, so that only the bad one fails.
        return [outcome for write in group for outcome in _do(store, [write])]
    else:
        return results
