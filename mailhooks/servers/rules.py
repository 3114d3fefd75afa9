"""Asks the policy rules, and counts and logs what they decided: the ``decide`` of the policy server.

What the rules remember is saved every second in a cheap batch; what is older survives a ``kill -9``. An account that
looks stolen is suspended in the store, again every second until the store has taken it.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from mailhooks.policy import Memory, Policy
from mailhooks.store import NotFound, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IReactorTime

    from mailhooks.counters import Counters
    from mailhooks.policy import Settings
    from mailhooks.policy.memory import Trip
    from mailhooks.store import Batch, Change, Store
    from mailhooks.wire.policy import Action, Request
    from mailhooks.workers import Writer

SAVE_SECONDS = 1.0  # the most that a crash may make us forget

log = Logger()


class Rules:
    """The rules over one store. Raises UnknownRule when the settings name one that does not exist."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        counters: Counters,
        *,
        now: Callable[[], float] = time.time,
        memory: Memory | None = None,
        writer: Writer | None = None,
    ) -> None:
        self.memory = memory or Memory()
        self._writer = writer
        self._writing: set[str] = set()  # accounts whose suspension is on its way to the store
        self._saver = LoopingCall(self._save)
        self._policy = Policy(settings, self.memory)
        self._store = store
        self._counters = counters
        self._now = now

    def configure(self, settings: Settings) -> None:
        """Take other settings; the old ones stay when UnknownRule is raised."""
        self._policy = Policy(settings, self.memory)

    def start(self, clock: IReactorTime) -> None:
        """Save from now on."""
        self._saver.clock = clock
        self._saver.start(SAVE_SECONDS, now=False)

    def stop(self) -> Deferred[None]:
        """Save for the last time; fires when that is done."""
        if self._saver.running:
            self._saver.stop()
        return self._save()

    def decide(self, request: Request) -> Action:
        """Return the action for one request. Raises Unavailable."""
        decision = self._policy.decide(request, self._store, self._now())
        counts = self._counters.policy
        if not decision.rule:
            counts["none", "dunno", "enforce"] += 1
        for objection in decision.objections:
            action = type(objection.action).__name__.lower()
            counts[objection.rule, action, "shadow" if objection.shadow else "enforce"] += 1
            if objection.shadow:
                log.info(
                    "policy: rule {rule} would say {action} (shadow), instance {instance}",
                    hook="policy",
                    rule=objection.rule,
                    action=action,
                    instance=request.instance,
                )
        if decision.rule == "quota":
            self._counters.quota_refused += 1
        if self.memory.limit_trips or self.memory.trips:
            self._tell()
        return decision.action

    def _tell(self) -> None:
        """Count and log the limits that were reached."""
        trips = self._counters.limit_trips
        for scope in self.memory.limit_trips:
            trips[scope] += 1
        self.memory.limit_trips.clear()
        for trip in self.memory.trips:
            trips[trip.scope] += 1
            log.warn(
                "policy: {address} {what}: {reason}",
                hook="policy",
                address=trip.address,
                what="would be suspended (shadow)" if trip.shadow else "may not send any more",
                reason=trip.reason,
            )
            if not trip.shadow:
                self._suspend(trip)
        self.memory.trips.clear()

    def _suspend(self, trip: Trip) -> None:
        if self._writer is None or trip.address in self._writing:
            return
        self._writing.add(trip.address)

        def write(change: Change) -> None:
            change.suspend(trip.address, trip.reason, trip.until)

        done = self._writer.change(write, who="policy")
        done.addBoth(self._written, trip)

    def _written(self, result: object, trip: Trip) -> None:
        """Forget what the store knows; an account that is gone needs no suspension. The rest is tried again."""
        self._writing.discard(trip.address)
        if not isinstance(result, Failure) or isinstance(result.value, NotFound):
            self.memory.unwritten.pop(trip.address, None)
        elif not isinstance(result.value, Unavailable):
            log.failure("policy: a suspension was not written", result, hook="policy")

    def _save(self) -> Deferred[None]:
        """Write what the store does not know yet."""
        if self._writer is None:
            return succeed(None)
        with suppress(Unavailable):
            self.memory.reservations.look(self._store, self.memory.time())
        for trip in tuple(self.memory.unwritten.values()):
            self._suspend(trip)
        if not self.memory.unsaved:
            return succeed(None)
        rows, now = self.memory.save(), self.memory.stored_time

        def write(batch: Batch) -> None:
            batch.save_send_use(rows, now)

        return self._writer.batch(write).addCallbacks(self._saved, self._not_saved)

    def _saved(self, _: object) -> None:
        self.memory.saved(done=True)

    def _not_saved(self, failure: Failure) -> None:
        self.memory.saved(done=False)
        if not isinstance(failure.value, Unavailable):
            log.failure("policy: what was counted is not saved", failure, hook="policy")
