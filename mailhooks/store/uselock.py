"""Who uses the store's file: a lock beside it, ``<file>-lock``, shared by every open handle.

SQLite's own locks hang on the file that was opened, so they say nothing once the path names another file. Two things
need to know that nobody has the path open any more: putting a backup in its place, and following a file that was
replaced under open handles (two files would share one write-ahead log, and destroy each other).

flock(2) belongs to the open file, not to the process, so two handles of one process count as two.
"""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from mailhooks.store.errors import Unavailable

if TYPE_CHECKING:
    from pathlib import Path


def share(path: Path) -> int:
    """Say that the store is in use; the descriptor is the lock. Raises Unavailable while somebody replaces the file."""
    return _lock(path, fcntl.LOCK_SH, "is being created, replaced or restored")


def own(path: Path) -> int:
    """Make sure that nobody uses the store, and that nobody begins. Raises Unavailable while somebody does."""
    return _lock(path, fcntl.LOCK_EX, "is in use by the daemon or another command")


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
