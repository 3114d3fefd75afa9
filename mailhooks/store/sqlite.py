"""The SQLite engine: one connection with a read transaction held open, and everything that only SQLite needs.

A read in a held transaction costs 2.4 µs, one with a transaction of its own 6.3. The price is four duties:

- ``renew`` takes a fresh snapshot; until then this handle does not see what others committed.
- An open handle does not notice that its file was moved or replaced, so each renewal compares device and inode of the
  path. The old file's log lies beside the new file, so the new one is opened only when every handle has let go.
- Readers that always hold a snapshot never let SQLite restart its log. Past a limit the writer waits for them to renew
  and truncates it.
- A handle at rest holds nothing: after a write, and after ``release``, the next read begins a new snapshot.

Errors of SQLite leave this package as Unavailable. A missing file is never created here (schema.py does that).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mailhooks.store import uselock
from mailhooks.store.errors import StoreError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

APPLICATION_ID = 0x6D686B73  # "mhks": a SQLite file of something else is not taken for a store
PAGE_BYTES = 4096
HEADER_BYTES = 100  # https://www.sqlite.org/fileformat.html, section 1.3
CACHE_KIB = 16_384  # of each handle; the rest is the kernel's page cache, which costs this process nothing
RETRY_SECONDS = 0.25  # between two attempts to open a store that is away: an outage must not cost CPU
LOG_LIMIT = 12 * 2**20  # bytes of write-ahead log at which it is truncated, to keep it below 16 MB
LOG_STEP = 4 * 2**20  # growth after which a truncation that failed is tried again
# How long a truncation waits for readers, each of which renews every 20 ms. In many short tries: SQLite picks the read
# mark that it waits for once in each, and a reader that renews onto that very mark would never let it come free.
LOG_WAIT_MS = 50
LOG_TRIES = 10


class Database:
    """One connection to the store's file, for one thread."""

    def __init__(self, path: Path, *, schema: int, busy_seconds: float) -> None:
        self.path = path
        self._log_path = Path(f"{path}-wal")
        self.available = False
        self.reason = f"the store {path} was not opened yet"
        self.writing = False
        self.generation = 0  # counts connections: what was read of an older one may be of another file
        self.execute: Callable[..., sqlite3.Cursor] = self._resume
        self.execute_many: Callable[..., sqlite3.Cursor] = self._resume  # within a transaction only
        self._schema = schema
        self._busy_ms = max(1, int(busy_seconds * 1000))
        self._connection: sqlite3.Connection | None = None
        self._run: Callable[..., sqlite3.Cursor] = self._resume
        self._file = (0, 0)  # device and inode of what is open
        self._size = 0
        self._lock = -1
        self._held = False
        self._retry_at = 0.0
        self._log_limit = LOG_LIMIT

    # The snapshot

    def renew(self) -> None:
        """Take a fresh snapshot; open or reopen the file at need. An outage is said in ``available``, never raised."""
        if self.writing:
            return
        try:
            if self._connection is None:
                self._open()
            else:
                self._check_file()
                if self._held:
                    self._run("COMMIT")
                    self._held = False
            self._hold()
        except (OSError, sqlite3.Error, StoreError) as error:
            self._fail(error)

    def release(self) -> None:
        """Hold nothing until the next read, so that a handle at rest is in nobody's way."""
        if self._connection is None or self.writing:
            return
        try:
            if self._held:
                self._run("COMMIT")
                self._held = False
            self.execute = self._resume
            self._check_file()
        except (OSError, sqlite3.Error, StoreError) as error:
            self._fail(error)

    def failed(self, error: Exception) -> Unavailable:
        """Turn an error of SQLite into the Unavailable to raise; what is broken is closed and opened again later."""
        self._fail(error)
        return Unavailable(self.reason)

    def close(self) -> None:
        """Let go of the file; the next use opens it again."""
        self.execute = self._resume
        self.available = False
        self._held = self.writing = False
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):  # nothing is left to be saved: every commit has returned
                connection.close()
        self._unlock()

    def _unlock(self) -> None:
        lock, self._lock = self._lock, -1
        if lock >= 0:
            uselock.free(lock)

    def _hold(self) -> None:
        self._run("BEGIN")
        self._held = True
        version = self._run("PRAGMA user_version").fetchone()[0]  # this first read is what takes the snapshot
        if version != self._schema:
            raise wrong_schema(self.path, version, self._schema)
        self.execute = self._run
        self.available = True

    def _resume(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        """Stand in for ``execute`` while nothing is held: take a snapshot first."""
        self.renew()
        if not self.available:
            raise Unavailable(self.reason)
        return self._run(sql, parameters)

    # The file

    def _open(self) -> None:
        now = time.monotonic()
        if now < self._retry_at:
            raise Unavailable(self.reason)
        self._retry_at = now + RETRY_SECONDS
        before = self.path.stat()
        self._lock = uselock.share(self.path)
        file = uselock.mark(before)
        if uselock.noted(self._lock)[0] != file:
            self._take_up(file)
        connection = connect(self.path, self._busy_ms)
        self._connection = connection
        cursor = connection.cursor()
        self._run, self.execute_many = cursor.execute, cursor.executemany
        check_kind(self.path, self._run)
        self._run("SELECT change_number FROM meta").fetchone()
        after = self.path.stat()
        if not os.path.samestat(before, after):
            raise Unavailable(f"the store {self.path} is being replaced")
        self._file = (after.st_ino, after.st_dev)
        self._size = after.st_size
        if uselock.noted(self._lock) != (file, log := uselock.mark(self._log_path.stat())):
            uselock.note(self._lock, file, log)
        self._log_limit = LOG_LIMIT
        self.generation += 1

    def _take_up(self, file: str) -> None:
        """Take up a store that is not the noted one, once nobody has that open, and with its own log only.

        The log that lies there may hold changes of the file that was moved away. It is kept under that file's name,
        and is put back when the file is.
        """
        self._unlock()
        self._lock = uselock.own(self.path)
        check_header(self.path)
        old, log = uselock.noted(self._lock)
        if self._log_path.exists() and uselock.mark(self._log_path.stat()) == log:
            self._log_path.replace(f"{self._log_path}.{old}")
        kept = Path(f"{self._log_path}.{file}")
        if kept.exists() and not self._log_path.exists():
            kept.replace(self._log_path)
        Path(f"{self.path}-shm").unlink(missing_ok=True)  # SQLite makes it anew of the log
        uselock.note(self._lock, file)
        self._unlock()
        self._lock = uselock.share(self.path)

    def _check_file(self) -> None:
        now = os.stat(self.path)  # noqa: PTH116 - every 20 ms: half the price of Path.stat
        if (now.st_ino, now.st_dev) != self._file:
            raise Unavailable(f"the file of the store {self.path} was replaced")
        if now.st_size != self._size:  # it grows in pages and shrinks only when somebody else had hands on it
            if now.st_size < self._size or now.st_size % PAGE_BYTES:
                raise Unavailable(f"the file of the store {self.path} was overwritten")
            self._size = now.st_size

    def _fail(self, error: Exception) -> None:
        self.reason = _sentence(self.path, error)
        if isinstance(error, sqlite3.OperationalError) and _is_busy(error) and self._connection is not None:
            # Somebody else has it locked: the handle is good, only this answer is not to be had now.
            if self.writing:
                return
            self._held = self._connection.in_transaction
            self.execute = self._run if self._held else self._resume
            self.available = self._held
            return
        self.close()

    # Writing

    @contextlib.contextmanager
    def transaction(self, synchronous: Literal["FULL", "NORMAL"]) -> Iterator[None]:
        """Write in one transaction: all of it or nothing. Raises Unavailable, also when others hold the write lock."""
        self._begin(synchronous)
        try:
            yield
            self._check_file()
            self._run("COMMIT")
        except BaseException as error:
            self._abandon()
            if isinstance(error, (sqlite3.Error, OSError)):
                raise self.failed(error) from error
            if isinstance(error, Unavailable):
                self._fail(error)
            raise
        self.writing = False
        self.execute = self._resume
        self._bound_log()

    def _begin(self, synchronous: str) -> None:
        if self.writing:
            raise RuntimeError("a change cannot be made within a change")
        self.release()
        if self._connection is None:
            self.renew()
            self.release()
        if self._connection is None:
            raise Unavailable(self.reason)
        try:
            self._run(f"PRAGMA synchronous = {synchronous}")
            self._run("BEGIN IMMEDIATE")
            self.writing = True
            self.execute = self._run
            version = self._run("PRAGMA user_version").fetchone()[0]
        except sqlite3.Error as error:
            raise self.failed(error) from error
        if version != self._schema:
            self._abandon()
            raise wrong_schema(self.path, version, self._schema)

    def _abandon(self) -> None:
        self.writing = False
        self.execute = self._resume
        if self._connection is not None and self._connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):  # a failed commit may have rolled back by itself
                self._connection.rollback()

    def _bound_log(self) -> None:
        """Truncate the write-ahead log when it is long; readers let go of it one after another as they renew."""
        try:
            size = self._log_path.stat().st_size
            if size < self._log_limit:
                return
            self._run(f"PRAGMA busy_timeout = {LOG_WAIT_MS}")
            busy = all(self._run("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] for _ in range(LOG_TRIES))
            self._run(f"PRAGMA busy_timeout = {self._busy_ms}")
        except (OSError, sqlite3.Error) as error:
            self._fail(error)  # the commit before it stands
            return
        self._log_limit = size + LOG_STEP if busy else LOG_LIMIT


def connect(path: Path, busy_ms: int) -> sqlite3.Connection:
    """Open an existing file and set what every connection needs. Raises sqlite3.Error."""
    # One handle is used by one thread at a time, but the thread that ends the process may close it.
    connection = sqlite3.connect(
        f"file:{quoted(path)}?mode=rw", uri=True, isolation_level=None, timeout=busy_ms / 1000, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        connection.execute("PRAGMA wal_autocheckpoint = 0")  # the writer bounds the log itself: see _bound_log
        connection.execute("PRAGMA trusted_schema = OFF")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def check_header(path: Path) -> None:
    """Make sure that a file which nobody has open is a store, by its first bytes. Raises Unavailable, OSError.

    Not for a file that is open: closing it here would drop the locks that SQLite has on it (fcntl(2)).
    """
    with path.open("rb") as stream:
        header = stream.read(HEADER_BYTES)
    if header[:16] != b"SQLite format 3\0" or header[68:72] != APPLICATION_ID.to_bytes(4, "big"):
        raise Unavailable(f"{path} is no mailhooks store")


def check_kind(path: Path, run: Callable[..., sqlite3.Cursor]) -> None:
    """Make sure that the file is a store in the right journal mode. Raises Unavailable and sqlite3.Error."""
    if run("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise Unavailable(f"{path} is no mailhooks store")
    # A copy by VACUUM INTO has everything but the mode. Where it is right already this changes nothing.
    if run("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
        raise Unavailable(f"the store {path} cannot keep a write-ahead log: put it on a local, writable disk")


def wrong_schema(path: Path, found: int, known: int) -> Unavailable:
    """Say what to do about a store of another version."""
    if found > known:
        return Unavailable(
            f"the store {path} was written by a newer mailhooks (schema {found}, this one knows {known}): "
            "install that version, or restore a backup"
        )
    return Unavailable(
        f"the store {path} has schema {found}, this mailhooks needs {known}: run mailhooks store upgrade"
    )


def _is_busy(error: sqlite3.OperationalError) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _sentence(path: Path, error: Exception) -> str:
    if isinstance(error, StoreError):
        return str(error)
    if isinstance(error, FileNotFoundError):
        return f"there is no store at {path}"
    if isinstance(error, OSError):
        return f"the store {path} cannot be used: {error.strerror}"
    if isinstance(error, sqlite3.OperationalError) and _is_busy(error):
        return f"the store {path} is locked by another process"
    return f"the store {path} cannot be used: {error}"


def quoted(path: Path) -> str:
    """Escape a path for an SQLite URI (https://www.sqlite.org/uri.html)."""
    return str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
