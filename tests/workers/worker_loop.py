"""A reactor of two methods: a fake clock, and a queue in place of the wakeup pipe."""

from __future__ import annotations

import queue

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

PATIENCE = 20.0  # seconds until a test says that a thread never answered


class Loop(Clock):
    """task.Clock, and callFromThread as the real reactor does it: the calls run on the test's thread."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: queue.SimpleQueue = queue.SimpleQueue()

    def callFromThread(self, function, *args) -> None:  # noqa: N802 - Twisted's name
        self._calls.put((function, args))

    def turn(self) -> None:
        """Wait for one call from a thread and run it."""
        function, args = self._calls.get(timeout=PATIENCE)
        function(*args)

    def result(self, deferred: Deferred):
        """Turn until a Deferred has fired, and return or raise what it has."""
        outcome: list = []
        deferred.addBoth(outcome.append)
        while not outcome:
            self.turn()
        if isinstance(outcome[0], Failure):
            outcome[0].raiseException()
        return outcome[0]
