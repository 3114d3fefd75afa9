"""Counts the stock daemons' log lines that matter, on their way to standard output: ``python -m … logtap COUNTS``.

``up`` starts it (``[log] count_lines``), as the daemon's user, with the daemons' output as standard input. Bytes go on
first, unchanged and at once; what they say is counted afterwards, and the sums are left in a small file for the metrics
of ``serve``. A standard output that is broken loses lines, as it would without us; the daemons never notice.

Only words at a place where Postfix and Dovecot put words of their own count, so that what a client says cannot raise an
alarm. At SIGTERM everything that is in the pipe is passed on, then it ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import socket
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric

READ_BYTES = 65_536  # what a pipe holds by default
MAX_LINE = 8_192  # bytes of a line that are looked at; Postfix writes 2,000 at most
SAVE_SECONDS = 1.0  # counts are on disk within this time
MAX_FILE_BYTES = 10_000

STDIN, STDOUT = 0, 1

# What Postfix says behind "warning: " and the like, from there on, and the word under which it is counted. Each is held
# fast at its beginning: what a client said may follow, and may stand in other warnings at any place.
POSTFIX = {
    "lookup_error": rb"\S+ lookup error for ",  # a table, that is mailhooks, could not be asked
    "socketmap_error": rb"\S+ socketmap server (?:temporary|permanent|timeout|unknown) error",
    "lookup_problem": rb"(?:\S+: ){0,2}\S+ (?:table|map) lookup problem",  # mail was put off because of it
    "policy_problem": rb"problem talking to server ",
    "no_sasl": rb"no SASL authentication mechanisms",  # an smtpd found no auth socket, and died
    "throttling": rb"\S+: bad command startup -- throttling",  # a Postfix process dies at each start
    "authentication_failed": rb"\S+: SASL [\w-]+ authentication failed",
    "alias_expansion": rb"unreasonable virtual_alias_maps",  # an alias that leads to itself, or to too many
}
KINDS = (*POSTFIX, "fatal", "dovecot_error", "dovecot_fatal")  # and what a daemon calls so itself, panics with it

_POSTFIX = re.compile(
    rb"^\w{3} [ \d]\d [\d:]{8} \S+ postfix[\w./-]*\[\d+\]: (?:(?P<fatal>fatal|panic)|warning|error): "
    rb"(?:(?:[0-9A-Za-z]{6,20}: )?(?:"  # the id in the queue
    + b"|".join(b"(?P<%b>%b)" % (name.encode(), text) for name, text in POSTFIX.items())
    + rb"))?",
    re.MULTILINE,
)
_DOVECOT = re.compile(
    rb"^\w{3} [ \d]\d [\d:]{8} [\w-]+(?:\([^\n ]*\))?(?:<[^\n ]*>)*: "
    rb"(?:(?P<dovecot_fatal>Fatal|Panic)|(?P<dovecot_error>Error)): ",
    re.MULTILINE,
)


class Lines:
    """Counts whole lines in what comes piecemeal."""

    def __init__(self, counts: Counter[str]) -> None:
        self.counts = counts
        self._rest = b""

    def feed(self, data: bytes) -> bool:
        """Take some bytes; tell whether something was counted."""
        whole, end, rest = (self._rest + data).rpartition(b"\n")
        self._rest = rest[:MAX_LINE]
        found = [match.lastgroup for pattern in (_POSTFIX, _DOVECOT) for match in pattern.finditer(whole + end)]
        kinds = [kind for kind in found if kind]
        self.counts.update(kinds)
        return bool(kinds)


def pass_on(data: bytes) -> None:
    """Write everything to standard output; what it does not take any more is lost."""
    while data:
        try:
            data = data[os.write(STDOUT, data) :]
        except BlockingIOError:  # somebody who shares it has made it non-blocking
            select.select([], [STDOUT], [])
        except OSError:
            return


def run(path: Path) -> None:
    """Pass on and count until standard input ends, or SIGTERM."""
    told, wake = socket.socketpair()
    wake.setblocking(False)
    signal.set_wakeup_fd(wake.fileno())
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    lines = Lines(Counter(read(path)))
    save(path, lines.counts)
    due: float | None = None  # when what was counted must be saved
    ending = False
    while True:
        timeout = 0.0 if ending else None if due is None else max(0.0, due - time.monotonic())
        heard: list[Any] = [STDIN] if ending else [STDIN, told]
        ready, _, _ = select.select(heard, [], [], timeout)
        data = b""
        if STDIN in ready:
            data = os.read(STDIN, READ_BYTES)
            pass_on(data)
            if lines.feed(data) and due is None:
                due = time.monotonic() + SAVE_SECONDS
        at_end = not data and (ending or STDIN in ready)
        ending = ending or told in ready
        if due is not None and (at_end or time.monotonic() >= due):
            save(path, lines.counts)
            due = None
        if at_end:
            return


def save(path: Path, counts: Counter[str]) -> None:
    """Leave the counts in a file; a disk that is full or gone is no reason to stop passing on."""
    beside = path.with_suffix(".new")
    with contextlib.suppress(OSError):
        beside.write_text(json.dumps({kind: counts[kind] for kind in KINDS}))
        beside.chmod(0o644)
        beside.replace(path)


def read(path: Path) -> dict[str, int]:
    """Return what was counted so far, nothing when there is no such file."""
    with contextlib.suppress(OSError, ValueError), path.open() as file:
        found = json.loads(file.read(MAX_FILE_BYTES))
        return {kind: int(found[kind]) for kind in KINDS if kind in found}
    return {}


def metrics(path: Path) -> Iterator[Metric]:
    """Tell what was counted: the metric ``daemon_log_lines``."""
    from prometheus_client.core import CounterMetricFamily  # noqa: PLC0415 - the tap itself needs none

    family = CounterMetricFamily(
        "mailhooks_daemon_log_lines", "Lines that matter in the stock daemons' log, with count_lines.", labels=("kind",)
    )
    for kind, number in read(path).items():
        family.add_metric((kind,), number)
    yield family


if __name__ == "__main__":
    run(Path(sys.argv[1]))
