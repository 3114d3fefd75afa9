"""Run a stock program that only prints, for at most a few seconds."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass

ASK_SECONDS = 20.0  # postconf and doveconf take milliseconds; a machine that is in trouble more


@dataclass(frozen=True)
class Said:
    """What a program printed."""

    code: int
    out: str
    err: str


def ask(*command: str) -> Said:
    """Run a program to its end; one that hangs or cannot be run says so in ``err``."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=ASK_SECONDS,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
    except subprocess.TimeoutExpired:
        return Said(-1, "", f"{command[0]} did not end within {ASK_SECONDS:.0f} s")
    except OSError as error:
        return Said(-1, "", f"{command[0]} cannot be run: {error.strerror}")
    return Said(done.returncode, done.stdout, done.stderr)
