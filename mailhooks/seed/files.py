"""The seed directory itself: its files are hostile input when read, and hold password hashes when written.

Only regular files are read, links are not followed (a directory that others write to could point root at
/etc/shadow), and what is too large is refused before it fills the memory. Writing replaces each file as a whole.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

# In the order in which they are read: each needs what stands in those before it.
NAMES = ("main.cf", "domains", "mailboxes", "users", "aliases", "relay-sasl")

MAX_FILE_BYTES = 256 * 2**20  # a million users with long hashes, and memory for a few copies of it
MAX_LINE = 100_000  # characters, also of a line that is continued: as much as the store takes for one alias
FILE_MODE = 0o600
DIRECTORY_MODE = 0o700

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class SeedError(Exception):
    """The files cannot be taken as they are; each problem is one line that names file, line and cure."""

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def read(directory: Path) -> tuple[dict[str, list[str]], list[str]]:
    """Return the lines of each file that is there, and the names of files that are none of ours. Raises SeedError."""
    try:
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise SeedError(f"cannot read the directory {directory}: {error.strerror}") from error
    try:
        there = sorted(os.listdir(handle))  # noqa: PTH208 - by descriptor
        files = {name: _lines(handle, name) for name in NAMES if name in there}
    finally:
        os.close(handle)
    if not files:
        raise SeedError(f"{directory} has none of the files {', '.join(NAMES)}")
    return files, [name for name in there if name not in NAMES]


def write(directory: Path, files: Mapping[str, list[str]]) -> None:
    """Write the files, readable for their owner only; each replaces the old one as a whole. Raises SeedError."""
    try:
        directory.mkdir(DIRECTORY_MODE, parents=True, exist_ok=True)
        with _directory(directory) as handle:
            for name, lines in files.items():
                _write(handle, name, lines)
            os.fsync(handle)
    except OSError as error:
        raise SeedError(f"cannot write to {directory}: {error.strerror}") from error


def logical(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Yield each logical line of a Postfix table with its number: one that begins with a blank continues (postmap(1)).

    Empty lines and comments are left out. Raises SeedError when continuation lines add up to too much.
    """
    number, pending = 0, ""
    for at, line in enumerate(lines, 1):
        first = line[:1]
        if first == "#" or not first:
            continue
        if first not in " \t":
            if pending:
                yield number, pending
            number, pending = at, line
            continue
        text = line.strip()
        if not text or text[0] == "#":
            continue
        if not pending:
            raise SeedError(f"line {at} continues a line, but there is none before it")
        pending = f"{pending} {text}"
        if len(pending) > MAX_LINE:
            raise SeedError(f"the line that begins in line {number} has more than {MAX_LINE} characters")
    if pending:
        yield number, pending


def _lines(directory: int, name: str) -> list[str]:
    try:
        # Not waiting: somebody may have put a named pipe there.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with os.fdopen(os.open(name, flags, dir_fd=directory), "rb") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise SeedError(f"{name}: is no regular file: put a copy of the file itself there")
            data = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        # What O_NOFOLLOW says of a link (open(2)).
        link = error.errno == errno.ELOOP
        what = "is a link: put a copy of the file itself there" if link else f"cannot be read ({error.strerror})"
        raise SeedError(f"{name}: {what}") from error
    if len(data) > MAX_FILE_BYTES:
        raise SeedError(f"{name}: has more than {MAX_FILE_BYTES // 2**20} MB: import it in parts")
    return _decoded(name, data)


def _decoded(name: str, data: bytes) -> list[str]:
    try:
        text = data.decode().removeprefix("\ufeff").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SeedError(f"{name}:{line}: is not UTF-8: convert the file (iconv -t utf-8)") from error
    if control := _CONTROL.search(text):
        line = text.count("\n", 0, control.start()) + 1
        raise SeedError(f"{name}:{line}: contains the control character {control[0]!r}: take it out")
    lines = text.split("\n")
    if max(map(len, lines)) > MAX_LINE:
        line = next(at for at, line in enumerate(lines, 1) if len(line) > MAX_LINE)
        raise SeedError(f"{name}:{line}: has more than {MAX_LINE} characters")
    return lines


@contextmanager
def _directory(path: Path) -> Iterator[int]:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield handle
    finally:
        os.close(handle)


def _write(directory: int, name: str, lines: list[str]) -> None:
    temporary = f".{name}.{os.getpid()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(temporary, flags, FILE_MODE, dir_fd=directory)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
            os.fchmod(handle, FILE_MODE)  # whatever the umask says
            stream.writelines(f"{line}\n" for line in lines)
            stream.flush()
            os.fsync(handle)
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        os.unlink(temporary, dir_fd=directory)
        raise
