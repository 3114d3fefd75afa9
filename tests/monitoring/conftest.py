"""What the tests here share with their neighbours: the daemon as a process, and whole servers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
sys.path[:0] = [str(TESTS / "servers"), str(TESTS / "e2e")]

from live_daemon import Daemon  # noqa: E402 - stands in a neighbour's directory


@pytest.fixture
def daemon(tmp_path: Path):
    """A daemon with adam in its store, not started yet."""
    made = Daemon(tmp_path)
    made.fill()
    yield made
    made.close()
