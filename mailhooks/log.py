"""The daemon's log lines: one line each on stdout, as text or as JSON, and few of them.

Lines come from ``twisted.logger``: fields, never f-strings, never a secret. Of an exception only its kind and the
places in the code are shown, because its text might repeat what a client sent. A stdout that is broken or closed loses
lines and nothing else.
"""

from __future__ import annotations

import json
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from twisted.logger import ILogObserver, LogLevel, formatEvent
from zope.interface import implementer

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.python.failure import Failure

FAULT_SECONDS = 10.0  # the same fault is logged once in this time: an outage is one line, not one per request
MAX_FAULTS = 1000  # kinds of faults remembered; more would be a leak
FAULT_FRAMES = 6  # innermost calls named of an exception
MAX_LINE = 8000  # characters; journald and syslog cut longer ones anyway

# Twisted's own namespaces; what it tells below "warn" (a factory starts, a port closes) helps no admin.
_TWISTED = ("twisted.", "log_legacy")


class Limited:
    """Lets the same thing through once in ``FAULT_SECONDS``, and tells how many were held back meanwhile."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[str, tuple[float, int]] = {}

    def passes(self, key: str) -> int | None:
        """How many of ``key`` were held back since the last that passed, or None if this one is held back too."""
        now = self._clock()
        last, held = self._seen.get(key, (float("-inf"), 0))
        if now - last < FAULT_SECONDS:
            self._seen[key] = (last, held + 1)
            return None
        if len(self._seen) >= MAX_FAULTS:
            self._seen.clear()
        self._seen[key] = (now, 0)
        return held


def describe(failure: Failure) -> str:
    """The kind of an exception and where it came from, without its text."""
    frames = traceback.extract_tb(failure.tb)[-FAULT_FRAMES:]
    places = " > ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames)
    return f"{getattr(failure.type, '__name__', 'unknown')} at {places or 'an unknown place'}"


@implementer(ILogObserver)
class Observer:
    """Writes log events of ``level`` and above to a stream; both can be changed while running."""

    def __init__(self, stream: TextIO, form: str, level: str) -> None:
        self._stream = stream
        self.configure(form, level)

    def configure(self, form: str, level: str) -> None:
        """Set the form of a line ("text", "json") and the lowest level ("debug", "info", "warn", "error")."""
        self._json = form == "json"
        self._level = LogLevel.levelWithName(level)

    def __call__(self, event: dict[str, Any]) -> None:
        """Write one event."""
        level = event.get("log_level") or LogLevel.info
        failure = event.get("log_failure")
        name = event.get("log_namespace") or "mailhooks"
        lowest = max(self._level, LogLevel.warn) if name.startswith(_TWISTED) else self._level
        if level < lowest:
            return
        message = formatEvent(event)
        if failure is not None:
            message = f"{message.partition(chr(10))[0]} {describe(failure)}".strip()
        at = datetime.fromtimestamp(event.get("log_time") or time.time(), UTC).isoformat(timespec="milliseconds")
        # One event, one line: a line end in a field would look like another event.
        message = "".join(char if char.isprintable() else " " for char in message)[:MAX_LINE]
        if self._json:
            line = json.dumps({"time": at, "level": level.name, "logger": name, "message": message})
        else:
            line = f"{at} {level.name} {name}: {message}"
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):  # a pipe without a reader, a closed stream
            return
