"""When SpamAssassin's rules are brought up to date: once a day, and later and later while that fails.

The work is ``programs/spam_update.py``'s, in a process of its own as spamd's user. Nothing waits for it, no start fails
because of it, and a machine without a network loses nothing but the newest rules. spamd is started anew only when the
rules in use have changed.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
from typing import TYPE_CHECKING, Any

from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger

from mailhooks.stack import children, directories, paths, render
from mailhooks.stack.programs import spam_update as program

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.internet.interfaces import IDelayedCall, IProcessTransport
    from twisted.python.failure import Failure

    from mailhooks.config import Config

DAY = 86_400.0
FIRST_SECONDS = (300.0, 1_800.0)  # after the start, when nobody waits for the processor any more
JITTER = 0.1  # of the time to wait: the mirrors are not to be asked by everybody at once
FIRST_RETRY = 1_800.0  # after a failure; each further one doubles it, up to a day

log = Logger()


def command(config: Config, options: Sequence[str] = ()) -> tuple[str, ...]:
    """Return what updates the rules once, as spamd's user."""
    where = paths.layout(config)
    user = children.as_user(directories.account(render.SPAM_USER, "apt-get install spamd"), ())
    script = (sys.executable, "-I", program.__file__, str(where.spam_rules), str(where.spamassassin_config))
    return (*children.detached(*user), *script, *options)


class SpamUpdate:
    """Runs the update by its schedule, never two at once."""

    def __init__(
        self, reactor: Any, command: Sequence[str], environment: dict[str, str], changed: Callable[[], None]
    ) -> None:
        self._reactor = reactor
        self._command = command
        self._environment = environment
        self._changed = changed
        self._retry = FIRST_RETRY
        self._next: IDelayedCall | None = None
        self._process: IProcessTransport | None = None

    def start(self) -> None:
        """Begin with the schedule."""
        self._next = self._reactor.callLater(random.uniform(*FIRST_SECONDS), self.now)  # noqa: S311 - no secret

    def stop(self) -> None:
        """End what is under way: it is begun anew another time."""
        if self._next is not None and self._next.active():
            self._next.cancel()
        if self._process is not None and self._process.pid:
            with contextlib.suppress(OSError):
                os.killpg(self._process.pid, signal.SIGTERM)

    def now(self) -> None:
        """Run one update."""
        if self._process is None:
            self._process = self._reactor.spawnProcess(
                _Ended(self._ended),
                self._command[0],
                args=list(self._command),
                env=self._environment,
                path=None,
                childFDs={0: "w", 1: 1, 2: 1},
            )

    def _ended(self, code: int | None) -> None:
        self._process = None
        if code in (program.CHANGED, program.SAME):
            self._retry = FIRST_RETRY
            wait = DAY
        else:
            wait, self._retry = self._retry, min(2 * self._retry, DAY)
            log.warn("the rules of SpamAssassin stay as they are; the next try is in {hours:.1f} h", hours=wait / 3600)
        if code == program.CHANGED:
            log.info("SpamAssassin has new rules: spamd starts anew")
            self._changed()
        self._next = self._reactor.callLater(wait * random.uniform(1, 1 + JITTER), self.now)  # noqa: S311


class _Ended(ProcessProtocol):
    def __init__(self, tell: Callable[[int | None], None]) -> None:
        self._tell = tell

    def processEnded(self, reason: Failure) -> None:
        self._tell(getattr(reason.value, "exitCode", 0))
