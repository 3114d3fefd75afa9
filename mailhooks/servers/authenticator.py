"""Decides about credentials without holding anybody up: quick checks at once, slow ones in the hash pool.

Order: the credentials that count, from the store; whether too much was guessed, which ends it unchecked; those verified
lately, from the cache; hashes that cost microseconds, here; everything else in a worker. Then the store is asked once
more, and a refusal is held back for ``failure_delay`` or, after some wrong passwords, longer.
The whole takes ``limit`` seconds at most: Postfix gives up after ten. Whatever cannot be decided (store away, queue
full, time over, our own fault) is ``Temporary``, never a refusal.

What it does not do: SASL (``wire.sasl``), what a client hears (``auth_client``), counting guesses (``throttle``).
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from mailhooks import passdb, passwords
from mailhooks.log import Limited
from mailhooks.logins import STANDARD, LoginRules
from mailhooks.passdb import Accepted, Reason, Refused
from mailhooks.servers.attempt import READINESS, TEMPORARY, THROTTLED
from mailhooks.servers.auth_quick import QuickLogins
from mailhooks.servers.check import Check
from mailhooks.servers.failed_logins import FailedLogins
from mailhooks.servers.runs import Runs
from mailhooks.store import Service, Unavailable
from mailhooks.throttle import Places
from mailhooks.workers import QueueFull, Stopped

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IReactorTime
    from twisted.python.failure import Failure

    from mailhooks.counters import Counters
    from mailhooks.passdb import Candidate, Credential
    from mailhooks.servers.attempt import Attempt, Outcome
    from mailhooks.servers.throttling import Throttling
    from mailhooks.store import Change, Store
    from mailhooks.throttle import Guess, Refusal
    from mailhooks.workers import HashPool, Writer

MAX_WAITING = 10_000  # attempts that wait for a worker or for their delay to pass, about 1 KB each
# Throttled attempts that wait for their delay; beyond it they are answered at once, so that a flood of them takes no
# place from the others.
MAX_HELD_OFF = MAX_WAITING // 4
# One client network has at most this part of the hash queue under way; so has one account, where many people share a
# network. Who repeats a single wrong password makes one guess, and would take all places for it.
PART_OF_QUEUE = 5
REHASHES_AT_ONCE = 4  # new hashes being made; a stronger hash can wait for the next login, other logins cannot

Crowd = tuple[str, str]  # who waits: an account, where that matters, and a network

log = Logger()


@dataclass(frozen=True, slots=True)
class AuthSettings:
    """How long things take."""

    failure_delay: float = 2.0  # seconds until a refusal is said; what Dovecot's own auth process waits
    limit: float = 8.0  # seconds for everything: worker's queue, hash, delay
    rehash: bool = True  # bring weak hashes to argon2id at login
    rules: LoginRules = STANDARD  # what a login name may be


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
        throttling: Throttling | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.clock = clock
        self.settings = settings
        self.cache = cache
        self.waiting = 0  # checks under way
        self.tell_policy: Callable[[str, str, str], None] | None = None  # who logged in to send: user, address, label
        self.held_off = 0  # throttled attempts that wait
        self._throttling = throttling
        self._throttle = throttling.throttle if throttling is not None else None
        self.quick = QuickLogins(self, counters, store=store, throttle=self._throttle, now=now)
        self.places = self._throttle.places if self._throttle is not None else Places()
        self._crowds: Counter[Crowd] = Counter()  # checks under way of each
        self._counters = counters
        self._store = store
        self._pool = pool
        self._runs = Runs(pool)
        self._writer = writer
        self._now = now
        self._limited = Limited(clock.seconds)
        self._failed = FailedLogins(clock)
        self._rehashing: set[str] = set()

    def check(self, attempt: Attempt, later: Callable[[Outcome], None]) -> Outcome | Check:
        """Answer now if the answer is at hand; else return a Check and call ``later`` once, within the time limit."""
        try:
            if attempt.service == READINESS:
                return self._readiness(attempt)
            return self._check(attempt, later)
        except Unavailable:
            return self.count(attempt, TEMPORARY)
        except Exception:  # noqa: BLE001 - our own fault is no wrong password
            self.fault()
            return self.count(attempt, TEMPORARY)

    def _check(self, attempt: Attempt, later: Callable[[Outcome], None]) -> Outcome | Check:
        now = self._now()
        asked = self._candidate(attempt, now)
        throttle = self._throttle
        # A proof is another one each time: it cannot be asked for again, only whoever made it.
        password = attempt.password if attempt.keys is None else ""
        if throttle and (refusal := throttle.ask(asked.user, attempt.network, password, now)):
            return self._hold_off(Check(self, attempt, asked, later), refusal)
        matched, is_known = self._at_hand(attempt, asked, now)
        outcome: Outcome | None = None
        if matched is not None or asked.who is None or attempt.keys is not None:
            outcome = passdb.decide(self._store, asked, matched, now)
            if isinstance(outcome, Accepted):
                self._grant(attempt, outcome, now, is_known=is_known)
                if not outcome.master:
                    return self.count(attempt, outcome)
        # From here on somebody waits.
        check = Check(self, attempt, asked, later)
        if isinstance(outcome, Accepted):
            has_begun = check.audit(outcome)
        elif isinstance(outcome, Refused):
            has_begun = check.refuse_at_once(outcome, is_guess=attempt.keys is not None)
        else:
            has_begun = check.verify(self._runs)
        return check if has_begun else self.count(attempt, TEMPORARY)

    def _readiness(self, attempt: Attempt) -> Outcome:
        """Refuse when logins can be decided now; raise Unavailable, or say TEMPORARY, when they cannot."""
        self._store.mailbox(attempt.login)
        return TEMPORARY if self.waiting >= MAX_WAITING or self._pool.full else Refused(Reason.CREDENTIALS)

    def keys(self, mechanism: str, login: str) -> str | None:
        """Look up what a SCRAM login is asked with; None when it cannot be told now."""
        try:
            return passdb.scram_keys(self._store, login, mechanism, self.settings.rules)
        except Unavailable:
            return None
        except Exception:  # noqa: BLE001 - our own fault is no wrong password
            self.fault()
            return None

    def confirm(self, attempt: Attempt) -> Outcome:
        """Decide about a proof once more, for a client that took its time before it asked for its OK."""
        now = self._now()
        try:
            asked = self._candidate(attempt, now)
            return passdb.decide(self._store, asked, self._at_hand(attempt, asked, now)[0], now)
        except Unavailable:
            return TEMPORARY

    def audit(self, attempt: Attempt, accepted: Accepted) -> Deferred[Any]:
        """Write down that a master user logs in as another."""

        def write(change: Change) -> None:
            change.record_master_login(accepted.user, accepted.master, _service(attempt.service))

        return self._writer.change(write, who=accepted.master)

    def _candidate(self, attempt: Attempt, now: float) -> Candidate:
        return passdb.candidate(
            self._store,
            attempt.login,
            attempt.service,
            attempt.network,
            now,
            mechanism=attempt.mechanism,
            authzid=attempt.authzid,
            rules=self.settings.rules,
        )

    def _at_hand(self, attempt: Attempt, asked: Candidate, now: float) -> tuple[Credential | None, bool]:
        """Find the credential that fits, without a worker, and tell whether it was verified before."""
        if attempt.keys is not None:
            return asked.proven(attempt.mechanism, attempt.keys) if attempt.proven else None, True
        matched = asked.quick(attempt.password)  # first: it costs no more than asking the cache
        return (asked.cached(self.cache, attempt.password, now), True) if matched is None else (matched, False)

    def _grant(self, attempt: Attempt, accepted: Accepted, now: float, *, is_known: bool) -> None:
        """Take note of a login at once; what is in the cache of verified credentials was rehashed then."""
        if self._throttle is not None:
            self._throttle.right(accepted.owner, attempt.network, now)
        if not is_known:
            self.rehash(accepted, attempt.password)

    def _hold_off(self, check: Check, refusal: Refusal) -> Outcome | Check:
        """Answer a throttled attempt as late as a wrong password."""
        attempt = check.attempt
        if self._throttling is not None:
            self._throttling.refused(refusal, attempt.login, attempt.network)
        if self.held_off >= MAX_HELD_OFF or self.waiting >= MAX_WAITING:
            return self.count(attempt, THROTTLED)
        check.hold_off(self.settings.failure_delay)
        return check

    def crowd(self, attempt: Attempt, asked: Candidate) -> Crowd | None:
        """Tell together with whom an attempt is counted while it is under way; None: with nobody."""
        place = self.places.of(attempt.network)
        if self._throttle is None or place.is_allowed:
            return None
        return (asked.user if place.is_shared else "", place.narrow)

    def has_room(self, crowd: Crowd | None) -> bool:
        """Tell whether one more check may be under way."""
        return self.waiting < MAX_WAITING and (
            crowd is None or self._crowds[crowd] < max(1, self._pool.limit // PART_OF_QUEUE)
        )

    def enter(self, crowd: Crowd | None) -> None:
        """One more is under way."""
        self.waiting += 1
        if crowd is not None:
            self._crowds[crowd] += 1

    def leave(self, crowd: Crowd | None) -> None:
        """One less is under way."""
        self.waiting -= 1
        if crowd is not None:
            self._crowds[crowd] -= 1
            if not self._crowds[crowd]:
                del self._crowds[crowd]

    def begin(self, attempt: Attempt, asked: Candidate) -> tuple[Guess | None, tuple[Credential, ...]]:
        """Count a password, and tell with which credentials it was compared at hand."""
        if self._throttle is None:
            return None, ()
        now = self._now()
        guess = self._throttle.begin(asked.user, attempt.network, attempt.password, now)
        return guess, asked.compared(self.cache, now)

    def leave_undecided(self, asked: Candidate, guess: Guess | None, compared: tuple[Credential, ...]) -> None:
        """Let a password count that missed what was at hand, though no worker checked it; others were no guess."""
        if self._throttle is None or guess is None:
            return
        if not compared:
            self._throttle.withdraw(guess, self._now())
        elif compared == asked.credentials:
            self._throttle.wrong(guess, self._now())
        else:
            self._throttle.stand(guess, self._now())

    def settle(self, attempt: Attempt, guess: Guess | None, outcome: Outcome) -> float:
        """Count what came of a check by a worker; return how many times the failure delay is to be held."""
        if self._throttle is None or guess is None:
            return 1.0
        if isinstance(outcome, Refused) and outcome.reason is Reason.CREDENTIALS:
            return self._throttle.wrong(guess, self._now())
        if isinstance(outcome, Accepted):
            self._throttle.right(guess.account, attempt.network, self._now(), guess)
        else:
            self._throttle.withdraw(guess, self._now())
        return 1.0

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
        service = _service(attempt.service)
        self._counters.auth[service, attempt.mechanism, type(outcome).__name__.lower()] += 1
        if self.tell_policy is not None and service == Service.SMTP and isinstance(outcome, Accepted):
            self.tell_policy(outcome.user, attempt.network or "", outcome.label)
        return outcome

    def tell_refused(self, attempt: Attempt, refused: Refused) -> None:
        """Write a refusal to the log, whether or not the client waits for it."""
        self._failed.tell(_service(attempt.service), attempt.network, refused.reason, attempt.login)

    def count_invalid(self, service: str, mechanism: str) -> None:
        """Count what was no attempt at all: rubbish where credentials were expected."""
        self._counters.auth[_service(service), mechanism, "invalid"] += 1

    def rehash(self, accepted: Accepted, password: str) -> None:
        """Replace a weak hash by a new one, in the background, while the password is known."""
        weak, owner = accepted.rehash, accepted.owner
        busy = len(self._rehashing) >= REHASHES_AT_ONCE
        if weak is None or not self.settings.rehash or busy or owner in self._rehashing:
            return
        try:
            made: Deferred[str] = self._pool.run(passwords.hash_password, password)
        except QueueFull:
            return

        def write(new: str) -> Deferred[Any]:
            def replace(change: Change) -> None:
                change.replace_hash(owner, weak, new)  # unless somebody else has changed it meanwhile

            return self._writer.change(replace, who="login")

        self._rehashing.add(owner)
        written = made.addCallback(write)
        written.addErrback(self._not_rehashed)
        written.addBoth(lambda _: self._rehashing.discard(owner))

    def _not_rehashed(self, failure: Failure) -> None:
        if not isinstance(failure.value, Unavailable | Stopped):  # the next login tries again
            self.fault(failure)

    def fault(self, failure: Failure | None = None) -> None:
        """Log an exception of ours, the same one not too often."""
        held = self._limited.passes("authenticator")
        if held is not None:
            log.failure("auth: internal error ({held} more since the last report)", failure, held=held)


def _service(name: str) -> str:
    """A daemon's service as a label: one of a closed set."""
    service = passdb.service_of(name)
    return service.value if service else "other"
