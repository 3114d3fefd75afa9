"""Slow checks in the hash pool: identical ones that are under way at once share one run of a worker.

A mail program opens several connections with one password. And who sends one wrong password hundreds of times has made
one guess: it must not cost hundreds of hashes, for which everybody else would wait.

What is identical: the account, what counts for it, the password, and the network it comes from. From elsewhere nobody
learns by the time it takes that others are asking the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from mailhooks.workers import Stopped

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailhooks.passdb import Candidate, Credential
    from mailhooks.workers import HashPool

Question = tuple[object, ...]


@dataclass(slots=True, eq=False)
class _Run:
    work: Deferred[Any]
    waiting: dict[Deferred[Any], None] = field(default_factory=dict)  # in order


class Runs:
    """The runs under way, by what they are to find out."""

    def __init__(self, pool: HashPool) -> None:
        self._pool = pool
        self._runs: dict[Question, _Run] = {}

    def verify(
        self, asked: Candidate, password: str, network: str
    ) -> tuple[Deferred[Credential | None], Callable[[], None]]:
        """Find the matching credential; also return how to wait for it no more. Raises QueueFull.

        Who waits no more hears Stopped, or what a worker that has begun finds if nobody else waits for it.
        """
        question = (asked.user, asked.credentials, password, network)
        run = self._runs.get(question)
        if run is None:
            run = self._runs[question] = _Run(self._pool.run(asked.verify, password, label=asked.scheme))
            run.work.addBoth(self._end, question, run)
        found: Deferred[Credential | None] = Deferred()
        run.waiting[found] = None
        return found, partial(self._leave, run, found)

    def _leave(self, run: _Run, found: Deferred[Any]) -> None:
        if found not in run.waiting:
            return
        if len(run.waiting) == 1:
            self._pool.drop(run.work)
        else:
            del run.waiting[found]
            found.errback(Stopped())

    def _end(self, outcome: Any, question: Question, run: _Run) -> None:
        del self._runs[question]
        while run.waiting:  # one that hears it may have others leave
            found = next(iter(run.waiting))
            del run.waiting[found]
            found.callback(outcome)
