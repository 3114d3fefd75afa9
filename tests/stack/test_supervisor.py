"""Order, restarts, giving up, and the end: with real processes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SECONDS = 20

# Runs until SIGTERM, and says when that came; "wait" lets the shell hear signals at once.
STEADY = """
trap 'echo {0} ends; kill $!; exit 0' TERM
trap 'echo {0} reads again' HUP
echo {0} runs
while :; do sleep 600 >/dev/null 2>&1 & wait; kill $! 2>/dev/null; done
"""


class Up:
    """The supervising program and what it and its children print."""

    def __init__(self, *stages: list[dict]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "supervised.py"), json.dumps(stages)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONPATH": str(HERE.parents[1])},
        )
        self.lines: list[str] = []
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            for line in stream:
                self.lines.append(line.rstrip("\n"))

    def until(self, probe: Callable[[list[str]], object]) -> None:
        deadline = time.monotonic() + SECONDS
        while not probe(self.lines):
            assert time.monotonic() < deadline, self.lines
            time.sleep(0.01)

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        code = self.process.wait(SECONDS)
        self.reader.join(SECONDS)
        return code

    def pid(self, name: str) -> int:
        """Return the latest pid of a child, whose own first line may come before it is said."""
        self.until(lambda lines: any(line.startswith(f"started {name}, pid ") for line in lines))
        line = [line for line in self.lines if line.startswith(f"started {name}, pid ")][-1]
        return int(line.rsplit(" ", 1)[1])


@contextlib.contextmanager
def up(*stages: list[dict]) -> Iterator[Up]:
    running = Up(*stages)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
        running.ended()


def steady(name: str, **more) -> dict:
    return {"name": name, "script": STEADY.format(name), **more}


def test_stages_start_in_order_and_end_in_reverse():
    with up([steady("serve")], [steady("dovecot"), steady("spamd")], [steady("postfix")]) as running:
        running.until(lambda lines: "ready" in lines and "postfix runs" in lines and "dovecot runs" in lines)
        running.until(lambda lines: "spamd runs" in lines and "serve runs" in lines)
        assert running.end() == 0
    started = [line.split()[1].rstrip(",") for line in running.lines if line.startswith("started")]
    assert started == ["serve", "dovecot", "spamd", "postfix"]
    ends = [line.split()[0] for line in running.lines if line.endswith(" ends")]
    assert ends[0] == "postfix"
    assert sorted(ends[1:3]) == ["dovecot", "spamd"]
    assert ends[3] == "serve"


def test_a_program_that_dies_is_started_again_and_the_others_stay():
    with up([steady("serve")], [steady("dovecot")]) as running:
        running.until(lambda lines: lines.count("dovecot runs") == 1 and "serve runs" in lines)
        os.kill(running.pid("dovecot"), signal.SIGKILL)
        running.until(lambda lines: lines.count("dovecot runs") == 2)
        assert running.end() == 0
    assert running.lines.count("serve runs") == 1
    assert any("dovecot" in line and "killed by SIGKILL" in line for line in running.lines)


def test_what_a_killed_program_leaves_behind_is_killed_too():
    script = "sleep 600 >/dev/null 2>&1 & echo left $!; wait"
    with up([{"name": "spamd", "script": script}]) as running:
        running.until(lambda lines: any(line.startswith("left ") for line in lines))
        left = int(next(line for line in running.lines if line.startswith("left ")).split()[1])
        os.kill(running.pid("spamd"), signal.SIGKILL)
        running.until(lambda lines: sum(line.startswith("left ") for line in lines) == 2)

        def is_gone(_: list[str]) -> bool:
            try:
                return Path(f"/proc/{left}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
            except OSError:
                return True

        running.until(is_gone)
        running.end()


def test_a_program_that_cannot_live_ends_everything_with_an_error():
    with up([steady("serve")], [{"name": "postfix", "script": "exit 3"}]) as running:
        assert running.ended() == 1
    assert sum("exit code 3" in line for line in running.lines) == 5
    assert "postfix ended 5 times within 120 s: it cannot live here" in running.lines
    assert running.lines.index("serve ends") > running.lines.index(
        "postfix ended 5 times within 120 s: it cannot live here"
    )


def test_a_program_that_is_not_vital_is_started_for_ever_and_ends_nothing():
    with up([{"name": "logtap", "script": "exit 3", "vital": False}], [steady("serve")]) as running:
        running.until(lambda lines: sum("exit code 3" in line for line in lines) > 10 and "serve runs" in lines)
        assert running.end() == 0


def test_a_program_that_does_not_end_is_killed_after_its_grace():
    deaf = {"name": "deaf", "script": "trap '' TERM; echo deaf runs; while :; do sleep 600; done", "grace": 0.3}
    with up([steady("serve")], [deaf]) as running:
        running.until(lambda lines: "deaf runs" in lines and "serve runs" in lines)
        assert running.end() == 0
    assert "deaf did not end within 0.3 s and is killed" in running.lines
    assert running.lines.index("serve ends") > running.lines.index("deaf did not end within 0.3 s and is killed")


def test_sighup_reaches_those_who_can_read_again():
    with up([steady("serve"), steady("spamd", reloads=False)]) as running:
        running.until(lambda lines: "serve runs" in lines and "spamd runs" in lines and "ready" in lines)
        running.process.send_signal(signal.SIGHUP)
        running.until(lambda lines: "serve reads again" in lines)
        assert running.end() == 0
    assert "spamd reads again" not in running.lines


@pytest.fixture
def socket_path(tmp_path):
    return str(tmp_path / "auth")


def test_the_next_stage_waits_until_the_greeting_is_complete(socket_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(socket_path)
        listener.settimeout(SECONDS)
        serve = steady("serve", waits_for=socket_path, seconds=SECONDS)
        with up([serve], [steady("postfix")]) as running:
            running.until(lambda lines: "serve runs" in lines)  # refused until it listens
            listener.listen()
            first, _ = listener.accept()
            first.sendall(b"VERSION\t1\t2\n")
            assert not any("postfix" in line for line in running.lines)
            first.close()  # half a greeting is none
            second, _ = listener.accept()
            second.sendall(b"VERSION\t1\t2\nMECH\tPLAIN\nDO")
            assert not any("postfix" in line for line in running.lines)
            second.sendall(b"NE\n")
            running.until(lambda lines: "postfix runs" in lines and "ready" in lines)
            second.close()
            assert running.end() == 0


def test_a_server_whose_daemon_never_answers_does_not_start(socket_path):
    serve = steady("serve", waits_for=socket_path, seconds=0.3)
    with up([serve], [steady("postfix")]) as running:
        assert running.ended() == 1
    assert "serve is not ready after 0.3 s" in running.lines
    assert not any("postfix" in line for line in running.lines)


def test_sigterm_while_waiting_ends_at_once(socket_path):
    serve = steady("serve", waits_for=socket_path, seconds=600)
    with up([serve], [steady("postfix")]) as running:
        running.until(lambda lines: "serve runs" in lines)
        assert running.end() == 0
    assert not any("postfix" in line for line in running.lines)
    assert "serve ends" in running.lines


def test_when_the_supervisor_is_killed_its_programs_end():
    with up([steady("serve")]) as running:
        running.until(lambda lines: "serve runs" in lines)
        running.process.kill()
        running.until(lambda lines: "serve ends" in lines)
