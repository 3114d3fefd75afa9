"""Backups in a directory: each is named by its time (UTC), and all but the latest are removed on request.

Rules
    Only what bears such a name, is a plain file and holds a store is counted and removed; whatever else lies in the
    directory stays. A backup made just now is never removed, though the clock were set back. A backup under any other
    name is kept for ever.

What it does not do
    It does not tell one store from another: each needs a directory of its own.
"""

from __future__ import annotations

import os
import re
import stat
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mailhooks.store.sqlite import APPLICATION_ID, HEADER_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_KEPT = 10_000  # one an hour for a year
PART = ".part"  # ends the name of a file that is being written
PART_SECONDS = 86_400.0  # after which a part is what a killed command left: no backup takes a day

_NAME = re.compile(r"mailhooks-\d{8}-\d{6}-\d{3}\.db")
_MAGIC = b"SQLite format 3\0"
_APPLICATION = slice(68, 72)  # https://www.sqlite.org/fileformat.html, section 1.3


def name(now: float) -> str:
    """Name a backup made at ``now``, so that the order of names is that of time."""
    at = datetime.fromtimestamp(now, UTC)
    return f"mailhooks-{at:%Y%m%d-%H%M%S}-{at.microsecond // 1000:03}.db"


def remove_older(directory: Path, *, keep: int, made: Path) -> int:
    """Remove all backups but the ``keep`` latest, one of which is ``made``; return how many. Raises OSError."""
    for part in _parts(directory):
        part.unlink(missing_ok=True)
    older = sorted((path for path in _backups(directory) if path.name != made.name), reverse=True)[keep - 1 :]
    for path in older:
        path.unlink(missing_ok=True)
    return len(older)


def _backups(directory: Path) -> Iterator[Path]:
    for path in directory.iterdir():
        if _NAME.fullmatch(path.name) and _holds_a_store(path):
            yield path


def _parts(directory: Path) -> Iterator[Path]:
    for path in directory.glob(f".*{PART}"):
        if _NAME.fullmatch(path.name.removeprefix(".").removesuffix(PART)):
            status = path.lstat()
            if stat.S_ISREG(status.st_mode) and time.time() - status.st_mtime > PART_SECONDS:
                yield path


def _holds_a_store(path: Path) -> bool:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    with os.fdopen(handle, "rb") as stream:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return False
        header = stream.read(HEADER_BYTES)
    return header.startswith(_MAGIC) and int.from_bytes(header[_APPLICATION], "big") == APPLICATION_ID
