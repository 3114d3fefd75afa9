"""The tap between the stock daemons and standard output, as a process of its own."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from mailhooks.stack import logtap

ROOT = Path(__file__).parent.parent.parent
SECONDS = 30

SASL = (
    b"Nov 22 20:00:00 mail postfix/submission/smtpd[12]: warning: x[192.0.2.1]: SASL PLAIN authentication failed: no\n"
)
EXPANSION = (
    b"Nov  2 20:00:00 mail postfix/cleanup[1]: warning: 4ABCDEF123: unreasonable virtual_alias_maps map nesting\n"
)
LINES = {
    SASL: "authentication_failed",
    EXPANSION: "alias_expansion",
    b"Nov 22 20:00:00 mail postfix/smtpd[1]: fatal: no SASL authentication mechanisms\n": "no_sasl",
    b"Nov 22 20:00:00 mail postfix/master[1]: warning: /x/smtpd: bad command startup -- throttling\n": "throttling",
    b"Nov 22 20:00:00 mail postfix/smtpd[1]: warning: problem talking to server unix:x: y\n": "policy_problem",
    b"Nov 22 20:00:00 mail postfix/trivial-rewrite[1]: warning: a: socketmap:unix:x: table lookup problem\n": (
        "lookup_problem"
    ),
    b"Nov 22 20:00:00 mail postfix/cleanup[1]: warning: 4ABCDEF123: virtual_alias_maps map lookup problem for a\n": (
        "lookup_problem"
    ),
    b"Nov 22 20:00:00 mail postfix/smtpd[1]: warning: socketmap:unix:x:y socketmap server temporary error: z\n": (
        "socketmap_error"
    ),
    b'Nov 22 20:00:00 mail postfix/smtpd[1]: warning: socketmap:unix:x:y lookup error for "a@b"\n': "lookup_error",
    b"Nov 22 20:00:00 mail postfix/qmgr[1]: panic: something\n": "fatal",
    b"Nov 22 20:00:00 imap(adam@example1.com)<12><xyz>: Error: something\n": "dovecot_error",
    b"Nov 22 20:00:00 master: Fatal: something\n": "dovecot_fatal",
    b"Nov 22 20:00:00 mail postfix/smtpd[1]: NOQUEUE: reject: fatal: table lookup problem\n": "",
    b"Nov 22 20:00:00 mail postfix/smtpd[1]: warning: non-SMTP command from x: warning: table lookup problem\n": "",
    b"Nov 22 20:00:00 mail postfix/smtpd[1]: warning: Illegal address syntax: <problem talking to server x>\n": "",
    b"Nov 22 20:00:00 imap-login: Info: Login: user=<Error: x>\n": "",
    b"2026-11-22T20:00:00.000+00:00 error mailhooks.x: warning: lookup error for x\n": "",
}


@pytest.mark.parametrize(("line", "kind"), LINES.items(), ids=[f"{kind} {n}" for n, kind in enumerate(LINES.values())])
@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_a_line_is_counted_by_its_kind_however_it_comes(line: bytes, kind: str, piece: int):
    lines = logtap.Lines(Counter())
    text = b"before\n" + line + b"after\n"
    for at in range(0, len(text), piece):
        lines.feed(text[at : at + piece])
    assert dict(lines.counts) == ({kind: 1} if kind else {})


class Tap:
    """A tap whose standard output is read by the test, or by nobody."""

    def __init__(self, path: Path) -> None:
        self.counts = path
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "mailhooks.stack.logtap", str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )

    def write(self, data: bytes) -> None:
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def counted(self, number: int) -> None:
        """Wait until so many failed logins are in the file."""
        end = time.monotonic() + SECONDS
        while logtap.read(self.counts).get("authentication_failed") != number:
            assert time.monotonic() < end, logtap.read(self.counts)
            time.sleep(0.05)


@pytest.fixture
def tap(tmp_path: Path):
    made = Tap(tmp_path / "counts")
    yield made
    made.process.kill()
    made.process.communicate()


def test_bytes_come_out_as_they_went_in(tap: Tap):
    noise = random.Random(7).randbytes(300_000) + SASL + b"no end of line"
    out, _ = tap.process.communicate(noise, timeout=SECONDS)
    assert out == noise
    assert tap.process.returncode == 0


def test_counts_are_saved_soon_and_at_the_end_and_go_on_after_a_restart(tap: Tap):
    tap.write(SASL)
    tap.counted(1)
    tap.write(SASL * 2)
    tap.process.communicate(timeout=SECONDS)
    tap.counted(3)
    again = Tap(tap.counts)
    again.process.communicate(SASL, timeout=SECONDS)
    again.counted(4)


def test_sigterm_passes_on_what_waits_although_the_pipe_stays_open(tap: Tap):
    tap.write(SASL)
    tap.counted(1)
    tap.write(SASL * 20)
    tap.process.send_signal(signal.SIGTERM)
    assert tap.process.stdout.read() == SASL * 21
    assert tap.process.wait(SECONDS) == 0
    tap.counted(21)


def test_a_reader_that_is_gone_stops_nobody(tap: Tap):
    tap.process.stdout.close()
    tap.write(SASL * 10_000)  # far more than a pipe holds
    tap.counted(10_000)


def test_a_counts_file_that_cannot_be_written_or_read_stops_nobody(tmp_path: Path):
    (tmp_path / "counts").write_text("half a f")
    tap = Tap(tmp_path / "counts")
    tap.process.communicate(SASL, timeout=SECONDS)
    tap.counted(1)
    lost = Tap(tmp_path / "no/such/directory")
    assert lost.process.communicate(SASL, timeout=SECONDS)[0] == SASL
    assert json.loads((tmp_path / "counts").read_text())["authentication_failed"] == 1
