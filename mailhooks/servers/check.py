"""One attempt that is not answered at once: it waits for a worker, for its delay, or for the audit log.

Whatever it waits for, it is answered within the time limit, once, unless nobody waits for it any more. Then its check
is taken from the worker's queue: after a rush of logins the next client waits for those that still wait, not for the
hashes of all who have heard "try again".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailhooks.passdb import Accepted, Reason, Refused
from mailhooks.servers.attempt import TEMPORARY, THROTTLED
from mailhooks.store import Unavailable
from mailhooks.workers import QueueFull, Stopped

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IDelayedCall
    from twisted.python.failure import Failure

    from mailhooks.passdb import Candidate, Credential
    from mailhooks.servers.attempt import Attempt, Outcome
    from mailhooks.servers.authenticator import Authenticator
    from mailhooks.servers.runs import Runs
    from mailhooks.throttle import Guess

_WRONG = Refused(Reason.CREDENTIALS)


class Check:
    """One attempt on its way to ``later``, which is called once, or never if it is cancelled."""

    def __init__(
        self, owner: Authenticator, attempt: Attempt, asked: Candidate, later: Callable[[Outcome], None]
    ) -> None:
        self._owner = owner
        self.attempt = attempt
        self._asked = asked
        self._crowd = owner.crowd(attempt, asked)
        self._guess: Guess | None = None  # what the throttle counted and will hear the end of
        self._compared: tuple[Credential, ...] = ()  # and missed, before any worker was asked
        self._is_held_off = False
        self._forget: Callable[[], None] | None = None  # takes the check off the worker's queue
        self._later = later
        self._began = owner.clock.seconds()
        self._deadline = self._began + owner.settings.limit
        self._timer: IDelayedCall | None = None

    def verify(self, runs: Runs) -> bool:
        """Start the slow check; False when too many wait already. What was found out at hand counts in any case."""
        self._guess, self._compared = self._owner.begin(self.attempt, self._asked)
        if self._owner.has_room(self._crowd) and self._ask(runs):
            return True
        self._leave_undecided()
        return False

    def refuse(self, refused: Refused, times: float = 1.0) -> None:
        """Answer so many times the failure delay after the beginning, or at the time limit."""
        self._owner.tell_refused(self.attempt, refused)
        until = min(self._began + self._owner.settings.failure_delay * times, self._deadline)
        self._wait(max(0.0, until - self._owner.clock.seconds()), refused)

    def refuse_at_once(self, refused: Refused, *, is_guess: bool) -> bool:
        """Refuse what needed no worker; a proof that does not fit is counted as a wrong password is.

        False when too many wait already.
        """
        if is_guess:
            self._guess, _ = self._owner.begin(self.attempt, self._asked)
        times = self._settle(refused)
        if not self._owner.has_room(self._crowd):
            return False
        self.refuse(refused, times)
        return True

    def audit(self, accepted: Accepted) -> bool:
        """Answer when the login of a master user is in the audit log: without that, nobody is let in.

        False when it cannot be written now, or too many wait already.
        """
        if self._timer is None and not self._owner.has_room(self._crowd):
            return False
        written = self._owner.audit(self.attempt, accepted)
        if written.called:  # too many writes wait
            written.addErrback(lambda _: None)
            return False
        self._wait(max(0.0, self._deadline - self._owner.clock.seconds()), TEMPORARY)
        written.addCallback(lambda _: self._answer(accepted) if self._timer is not None else None)
        written.addErrback(self._failed)
        return True

    def hold_off(self, seconds: float) -> None:
        """Answer that the attempt is not checked, after a while."""
        self._is_held_off = True
        self._owner.held_off += 1
        self._crowd = None  # these have a bound of their own
        self._wait(min(seconds, self._owner.settings.limit), THROTTLED)

    def cancel(self) -> None:
        """Nobody waits for the answer any more; a password that a worker has begun to check is still counted."""
        if self._timer is not None:
            self._timer.cancel()
            self._end()

    def _ask(self, runs: Runs) -> bool:
        network = self._owner.places.of(self.attempt.network).narrow
        try:
            verified, self._forget = runs.verify(self._asked, self.attempt.password, network)
        except QueueFull:
            return False
        self._wait(self._owner.settings.limit, TEMPORARY)
        verified.addCallback(self._verified)
        verified.addErrback(self._failed)
        return True

    def _verified(self, matched: Credential | None) -> None:
        self._forget = None
        if self._timer is None:  # cancelled, or answered because the time was over
            if matched is None:
                self._owner.tell_refused(self.attempt, _WRONG)
            self._settle(_WRONG if matched is None else TEMPORARY)
            return
        outcome = self._owner.decide(self.attempt, self._asked, matched)
        times = self._settle(outcome)
        if isinstance(outcome, Refused):
            self.refuse(outcome, times)
        elif not (isinstance(outcome, Accepted) and outcome.master):
            self._answer(outcome)
        elif not self.audit(outcome):
            self._answer(TEMPORARY)

    def _failed(self, failure: Failure) -> None:
        self._forget = None
        self._leave_undecided()
        if self._timer is None:
            return
        if not isinstance(failure.value, Stopped | Unavailable):
            self._owner.fault(failure)
        self._answer(TEMPORARY)

    def _wait(self, seconds: float, outcome: Outcome) -> None:
        """Answer ``outcome`` unless another answer comes before."""
        if self._timer is None:
            self._owner.enter(self._crowd)
        else:
            self._timer.cancel()
        self._timer = self._owner.clock.callLater(seconds, self._answer, outcome)

    def _answer(self, outcome: Outcome) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._end()
        self._later(self._owner.count(self.attempt, outcome))

    def _settle(self, outcome: Outcome) -> float:
        guess, self._guess = self._guess, None
        return self._owner.settle(self.attempt, guess, outcome)

    def _leave_undecided(self) -> None:
        guess, self._guess = self._guess, None
        self._owner.leave_undecided(self._asked, guess, self._compared)

    def _end(self) -> None:
        self._timer = None
        self._owner.leave(self._crowd)
        if self._is_held_off:
            self._owner.held_off -= 1
        if self._forget is not None:
            self._forget()
