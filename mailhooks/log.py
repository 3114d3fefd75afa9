"""The daemon's log lines: one line each on stdout, as text or as JSON, and few of them.

Lines come from ``twisted.logger``: fields, never f-strings, never a secret. Of an exception only its kind and the
places in the code are shown, because its text might repeat what a client sent. A stdout that is broken or closed loses
lines and nothing else.

A line that names its hook is told by that hook's level. At level "debug" a hook tells each request that it answers:
``RequestLog``, which ``mailhooks.verbosity`` puts in its place only then, since one line costs four lookups.
"""

from __future__ import annotations

import json
import time
import traceback
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import quote

from twisted.logger import ILogObserver, Logger, LogLevel, formatEvent
from zope.interface import implementer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from twisted.python.failure import Failure

FAULT_SECONDS = 10.0  # the same fault is logged once in this time: an outage is one line, not one per request
MAX_FAULTS = 1000  # kinds of faults remembered; more would be a leak
FAULT_FRAMES = 6  # innermost calls named of an exception
MAX_LINE = 8000  # characters; journald and syslog cut longer ones anyway
MAX_WORD = 320  # characters of what a client sent: the longest address (RFC 5321 section 4.5.3.1)

# What JSON tells apart, where an event has it.
FIELDS = ("hook", "request", "table", "result", "seconds", "about", "service", "rip", "reason", "user")

# Of what a client sent, these stand for themselves: whatever an address is commonly made of. Not among them: blanks,
# quotes, ``<>``, ``%`` and all that is not ASCII.
_PLAIN = "!#$&'*+-./:=?@^_`{|}~"

# Twisted's own namespaces; what it tells below "warn" (a factory starts, a port closes) helps no admin.
_TWISTED = ("twisted.", "log_legacy")

requests = Logger(namespace="mailhooks.request")


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


def word(text: str) -> str:
    """Write what a client sent as one word that forges nothing: percent-encoded (RFC 3986), "-" when it is empty."""
    return quote(text[:MAX_WORD], safe=_PLAIN, errors="replace") or "-"


class RequestLog:
    """Tells each request of a hook, as one event at level "debug"."""

    _numbers = count(1)  # one row of numbers for the process: a line is named by its number

    def __init__(self, hook: str) -> None:
        self._hook = hook

    def __call__(self, table: str, result: str, seconds: float, about: str = "") -> None:
        """Tell one; ``about`` is what was asked for: a key, a login, Postfix's ``instance``."""
        requests.debug(
            "hook={hook} request={request} table={table} result={result} seconds={seconds:.6f} about={about}",
            hook=self._hook,
            request=next(self._numbers),
            table=word(table),
            result=result,
            seconds=seconds,
            about=word(about),
        )


@implementer(ILogObserver)
class Observer:
    """Writes log events of ``level`` and above to a stream; both can be changed while running."""

    def __init__(self, stream: TextIO, form: str, level: str) -> None:
        self._stream = stream
        self.configure(form, level)

    def configure(self, form: str, level: str, hooks: Mapping[str, str] | None = None) -> None:
        """Set the form of a line ("text", "json"), the lowest level ("debug", "info", "warn", "error")."""
        self._json = form == "json"
        self._level = LogLevel.levelWithName(level)
        self._hooks = {hook: LogLevel.levelWithName(name) for hook, name in (hooks or {}).items()}

    def __call__(self, event: dict[str, Any]) -> None:
        """Write one event."""
        level = event.get("log_level") or LogLevel.info
        failure = event.get("log_failure")
        name = event.get("log_namespace") or "mailhooks"
        wanted = self._hooks.get(event.get("hook", ""), self._level)
        lowest = max(wanted, LogLevel.warn) if name.startswith(_TWISTED) else wanted
        if level < lowest:
            return
        message = formatEvent(event)
        if failure is not None:
            message = f"{message.partition(chr(10))[0]} {describe(failure)}".strip()
        at = datetime.fromtimestamp(event.get("log_time") or time.time(), UTC).isoformat(timespec="milliseconds")
        # One event, one line: a line end in a field would look like another event.
        message = "".join(char if char.isprintable() else " " for char in message)[:MAX_LINE]
        if self._json:
            fields = {field: event[field] for field in FIELDS if isinstance(event.get(field), str | int | float)}
            line = json.dumps({"time": at, "level": level.name, "logger": name, "message": message, **fields})
        else:
            line = f"{at} {level.name} {name}: {message}"
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):  # a pipe without a reader, a closed stream
            return
