"""Decides about credentials without holding anybody up: quick checks at once, slow ones in the hash pool.

Order: the credentials that count, from the store; those verified lately, from the cache; hashes that cost microseconds,
here; everything else in a worker. Then the store is asked once more, and a refusal is held back for ``failure_delay``.
The whole takes ``limit`` seconds at most: Postfix gives up after ten. Whatever cannot be decided (store away, queue
full, time over, our own fault) is ``Temporary``, never a refusal.

What it does not do: SASL (``wire.sasl``), what a client hears (``auth_client``), throttling.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from mailhooks import passdb, passwords
from mailhooks.address import fold
from mailhooks.log import Limited
from mailhooks.passdb import Accepted, Candidate, Credential, Reason, Refused
from mailhooks.store import Unavailable
from mailhooks.workers import QueueFull, Stopped

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IDelayedCall, IReactorTime
    from twisted.python.failure import Failure

    from mailhooks.counters import Counters
    from mailhooks.store import Change, Store
    from mailhooks.workers import HashPool, Writer

MAX_WAITING = 10_000  # attempts that wait for a worker or for their delay to pass, about 1 KB each
REHASHES_AT_ONCE = 4  # new hashes being made; a stronger hash can wait for the next login, other logins cannot

log = Logger()


@dataclass(frozen=True, slots=True)
class AuthSettings:
    """How long things take."""

    failure_delay: float = 2.0  # seconds until a refusal is said; what Dovecot's own auth process waits
    limit: float = 8.0  # seconds for everything: worker's queue, hash, delay
    rehash: bool = True  # bring weak hashes to argon2id at login


@dataclass(frozen=True, slots=True)
class Attempt:
    """What somebody wants to log in with."""

    login: str
    password: str = field(repr=False)
    service: str  # the daemon's word for it
    network: str | None  # the client's IP address
    mechanism: str
    authzid: str = ""  # whom to act as


@dataclass(frozen=True, slots=True)
class Temporary:
    """It could not be decided."""


Outcome = Accepted | Refused | Temporary
TEMPORARY = Temporary()


class Authenticator:
    """Takes attempts; one for all auth client sockets of a process."""

    def __init__(
        self,
        clock: IReactorTime,
        counters: Counters,
        *,
        store: Store,
        pool: HashPool,
        writer: Writer,
        cache: passwords.VerifiedCache,
        settings: AuthSettings,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.clock = clock
        self.settings = settings
        self.cache = cache
        self.waiting = 0  # checks under way
        self._counters = counters
        self._store = store
        self._pool = pool
        self._writer = writer
        self._now = now
        self._limited = Limited(clock.seconds)
        self._rehashing: set[str] = set()

    def check(self, attempt: Attempt, later: Callable[[Outcome], None]) -> Outcome | Check:
        """Answer now if the answer is at hand; else return a Check and call ``later`` once, within the time limit."""
        try:
            return self._check(attempt, later)
        except Unavailable:
            return self.count(attempt, TEMPORARY)
        except Exception:  # noqa: BLE001 - our own fault is no wrong password
            self.fault()
            return self.count(attempt, TEMPORARY)

    def _check(self, attempt: Attempt, later: Callable[[Outcome], None]) -> Outcome | Check:
        now = self._now()
        asked = passdb.candidate(self._store, attempt.login, attempt.service, attempt.network, now)
        matched = asked.cached(self.cache, attempt.password, now)
        quick = None if matched else asked.quick(attempt.password)
        refused = None
        if attempt.authzid and fold(attempt.authzid) != asked.user:
            refused = Refused(Reason.CREDENTIALS)  # nobody may act as another
        elif matched or quick:
            outcome = passdb.decide(self._store, asked, matched or quick, now)
            if isinstance(outcome, Accepted):
                if quick:
                    self.rehash(outcome, attempt.password)
                return self.count(attempt, outcome)
            refused = outcome
        # From here on somebody waits.
        if self.waiting >= MAX_WAITING:
            return self.count(attempt, TEMPORARY)
        check = Check(self, attempt, asked, later)
        if refused is not None:
            check.refuse(refused)
        elif not check.verify(self._pool):
            return self.count(attempt, TEMPORARY)
        return check

    def decide(self, attempt: Attempt, asked: Candidate, matched: Credential | None) -> Outcome:
        """Say what follows from what the worker found."""
        now = self._now()
        try:
            outcome = passdb.decide(self._store, asked, matched, now)
        except Unavailable:
            return TEMPORARY
        if matched is not None:
            self.cache.add(asked.user, attempt.password, matched.stored, now)
        if isinstance(outcome, Accepted):
            self.rehash(outcome, attempt.password)
        return outcome

    def count(self, attempt: Attempt, outcome: Outcome) -> Outcome:
        """Count what became of an attempt."""
        self._counters.auth[_service(attempt.service), attempt.mechanism, type(outcome).__name__.lower()] += 1
        return outcome

    def count_invalid(self, service: str, mechanism: str) -> None:
        """Count what was no attempt at all: rubbish where credentials were expected."""
        self._counters.auth[_service(service), mechanism, "invalid"] += 1

    def rehash(self, accepted: Accepted, password: str) -> None:
        """Replace a weak hash by a new one, in the background, while the password is known."""
        weak = accepted.rehash
        busy = len(self._rehashing) >= REHASHES_AT_ONCE
        if weak is None or not self.settings.rehash or busy or accepted.user in self._rehashing:
            return
        try:
            made: Deferred[str] = self._pool.run(passwords.hash_password, password)
        except QueueFull:
            return

        def write(new: str) -> Deferred[Any]:
            def replace(change: Change) -> None:
                change.replace_hash(accepted.user, weak, new)  # unless somebody else has changed it meanwhile

            return self._writer.change(replace, who="login")

        self._rehashing.add(accepted.user)
        written = made.addCallback(write)
        written.addErrback(self._not_rehashed)
        written.addBoth(lambda _: self._rehashing.discard(accepted.user))

    def _not_rehashed(self, failure: Failure) -> None:
        if not isinstance(failure.value, Unavailable | Stopped):  # the next login tries again
            self.fault(failure)

    def fault(self, failure: Failure | None = None) -> None:
        """Log an exception of ours, the same one not too often."""
        held = self._limited.passes("authenticator")
        if held is not None:
            log.failure("auth: internal error ({held} more since the last report)", failure, held=held)


class Check:
    """One attempt on its way to ``later``, which is called once, or never if it is cancelled."""

    def __init__(
        self, owner: Authenticator, attempt: Attempt, asked: Candidate, later: Callable[[Outcome], None]
    ) -> None:
        self._owner = owner
        self._attempt = attempt
        self._asked = asked
        self._later = later
        self._deadline = owner.clock.seconds() + owner.settings.limit
        self._timer: IDelayedCall | None = None
        self._work: Deferred[None] | None = None

    def verify(self, pool: HashPool) -> bool:
        """Start the slow check; False when too many wait already."""
        try:
            verified: Deferred[Credential | None] = pool.run(
                self._asked.verify, self._attempt.password, label=self._asked.scheme
            )
        except QueueFull:
            return False
        self._wait(self._owner.settings.limit, TEMPORARY)
        verified.addCallback(self._verified)
        verified.addErrback(self._failed)
        return True

    def refuse(self, refused: Refused) -> None:
        """Answer after the failure delay, as far as the time limit leaves room for it."""
        left = self._deadline - self._owner.clock.seconds()
        self._wait(max(0.0, min(self._owner.settings.failure_delay, left)), refused)

    def cancel(self) -> None:
        """Nobody waits for the answer any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._owner.waiting -= 1

    def _verified(self, matched: Credential | None) -> None:
        if self._timer is None:  # cancelled, or answered because the time was over
            return
        outcome = self._owner.decide(self._attempt, self._asked, matched)
        if isinstance(outcome, Refused):
            self.refuse(outcome)
        else:
            self._answer(outcome)

    def _failed(self, failure: Failure) -> None:
        if self._timer is None:
            return
        if not isinstance(failure.value, Stopped):
            self._owner.fault(failure)
        self._answer(TEMPORARY)

    def _wait(self, seconds: float, outcome: Outcome) -> None:
        """Answer ``outcome`` unless another answer comes before."""
        if self._timer is None:
            self._owner.waiting += 1
        else:
            self._timer.cancel()
        self._timer = self._owner.clock.callLater(seconds, self._answer, outcome)

    def _answer(self, outcome: Outcome) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        self._owner.waiting -= 1
        self._later(self._owner.count(self._attempt, outcome))


def _service(name: str) -> str:
    """A daemon's service as a label: one of a closed set."""
    service = passdb.service_of(name)
    return service.value if service else "other"
