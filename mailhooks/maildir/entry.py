"""Opening what somebody else may have put there: nothing is followed, waited for or read without end.

Whoever could write to a Maildir may have planted a link to /etc/shadow, a named pipe that never ends or a sparse file
of a terabyte, and may change it while root reads. So every step is taken from an open directory, and every file is
looked at after it is open.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Unfit(Exception):
    """An entry is none that can be taken; the text says why."""


@contextmanager
def directory(parent: int, *parts: str) -> Iterator[int]:
    """Enter a directory step by step. Raises OSError, NotADirectoryError also for a link."""
    handle = os.dup(parent)
    try:
        for part in parts:
            inner = os.open(part, DIRECTORY, dir_fd=handle)
            os.close(handle)
            handle = inner
        yield handle
    finally:
        os.close(handle)


@contextmanager
def regular(parent: int, name: str, *, owner: int, limit: int) -> Iterator[tuple[int, os.stat_result]]:
    """Open a regular file. Raises Unfit, OSError.

    A file that has a second name somewhere may be anybody's secret: it is taken only when it belongs to ``owner``.
    (Dovecot copies by hard links, so they are common.)
    """
    try:
        handle = os.open(name, FILE, dir_fd=parent)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link, a socket (open(2))
            raise Unfit("is no regular file but a link or a socket") from error
        raise
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise Unfit("is no regular file")
        if status.st_nlink > 1 and status.st_uid != owner:
            raise Unfit("is a hard link to a file of another user")
        if status.st_size > limit:
            raise Unfit(f"has more than {limit} bytes")
        yield handle, status
    finally:
        os.close(handle)


def contents(parent: int, name: str, *, owner: int, limit: int) -> bytes | None:
    """Read a small file; None where there is none that can be taken."""
    try:
        with (
            regular(parent, name, owner=owner, limit=limit) as (handle, _),
            open(handle, "rb", closefd=False) as stream,
        ):
            data = stream.read(limit + 1)
    except (OSError, Unfit):
        return None
    return data if len(data) <= limit else None


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in a directory, and what bore it when it was looked at."""

    name: str
    mode: int
    size: int

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return stat.S_ISREG(self.mode)

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory, and no link to one."""
        return stat.S_ISDIR(self.mode)

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link."""
        return stat.S_ISLNK(self.mode)


def listing(parent: int, *parts: str, limit: int) -> list[Entry]:
    """List a directory in the order of its names; one that is not there is empty. Raises Unfit for too many entries."""
    found: list[Entry] = []
    try:
        with directory(parent, *parts) as handle, os.scandir(handle) as entries:
            for each in entries:
                if len(found) == limit:
                    raise Unfit(f"has more than {limit} entries")
                with suppress(FileNotFoundError):  # gone again
                    status = each.stat(follow_symlinks=False)
                    found.append(Entry(each.name, status.st_mode, status.st_size))
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(found, key=attrgetter("name"))
