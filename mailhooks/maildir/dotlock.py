"""Dovecot's dot locks: ``dovecot-uidlist.lock`` keeps its processes and this one from numbering a folder at once.

Protocol (Dovecot src/lib/file-dotlock.c): whoever makes the file has the lock; it holds ``PID:HOST``. One whose process
is gone, on this host, may be taken away, and so may one that nobody touched for two minutes.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from mailhooks.maildir import entry
from mailhooks.maildir.errors import Busy

if TYPE_CHECKING:
    from collections.abc import Iterator

STALE_SECONDS = 120.0  # MAILDIR_UIDLIST_LOCK_STALE_TIMEOUT
WAIT_SECONDS = 150.0  # longer than that, so that a stale lock never ends an import
LOOK_SECONDS = 0.1
MAX_CONTENT = 512  # bytes: what Dovecot reads of it


@contextmanager
def held(directory: int, name: str, what: str) -> Iterator[None]:
    """Hold the lock of a file. Raises Busy."""
    lock = f"{name}.lock"
    deadline = time.monotonic() + WAIT_SECONDS
    while not _make(directory, lock):
        if time.monotonic() > deadline:
            raise Busy(f"{what} is locked by another program: run this again later, it goes on where it stopped")
        if _is_stale(directory, lock):
            with suppress(FileNotFoundError):
                os.unlink(lock, dir_fd=directory)
        time.sleep(LOOK_SECONDS)
    try:
        yield
    finally:
        with suppress(FileNotFoundError):
            os.unlink(lock, dir_fd=directory)


def _make(directory: int, lock: str) -> bool:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        handle = os.open(lock, flags, 0o644, dir_fd=directory)  # Dovecot's processes read whose it is
    except FileExistsError:
        return False
    try:
        os.fchmod(handle, 0o644)
        os.write(handle, f"{os.getpid()}:{socket.gethostname()}".encode())
    finally:
        os.close(handle)
    return True


def _is_stale(directory: int, lock: str) -> bool:
    try:
        age = time.time() - os.stat(lock, dir_fd=directory, follow_symlinks=False).st_mtime
    except FileNotFoundError:
        return False
    if age > STALE_SECONDS:
        return True
    data = entry.contents(directory, lock, owner=os.geteuid(), limit=MAX_CONTENT) or b""
    pid, _, host = data.decode(errors="replace").strip().partition(":")
    if host != socket.gethostname() or not pid.isdecimal() or not 0 < int(pid) < 2**22:
        return False
    if int(pid) == os.getpid():
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False
