"""Starts the programs of a server in order, keeps them running, and ends them in the reverse order.

Stages start one after another; the programs of one stage together. A program that ends is started again with back-off;
one that ends too often in a named time ends the whole, so that whoever watches ``up`` (systemd, a container's runtime,
a person) sees it. Children write to our stdout themselves, or where they are told to: no line passes through here.

What it does not do: judge configuration, know a daemon by name, restart what merely answers badly.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from typing import Protocol as Shape

from twisted.internet import error
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IProcessTransport
    from twisted.python.failure import Failure

    from mailhooks.stack.children import Child
    from mailhooks.stack.ready import Waiter

FIRST_DELAY = 0.5  # seconds until the first restart
LONGEST_DELAY = 30.0
STEADY_SECONDS = 60.0  # who ran so long starts again with the first delay
MAX_FAILURES = 5  # so many ends of one program ...
FAILURE_SECONDS = 120.0  # ... in this time, and it cannot live

FAILED = 1
DONE = 0

Say = Callable[[str], None]


class Reactor(Shape):
    """What of the reactor is used here."""

    def spawnProcess(self, protocol: ProcessProtocol, executable: str, **options: Any) -> IProcessTransport: ...  # noqa: D102
    def callLater(self, delay: float, call: Callable[..., Any], *args: Any) -> IDelayedCall: ...  # noqa: D102
    def seconds(self) -> float: ...  # noqa: D102


class Supervisor:
    """Runs the stages; ``finished`` fires with the exit code when everything has ended."""

    def __init__(self, reactor: Reactor, stages: Sequence[Sequence[Child]], waiter: Waiter, say: Say) -> None:
        self._reactor = reactor
        self._stages = [[_Running(self, child) for child in stage] for stage in stages]
        self._waiter = waiter
        self._say = say
        self._stopping = False
        self._code = DONE
        self.finished: Deferred[int] = Deferred()

    async def start(self) -> None:
        """Start every stage; the next one only when the one before is ready."""
        for stage in self._stages:
            if self._stopping:
                return
            for running in stage:
                running.start()
            for running in stage:
                await self._ready(running)
        if not self._stopping:
            self._say("ready")

    async def _ready(self, running: _Running) -> None:
        for probe in running.child.probes:
            if self._stopping or await self._waiter.wait(probe, lambda: self._stopping):
                continue
            if self._stopping:
                return
            self._say(f"{running.child.name} is not ready after {probe.seconds:g} s")
            if probe.required:
                self.fail()

    def reload(self) -> None:
        """Let every program that can read its configuration again."""
        for running in self._all():
            if running.child.reloads:
                running.signal(signal.SIGHUP)

    def pid(self, name: str) -> int | None:
        """Return the process of a program, None while it does not run."""
        return next((running.pid for running in self._all() if running.child.name == name), None)

    def restart(self, name: str) -> None:
        """Let a program end in order and start again at once; that is no failure of it."""
        for running in self._all():
            if running.child.name == name and not self._stopping:
                running.restart()

    def fail(self) -> None:
        """End everything, with an exit code that says so."""
        self._code = FAILED
        self.stop()

    def stop(self) -> None:
        """End the programs, last stage first."""
        if not self._stopping:
            self._stopping = True
            Deferred.fromCoroutine(self._stop()).addErrback(self._broken)

    async def _stop(self) -> None:
        for stage in reversed(self._stages):
            for running in stage:
                running.end()
            for running in stage:
                await running.ended()
        for running in self._all():
            running.sweep()
        self.finished.callback(self._code)

    def _broken(self, failure: Failure) -> None:
        self._say(f"cannot stop in order: {failure.getErrorMessage()}")
        self.finished.callback(FAILED)

    def _all(self) -> list[_Running]:
        return [running for stage in self._stages for running in stage]

    # --- what a program tells ---------------------------------------------------------------------------------

    @property
    def stopping(self) -> bool:
        """Whether programs are meant to end now."""
        return self._stopping

    @property
    def reactor(self) -> Reactor:
        """The clock, and who spawns."""
        return self._reactor

    def say(self, text: str) -> None:
        """Write a line to the log."""
        self._say(text)


class _Running:
    """One program through all its lives."""

    def __init__(self, supervisor: Supervisor, child: Child) -> None:
        self.child = child
        self._supervisor = supervisor
        self._transport: IProcessTransport | None = None
        self._pid = 0  # of the latest life: the transport forgets it
        self._restart: IDelayedCall | None = None
        self._kill: IDelayedCall | None = None
        self._failures: deque[float] = deque(maxlen=MAX_FAILURES)
        self._delay = FIRST_DELAY
        self._started = 0.0
        self._waiting: list[Deferred[None]] = []
        self._renewing = False

    def start(self) -> None:
        """Start the program."""
        self._restart = None
        self._started = self._supervisor.reactor.seconds()
        try:
            self.child.before()
        except OSError as error:
            self._supervisor.say(f"{self.child.name} cannot be started: {error}")
            self._again()
            return
        self._transport = self._supervisor.reactor.spawnProcess(
            _Watch(self._ended),
            self.child.command[0],
            args=list(self.child.command),
            env={**os.environ, **self.child.environment},
            path=None,
            # Standard error goes to standard output too: one stream, as the program wrote it.
            childFDs={
                0: "w" if self.child.stdin is None else self.child.stdin,
                1: self.child.stdout,
                2: self.child.stdout,
                **dict(enumerate(self.child.inherits, 3)),
            },
        )
        self._pid = self._transport.pid or 0
        self._supervisor.say(f"started {self.child.name}, pid {self._pid}")

    @property
    def pid(self) -> int | None:
        """Its process; None while it does not run."""
        return None if self._transport is None else self._pid

    def signal(self, number: int) -> None:
        """Send a signal to the program, or to its leader where that is another process."""
        if self._transport is not None:
            with contextlib.suppress(ProcessLookupError):  # its end is on the way to us
                os.kill(self.child.leader() or self._pid, number)

    def end(self) -> None:
        """Ask the program to end, and kill it after its grace time."""
        if self._restart is not None:
            self._restart.cancel()
            self._restart = None
        if self._transport is not None:
            self.signal(signal.SIGTERM)
            self._kill = self._supervisor.reactor.callLater(self.child.grace, self._killed)

    def restart(self) -> None:
        """End the program in order to start it again; where it waits for its next start, that is enough."""
        if self._transport is not None and not self._renewing:
            self._renewing = True
            self.end()

    async def ended(self) -> None:
        """Wait until the program runs no more."""
        if self._transport is not None:
            waiting: Deferred[None] = Deferred()
            self._waiting.append(waiting)
            await waiting

    def sweep(self) -> None:
        """Kill what the program left behind: a later start must find its ports free."""
        _kill_group(self._pid)

    def _killed(self) -> None:
        self._kill = None
        self._supervisor.say(f"{self.child.name} did not end within {self.child.grace:g} s and is killed")
        for pid in (self.child.leader(), self._pid):
            _kill_group(pid)

    def _ended(self, reason: str) -> None:
        self._transport = None
        if self._kill is not None:
            self._kill.cancel()
            self._kill = None
        waiting, self._waiting = self._waiting, []
        if self._supervisor.stopping:
            _signal_group(self._pid, signal.SIGTERM)  # Dovecot's open sessions (shutdown_clients = no)
        else:
            self._supervisor.say(f"{self.child.name} (pid {self._pid}) ended: {reason}")
            _kill_group(self._pid)  # children that a killed program leaves would keep its ports
            if self._renewing:
                self.start()
            else:
                self._again()
        self._renewing = False
        for each in waiting:
            each.callback(None)

    def _again(self) -> None:
        now = self._supervisor.reactor.seconds()
        if now - self._started >= STEADY_SECONDS:
            self._delay = FIRST_DELAY
        if not self.child.vital:
            self._restart = self._supervisor.reactor.callLater(FIRST_DELAY, self.start)
            return
        self._failures.append(now)
        if len(self._failures) == MAX_FAILURES and now - self._failures[0] <= FAILURE_SECONDS:
            self._supervisor.say(
                f"{self.child.name} ended {MAX_FAILURES} times within {FAILURE_SECONDS:g} s: it cannot live here"
            )
            self._supervisor.fail()
            return
        self._restart = self._supervisor.reactor.callLater(self._delay, self.start)
        self._delay = min(2 * self._delay, LONGEST_DELAY)


class _Watch(ProcessProtocol):
    def __init__(self, ended: Callable[[str], None]) -> None:
        self._tell = ended

    def processEnded(self, reason: Failure) -> None:
        if isinstance(reason.value, error.ProcessTerminated) and reason.value.signal:
            self._tell(f"killed by {signal.Signals(reason.value.signal).name}")
        else:
            self._tell(f"exit code {getattr(reason.value, 'exitCode', 0)}")


def _kill_group(pid: int | None) -> None:
    """Kill what is left of a program's process group; every program leads one (children.detached)."""
    _signal_group(pid, signal.SIGKILL)


def _signal_group(pid: int | None, number: signal.Signals) -> None:
    if pid:
        with contextlib.suppress(OSError):
            os.killpg(pid, number)
