"""Making directories and files in a mailbox, for the user whose mail it is."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailhooks.maildir import entry

if TYPE_CHECKING:
    from collections.abc import Iterator

DIRECTORY_MODE, FILE_MODE = 0o700, 0o600

_MAKE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose the mail is."""

    uid: int
    gid: int

    def take(self, handle: int, mode: int) -> None:
        """Give what was just made to the owner. Raises OSError."""
        os.fchmod(handle, mode)
        os.fchown(handle, self.uid, self.gid)


@contextmanager
def entered(parent: int, *parts: str, owner: Owner, make: bool) -> Iterator[int | None]:
    """Enter a directory step by step, making what is missing, or None where it is not to be made. Raises OSError."""
    handle = os.dup(parent)
    try:
        for part in parts:
            inner = _made(handle, part, owner) if make else _there(handle, part)
            if inner is None:
                yield None
                return
            os.close(handle)
            handle = inner
        yield handle
    finally:
        os.close(handle)


def _made(parent: int, name: str, owner: Owner) -> int:
    made = False
    with suppress(FileExistsError):
        os.mkdir(name, DIRECTORY_MODE, dir_fd=parent)
        made = True
    handle = os.open(name, entry.DIRECTORY, dir_fd=parent)
    try:
        # One that was made just before a crash is root's still, which the mail user could not enter.
        if made or (os.geteuid() == 0 and os.fstat(handle).st_uid == 0):
            owner.take(handle, DIRECTORY_MODE)
            os.fsync(parent)
    except BaseException:
        os.close(handle)
        raise
    return handle


def _there(parent: int, name: str) -> int | None:
    try:
        return os.open(name, entry.DIRECTORY, dir_fd=parent)
    except FileNotFoundError:
        return None


def make(directory: int, name: str, owner: Owner) -> int:
    """Make a file that was not there. Raises FileExistsError, OSError."""
    handle = os.open(name, _MAKE, FILE_MODE, dir_fd=directory)
    owner.take(handle, FILE_MODE)
    return handle


def touch(directory: int, name: str, owner: Owner) -> None:
    """Make an empty file unless there is one. Raises OSError."""
    with suppress(FileExistsError):
        os.close(make(directory, name, owner))


def replace(directory: int, name: str, data: bytes, owner: Owner) -> None:
    """Replace a whole file, so that whoever reads it has the old one or the new one. Raises OSError."""
    temporary = f"{name}.mailhooks"
    remove(directory, temporary)
    handle = make(directory, temporary, owner)
    try:
        with open(handle, "wb", closefd=False) as stream:
            stream.write(data)
        os.fsync(handle)
    finally:
        os.close(handle)
    os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    os.fsync(directory)


def remove(directory: int, name: str) -> None:
    """Remove a file, if it is there. Raises OSError."""
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=directory)
