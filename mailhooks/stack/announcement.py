"""What must be read at a start: a line of its own on stdout, which no log level keeps back."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mailhooks.config import LogConfig


def say(text: str, log: LogConfig) -> None:
    """Write it so that it stands out: marked with arrows, or as JSON at level "warn"."""
    line = json.dumps({"level": "warn", "message": text}) if log.format == "json" else f"=====> {text} <====="
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
