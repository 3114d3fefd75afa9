"""Brings SpamAssassin's rules up to date: run by ``up`` as spamd's user, once each time.

``spam_update.py DIRECTORY SITE_CONFIG [sa-update options]``. sa-update(1) writes into DIRECTORY/next; what differs from
the rules in use and passes ``spamassassin --lint`` beside the site's configuration becomes DIRECTORY/current in one
step. So a broken update, a crash or a full disk leaves the rules in use as they are. Exit codes: 0 there are new rules
in use for the next spamd, 1 there is nothing new or somebody else is at it, 3 not now (a line says why): try later.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

CHANGED, SAME, LATER = 0, 1, 3
UPDATE_SECONDS = 600
LINT_SECONDS = 300
KEY = Path("/usr/share/spamassassin/sa-update-pubkey.txt")  # of the rules' makers; Debian's package brings it

# What sa-update(1) ends with when it did its work: new rules, or none.
UPDATED, NONE_NEWER = 0, 1


class Later(Exception):
    """There are no new rules now; the text says why."""


def update(directory: Path, site: Path, options: list[str]) -> int:
    """Fetch, check and put in place. Raises Later, OSError."""
    fresh, current = directory / "next", directory / "current"
    keys = directory / "keys"
    if not keys.exists():
        keys.mkdir(mode=0o700)
        if KEY.exists():
            run(["sa-update", "--gpghomedir", str(keys), "--import", str(KEY)], UPDATE_SECONDS)
    code, said = run(["sa-update", "--updatedir", str(fresh), "--gpghomedir", str(keys), *options], UPDATE_SECONDS)
    if code not in (UPDATED, NONE_NEWER):
        raise Later(f"sa-update ended with {code}: {last_line(said)}")
    if not any(fresh.glob("*.cf")) or digest(fresh) == digest(current):
        return SAME
    code, said = run(["spamassassin", "--lint", "-L", "-x", "-C", str(fresh), f"--siteconfigpath={site}"], LINT_SECONDS)
    if code:
        raise Later(f"the new rules do not pass --lint: {last_line(said)}")
    publish(fresh, directory, current)
    return CHANGED


def publish(fresh: Path, directory: Path, current: Path) -> None:
    """Make a copy of the new rules the current ones, and remove the copies before it."""
    copy = directory / f"rules-{digest(fresh)}"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(fresh, copy)
    link = directory / "current.new"
    link.unlink(missing_ok=True)
    link.symlink_to(copy.name)
    link.replace(current)
    for old in directory.glob("rules-*"):
        if old != copy:
            shutil.rmtree(old, ignore_errors=True)


def digest(directory: Path) -> str:
    """Return what tells two sets of rules apart; "" for none."""
    found = hashlib.sha256()
    files = sorted(path for path in directory.rglob("*") if path.is_file()) if directory.exists() else []
    for path in files:
        found.update(str(path.relative_to(directory)).encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()[:16] if files else ""


def run(command: list[str], seconds: int) -> tuple[int, str]:
    """Run a program of SpamAssassin's. Raises Later when it hangs, OSError when it is not there."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Later(f"{command[0]} did not end within {seconds} s") from None
    return done.returncode, done.stdout


def last_line(said: str) -> str:
    """Return the last thing that a program said."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1] if lines else "it does not say why"


def main() -> int:
    """Run one update, unless another is under way."""
    directory, site = Path(sys.argv[1]), Path(sys.argv[2])
    with (directory / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return SAME
        os.chdir(directory)
        try:
            return update(directory, site, sys.argv[3:])
        except (Later, OSError) as error:
            print(f"no new rules for SpamAssassin: {error}", flush=True)
            return LATER


if __name__ == "__main__":
    sys.exit(main())
