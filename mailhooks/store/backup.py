"""Backup, restore, check and upgrade of a store, as functions for the command line.

A backup is one file without a log, made by SQLite's backup interface from one snapshot: whole at any time, however much
is written meanwhile. It gets its name when it was read through and found sound, so that whatever has the name can be
restored. Relay passwords in it stay sealed: the key file is never part of it.

A restore is refused while anybody has the store open, and replaces it in one step.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mailhooks.store import schema, sqlite, uselock
from mailhooks.store.errors import NotFound, Refused, Unavailable
from mailhooks.store.keyfile import KeyFile
from mailhooks.store.url import sqlite_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STEP_PAGES = 1000  # copied between two reports of progress: 4 MB
BUSY_MS = 5000
MAX_FINDINGS = 20  # of one kind in a check: more say nothing new


def backup(url: str, target: Path, *, progress: Callable[[int, int], None] | None = None) -> None:
    """Copy the store as it is now to a new file, readable by its owner only. Raises Refused, Unavailable.

    ``progress`` hears of pages done and pages in all.
    """
    path = sqlite_path(url)
    if os.path.lexists(target):
        raise Refused(f"{target} is there already: choose another name")
    with _using(path), _new_file(target) as new:
        with _opened(path, "cannot back up") as source, contextlib.closing(sqlite3.connect(new)) as copy:
            _copy(source, copy, progress)
            if findings := _unsound(copy):
                raise Unavailable(f"the store {path} is not sound, no backup was made of it: {findings[0]}")
        os.link(new, target)


def upgrade(url: str) -> tuple[int, int]:
    """Bring a store to this version's schema; return the one before and after. Raises Unavailable, Refused.

    A copy of the older one stays beside it as NAME-schema-NUMBER, for whoever wants to go back.
    """
    path = sqlite_path(url)

    def keep(number: int) -> None:
        copy = path.with_name(f"{path.name}-schema-{number}")
        copy.unlink(missing_ok=True)  # of an upgrade that did not come to its end
        backup(url, copy)

    return schema.upgrade(url, keep=keep)


def restore(
    url: str, source: Path, *, who: str, now: float | None = None, progress: Callable[[int, int], None] | None = None
) -> None:
    """Put a backup in the place of the store. Raises Refused, and Unavailable while anybody has the store open.

    An older backup is brought to this version's schema. What is wrong with the backup is found before anything changes.
    """
    path = sqlite_path(url)
    if not source.is_file():
        raise NotFound(f"there is no backup {source}")
    _make_directory(path.parent)
    lock = uselock.own(path)
    try:
        with _new_file(path) as new:
            at = time.time() if now is None else now
            _prepare(source, new, number=_old_number(path), who=who, now=at, progress=progress)
            for ending in ("-wal", "-shm"):  # whose changes _old_number has just brought into the old file, if it could
                Path(f"{path}{ending}").unlink(missing_ok=True)
            new.replace(path)
            uselock.note(lock, uselock.mark(path.stat()))
    finally:
        uselock.free(lock)


def check(url: str, *, key_file: Path | None = None) -> list[str]:
    """Look for damage; return a sentence for each finding, none when all is well. Raises Unavailable."""
    path = sqlite_path(url)
    with _using(path), _opened(path, "cannot check") as connection:
        if damage := _damage(connection):
            return damage  # anything else would be read out of it
        findings = _broken(connection)
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version != schema.current():
            return [*findings, str(sqlite.wrong_schema(path, version, schema.current()))]
        empty = connection.execute(_EMPTY_ALIASES).fetchmany(MAX_FINDINGS)
        findings += [f"the alias {name} has no targets" for (name,) in empty]
        key_check = connection.execute("SELECT key_check FROM meta").fetchone()[0]
        return findings + _check_key(key_check, key_file)


def _unsound(connection: sqlite3.Connection) -> list[str]:
    """Return what makes restore() refuse a file: damage, or rows whose parents are missing."""
    return _damage(connection) or _broken(connection)


def _broken(connection: sqlite3.Connection) -> list[str]:
    broken = connection.execute("PRAGMA foreign_key_check").fetchmany(MAX_FINDINGS)
    return [f"a row of {table} names a {parent} that does not exist" for table, _, parent, _ in broken]


def _damage(connection: sqlite3.Connection) -> list[str]:
    try:
        found = connection.execute(f"PRAGMA integrity_check({MAX_FINDINGS})").fetchall()
    except sqlite3.DatabaseError as error:
        return [f"damaged: {error}"]
    return [f"damaged: {line}" for (line,) in found if line != "ok"]


def _check_key(key_check: bytes | None, key_file: Path | None) -> list[str]:
    if key_check is None or key_file is None:
        return []
    try:
        fits = KeyFile(key_file).fits(key_check)
    except Unavailable as error:
        return [str(error)]
    return [] if fits else [f"the store was written with another key than {key_file}: put the right key file back"]


def _copy(source: sqlite3.Connection, copy: sqlite3.Connection, progress: Callable[[int, int], None] | None) -> None:
    """Copy all pages of one snapshot; what others write meanwhile neither shows nor makes it begin again."""
    source.execute("BEGIN")
    source.execute("SELECT change_number FROM meta").fetchone()
    source.backup(
        copy,
        pages=STEP_PAGES,
        progress=None if progress is None else lambda _status, left, total: progress(total - left, total),
    )
    source.execute("COMMIT")
    copy.execute("PRAGMA journal_mode = DELETE")  # the copy is one file


def _prepare(
    source: Path, new: Path, *, number: int, who: str, now: float, progress: Callable[[int, int], None] | None
) -> None:
    """Make a whole store of a backup, later than the one it replaces, so that no remembered answer outlives it."""
    try:
        uri = f"file:{sqlite.quoted(source)}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as backup_file:
            if backup_file.execute("PRAGMA application_id").fetchone()[0] != sqlite.APPLICATION_ID:
                raise Refused(f"{source} is no backup of a mailhooks store")
            if _unsound(backup_file):
                raise Refused(f"the backup {source} is damaged: restore another one")
            with contextlib.closing(sqlite3.connect(new, isolation_level=None)) as copy:
                _copy(backup_file, copy, progress)
        with contextlib.closing(sqlite.connect(new, BUSY_MS)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            schema.migrate(source, connection)
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("UPDATE meta SET change_number = MAX(change_number, ?) + 1", (number,))
            entry = (now, who, "store restore", source.name, "")
            connection.execute("INSERT INTO audit (at, who, action, subject, detail) VALUES (?, ?, ?, ?, ?)", entry)
            connection.execute("COMMIT")
    except sqlite3.DatabaseError as error:
        raise Refused(f"{source} cannot be restored: {error}") from error


def _old_number(path: Path) -> int:
    """Return the change number of the store that is replaced, 0 when there is none that can be read."""
    try:
        with contextlib.closing(sqlite.connect(path, BUSY_MS)) as old:
            return int(old.execute("SELECT change_number FROM meta").fetchone()[0])
    except sqlite3.Error:
        return 0


@contextlib.contextmanager
def _using(path: Path) -> Iterator[None]:
    """Have the store in use, so that nobody replaces it meanwhile. Raises Unavailable."""
    if not path.exists():
        raise Unavailable(f"there is no store at {path}")
    lock = uselock.share(path)
    try:
        yield
    finally:
        uselock.free(lock)


@contextlib.contextmanager
def _opened(path: Path, doing: str) -> Iterator[sqlite3.Connection]:
    try:
        with contextlib.closing(sqlite.connect(path, BUSY_MS)) as connection:
            if connection.execute("PRAGMA application_id").fetchone()[0] != sqlite.APPLICATION_ID:
                raise Unavailable(f"{path} is no mailhooks store")
            yield connection
    except (sqlite3.Error, OSError) as error:
        raise Unavailable(f"{doing} the store {path}: {error}") from error


@contextlib.contextmanager
def _new_file(target: Path) -> Iterator[Path]:
    """Make an empty file beside ``target`` for its new content, that reaches the disk and is gone in the end."""
    new = target.with_name(f".{target.name}.new")
    try:
        new.unlink(missing_ok=True)  # what a killed process left
        os.close(os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, schema.FILE_MODE))
        try:
            yield new
            schema.sync_directory(target.parent)
        finally:
            new.unlink(missing_ok=True)
    except OSError as error:
        raise Unavailable(f"cannot write {target}: {error.strerror}") from error


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(schema.DIRECTORY_MODE, parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"cannot make the directory {path}: {error.strerror}") from error


_EMPTY_ALIASES = (
    "SELECT source FROM alias WHERE NOT EXISTS (SELECT 1 FROM alias_target t WHERE t.source = alias.source)"
)
