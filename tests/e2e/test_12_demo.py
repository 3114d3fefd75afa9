"""What ``make run`` starts: the whole server with its example, checked step by step, and again where it left off."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

DEMO_SECONDS = 240


@pytest.fixture
def directory():
    """Return a directory that the daemons' users can pass, for the demo's server."""
    made = Path(tempfile.mkdtemp(prefix="mailhooks-demo-", dir="/var/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def run_demo(directory: Path, checkout: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "mailhooks.stack.demo", "--once", "--directory", str(directory)],
        cwd=checkout,
        text=True,
        capture_output=True,
        timeout=DEMO_SECONDS,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-8000:]
    return done.stdout


def test_make_run_in_a_checkout_that_only_root_may_enter(directory: Path, tmp_path: Path):
    """The modules of a checkout lie in the current directory: nobody but root could read them there."""
    checkout = tmp_path / "closed"
    (checkout / "mailhooks").mkdir(parents=True)
    checkout.chmod(0o700)
    (checkout / "mailhooks/__init__.py").write_text("raise SystemExit('this is the checkout')\n")
    first = run_demo(directory, checkout)
    assert "demo: every step was right" in first
    password = next(line for line in first.splitlines() if line.strip().startswith("adam@example1.com "))
    again = run_demo(directory, checkout)
    assert "demo: every step was right" in again
    assert password not in again  # the same store: its users are there already
