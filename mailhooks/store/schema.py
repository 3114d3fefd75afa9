"""Making a store and bringing it to this version's schema: numbered files of SQL, each applied once, in order.

A store is made under another name and linked to its own when it is whole, so nobody ever opens half of one. The number
of the last migration is the file's ``user_version``.
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from mailhooks.store import sqlite, uselock
from mailhooks.store.errors import Unavailable
from mailhooks.store.url import sqlite_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FILE_MODE = 0o600
DIRECTORY_MODE = 0o750
BUSY_MS = 5000

_NAME = re.compile(r"(\d{4})_\w+\.sql")


@cache
def migrations() -> tuple[tuple[int, str], ...]:
    """Return all migrations as (number, SQL), in order."""
    files = resources.files("mailhooks.store").joinpath("migrations").iterdir()
    named = [(match[1], file) for file in files if (match := _NAME.fullmatch(file.name))]
    return tuple(sorted((int(number), file.read_text("utf-8")) for number, file in named))


def current() -> int:
    """Return the schema that this version of mailhooks works with."""
    return migrations()[-1][0]


def create(path: Path, *, before: Callable[[], object] = lambda: None) -> None:
    """Make an empty store at ``path`` unless there is one. Raises Unavailable.

    ``before`` makes what a store must not be without: it is called when the store is whole, and before it has its name.
    """
    if os.path.lexists(path):
        return
    try:
        path.parent.mkdir(DIRECTORY_MODE, parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"cannot make the directory {path.parent}: {error.strerror}") from error
    _refuse_orphan(path)
    lock = uselock.own(path)
    try:
        if not os.path.lexists(path):
            _create(path, before)
            uselock.note(lock, uselock.mark(path.stat()))
    except (OSError, sqlite3.Error) as error:
        raise Unavailable(f"cannot make the store {path}: {error}") from error
    finally:
        uselock.free(lock)


def upgrade(url: str, *, keep: Callable[[int], None] = lambda _number: None) -> tuple[int, int]:
    """Bring a store to this version's schema, all or nothing; return the one before and after. Raises Unavailable.

    ``keep`` is called with the number of an older schema before anything changes.
    """
    path = sqlite_path(url)
    if not path.exists():
        raise Unavailable(f"there is no store at {path}")
    lock = uselock.share(path)
    try:
        with contextlib.closing(sqlite.connect(path, BUSY_MS)) as connection:
            if connection.execute("PRAGMA application_id").fetchone()[0] != sqlite.APPLICATION_ID:
                raise Unavailable(f"{path} is no mailhooks store")
            connection.execute("PRAGMA journal_mode = WAL")
            if (number := _number(connection)) < current():
                keep(number)
            return migrate(path, connection)
    except sqlite3.Error as error:
        raise Unavailable(f"cannot upgrade the store {path}: {error}") from error
    finally:
        uselock.free(lock)


def _create(path: Path, before: Callable[[], object]) -> None:
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)  # what a killed process left; nobody else makes one while we hold the lock
    os.close(os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE))
    try:
        with contextlib.closing(sqlite.connect(new, BUSY_MS)) as connection:
            connection.execute(f"PRAGMA page_size = {sqlite.PAGE_BYTES}")
            connection.execute(f"PRAGMA application_id = {sqlite.APPLICATION_ID}")
            connection.execute("PRAGMA journal_mode = WAL")
            migrate(new, connection)
        before()
        os.link(new, path)  # unlike rename, it does not replace what somebody else put there
    finally:
        new.unlink(missing_ok=True)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make sure that a name just given is on the disk. Raises OSError."""
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _refuse_orphan(path: Path) -> None:
    """Do not make a new store where only the log of one is: the file was moved, and may be put back."""
    with contextlib.suppress(FileNotFoundError):
        if Path(f"{path}-wal").stat().st_size:
            raise Unavailable(
                f"there is no store at {path}, but the log of one ({path}-wal) that holds changes: put the store back, "
                "or remove the log"
            )


def migrate(path: Path, connection: sqlite3.Connection) -> tuple[int, int]:
    """Apply the migrations that are missing, in one transaction; return the schema before and after.

    Raises Unavailable when the schema is newer than ours, and sqlite3.Error.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        before = _apply(path, connection)
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise
    return before, current()


def _apply(path: Path, connection: sqlite3.Connection) -> int:
    before = _number(connection)
    if before > current():
        raise sqlite.wrong_schema(path, before, current())
    for number, sql in migrations():
        if number > before:
            for statement in _statements(sql):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
    if before < current():
        connection.execute("UPDATE meta SET change_number = change_number + 1")
    if connection.execute("PRAGMA foreign_key_check").fetchone() is not None:
        raise Unavailable(f"the store {path} would not be whole after the upgrade: restore a backup")
    return before


def _number(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _statements(sql: str) -> Iterator[str]:
    """Split a script; sqlite3's own executescript commits first, and an upgrade is one transaction."""
    statement = ""
    for line in sql.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        yield statement
