"""The pipe between the stock daemons and standard output, where ``[log] count_lines`` puts ``logtap`` between them.

The tap must never be in the way of mail. ``up`` holds both ends of the pipe, so that a tap that dies gives nobody a
broken pipe: it is started again after half a second, for ever, and the pipe keeps what is written meanwhile. A tap that
has stopped reading, although something waits and standard output takes it, is killed, and so started again.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import struct
import sys
import termios
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.task import LoopingCall

from mailhooks.stack import children, directories, paths

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailhooks.config import Config

PIPE_BYTES = 1_048_576  # a quarter of a minute of the busiest log; the most that Linux gives (pipe(7))
LOOK_SECONDS = 1.0
PATIENCE = 3  # looks at a tap that does nothing, before it is killed
TAP_GRACE = 1.0  # it passes on what is in the pipe

STDOUT = 1


class LogPipe:
    """One pipe for all stock daemons."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._reads, self.writes = os.pipe()
        with contextlib.suppress(OSError):  # a smaller one does, too
            fcntl.fcntl(self.writes, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    def tap(self) -> children.Child:
        """Return the program at its end, which has no way back to root."""
        counts = paths.layout(self._config).log_counts
        user = directories.service_account(self._config)
        return children.Child(
            name="logtap",
            command=(
                *children.detached(*children.as_user(user, ())),
                *(sys.executable, "-P", "-m", "mailhooks.stack.logtap", str(counts)),
            ),
            environment=children.python_path(),
            grace=TAP_GRACE,
            reloads=False,
            stdin=self._reads,
            vital=False,
        )

    def waiting(self) -> int:
        """Return how many bytes nobody has read yet."""
        answer = fcntl.ioctl(self._reads, termios.FIONREAD, b"\0" * 4)
        return int(struct.unpack("i", answer)[0])


class Watch:
    """Kills a tap that does not read what waits for it."""

    def __init__(self, reactor: Any, pipe: LogPipe, pid: Callable[[], int | None], say: Callable[[str], None]) -> None:
        self._pipe = pipe
        self._pid = pid
        self._say = say
        self._seen: tuple[int, bytes] | None = None  # process, and what it has read so far
        self._idle = 0
        self._timer = LoopingCall(self.look)
        self._timer.clock = reactor

    def start(self) -> None:
        """Look at it from now on."""
        self._timer.start(LOOK_SECONDS, now=False)

    def look(self) -> None:
        """Look once."""
        pid = self._pid()
        seen = (pid, _has_read(pid)) if pid else None
        stuck = seen is not None and seen == self._seen and self._pipe.waiting() > 0 and _stdout_takes_more()
        self._idle = self._idle + 1 if stuck else 0
        self._seen = seen
        if pid and self._idle >= PATIENCE:
            self._idle = 0
            self._say("logtap does not read any more and is killed")
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def _has_read(pid: int) -> bytes:
    """Return what /proc says about the bytes that a process has read (proc(5), /proc/pid/io)."""
    try:
        return Path(f"/proc/{pid}/io").read_bytes().split(b"\n", 1)[0]
    except OSError:
        return b""


def _stdout_takes_more() -> bool:
    poll = select.poll()
    poll.register(STDOUT, select.POLLOUT)
    return bool(poll.poll(0))
