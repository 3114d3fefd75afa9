"""Who uses the store's file: a lock beside it, ``<file>-lock``, shared by every open handle.

SQLite's own locks hang on the file that was opened, so they say nothing once the path names another file. Two things
need to know that nobody has the path open any more: putting a backup in its place, and following a file that was
replaced under open handles (two files would share one write-ahead log, and destroy each other).

flock(2) belongs to the open file, not to the process, so two handles of one process count as two.

The lock file also says which file (device and inode) is the one to be opened, and which write-ahead log is its own.
Whoever finds another one at the path owns the lock once before opening it, and notes it: so nobody opens a new file
while somebody has the old one open, or with the old one's log.
"""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from mailhooks.store.errors import Unavailable

MAX_NOTE = 100  # bytes: four numbers of 64 bits

if TYPE_CHECKING:
    from pathlib import Path


def share(path: Path) -> int:
    """Say that the store is in use; the descriptor is the lock. Raises Unavailable while somebody replaces the file."""
    return _lock(path, fcntl.LOCK_SH, "is being created, replaced or restored")


def own(path: Path) -> int:
    """Make sure that nobody uses the store, and that nobody begins. Raises Unavailable while somebody does."""
    return _lock(path, fcntl.LOCK_EX, "is in use by the daemon or another command: stop that first")


def noted(lock: int) -> tuple[str, str]:
    """Return which file was last noted as the one to be opened, and which log as its own ("" for none)."""
    file, _, log = os.pread(lock, MAX_NOTE, 0).decode("ascii", "replace").strip().partition(" ")
    return file, log


def note(lock: int, file: str, log: str = "") -> None:
    """Note the file to be opened (who owns the lock) or its log (who has that file open). Raises OSError."""
    os.pwrite(lock, f"{file} {log}".ljust(MAX_NOTE).encode(), 0)


def mark(file: os.stat_result) -> str:
    """Spell device and inode as they are noted."""
    return f"{file.st_dev}-{file.st_ino}"


def free(lock: int) -> None:
    """Let go of what share() or own() gave."""
    os.close(lock)


def _lock(path: Path, kind: int, trouble: str) -> int:
    try:
        lock = os.open(f"{path}-lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise Unavailable(f"cannot lock the store {path}: {error.strerror}") from error
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise Unavailable(f"the store {path} {trouble}") from error
    return lock
