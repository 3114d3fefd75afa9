"""A few niced threads for password hashes: pure computations that release the interpreter lock."""

from __future__ import annotations

import os
import threading
import time
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from mailhooks.workers.reactor import Raised, Reactor, answer

if TYPE_CHECKING:
    from collections.abc import Callable

# Lookups go first: with two hashing threads that are not niced their p99 was 1.6 ms instead of 0.14. Niced by 5, 10 or
# 15 it is the same within what can be measured (15 rounds side by side); but beside another busy program a thread niced
# by 15 has a thirtieth of a CPU, by 10 a tenth, and logins wait for it.
HASH_NICENESS = 10

# Upper bounds in seconds of the timing of hashes: an argon2 check takes about 0.02.
HASH_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class QueueFull(Exception):
    """More work waits than is worth waiting for: answer "try again" at once."""


class Stopped(Exception):
    """A piece of work was taken off the queue before it was begun."""


@dataclass(slots=True)
class Timing:
    """How long one kind of work took: a histogram of plain numbers, read by the metrics collector.

    ``counts[i]`` are the runs up to ``HASH_BUCKETS[i]`` seconds and above the bound before; the last is the rest.
    """

    counts: list[int] = field(default_factory=lambda: [0] * (len(HASH_BUCKETS) + 1))
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        """Count one run."""
        self.counts[bisect_left(HASH_BUCKETS, seconds)] += 1
        self.seconds += seconds


@dataclass(frozen=True, slots=True, eq=False)
class _Task:
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    label: str
    done: Deferred[Any]


class HashPool:
    """Runs computations on ``threads`` niced threads; at most ``queue_limit`` wait."""

    def __init__(self, reactor: Reactor, threads: int, queue_limit: int) -> None:
        self._reactor = reactor
        self.limit = queue_limit
        self._waiting: deque[_Task] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._living = max(1, threads)
        self._ended: Deferred[None] = Deferred()
        self.timings: dict[str, Timing] = {}
        for number in range(self._living):
            threading.Thread(target=self._work, name=f"hash-{number}", daemon=True).start()

    @property
    def depth(self) -> int:
        """How many pieces of work wait."""
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """Whether the next piece of work would be turned away."""
        return self._stopping or len(self._waiting) >= self.limit

    def run(self, function: Callable[..., Any], *args: Any, label: str = "") -> Deferred[Any]:
        """Run ``function(*args)`` on a thread; its time is counted under ``label``. Raises QueueFull at once."""
        task = _Task(function, args, label, Deferred())
        with self._changed:
            if self.full:
                raise QueueFull
            self._waiting.append(task)
            self._changed.notify()
        return task.done

    def drop(self, done: Deferred[Any]) -> None:
        """Take the work of this Deferred off the queue: it fails with Stopped. Nothing happens once it has begun."""
        with self._changed:
            task = next((task for task in self._waiting if task.done is done), None)
            if task is not None:
                self._waiting.remove(task)
        if task is not None:
            task.done.errback(Stopped())

    def stop(self) -> Deferred[None]:
        """Take no more; what waits fails with Stopped, what runs is finished. Fires when the threads have ended."""
        with self._changed:
            self._stopping = True
            dropped = list(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()
        for task in dropped:
            task.done.errback(Stopped())
        return self._ended

    def _work(self) -> None:
        _be_nice()
        while (task := self._next()) is not None:
            begun = time.perf_counter()
            try:
                outcome = task.function(*task.arguments)
            except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to who asked
                outcome = Raised(error)
            self._reactor.callFromThread(self._finish, task, outcome, time.perf_counter() - begun)
        self._reactor.callFromThread(self._end_one)

    def _next(self) -> _Task | None:
        with self._changed:
            while not self._waiting:
                if self._stopping:
                    return None
                self._changed.wait()
            return self._waiting.popleft()

    def _finish(self, task: _Task, outcome: Any, seconds: float) -> None:
        self.timings.setdefault(task.label, Timing()).add(seconds)
        answer(task.done, outcome)

    def _end_one(self) -> None:
        self._living -= 1
        if not self._living:
            self._ended.callback(None)


def _be_nice() -> None:
    try:
        # Linux schedules threads one by one: this does not touch the reactor thread (setpriority(2), NOTES).
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), HASH_NICENESS)
    except OSError:  # a seccomp profile may forbid it: slower lookups, no wrong answers
        return
