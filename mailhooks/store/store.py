"""The store: one directory of domains, accounts and aliases, read in a held snapshot and changed in transactions.

Reads are in ``reads`` and ``listings``, writes in ``change`` (the directory) and ``batch`` (usage and last logins), and
what only SQLite needs in ``sqlite``. One handle is for one thread. A handle opens its file at first use and never makes
one; ``open_store`` does, for the command line.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mailhooks.store import schema
from mailhooks.store.batch import Batch
from mailhooks.store.change import Change
from mailhooks.store.errors import Unavailable
from mailhooks.store.keyfile import KeyFile
from mailhooks.store.listings import Listings
from mailhooks.store.sending import SendingReads
from mailhooks.store.sqlite import Database
from mailhooks.store.throttling import ThrottleReads
from mailhooks.store.url import sqlite_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BUSY_SECONDS = 5.0  # how long a write waits for another's: the time limit of a lookup


class Store(Listings, ThrottleReads, SendingReads):
    """One handle on the store, for one thread."""

    def __init__(
        self,
        url: str,
        *,
        key_file: Path | str | None = None,
        busy_seconds: float = BUSY_SECONDS,
        clock: Callable[[], float] = time.time,
        delimiter: str = "+",
    ) -> None:
        """Remember where the store is; nothing is opened. Raises Refused for what is no URL of a store.

        ``delimiter`` is Postfix's recipient_delimiter: alias loops are looked for through extensions, too.
        """
        self._db = Database(sqlite_path(url), schema=schema.current(), busy_seconds=busy_seconds)
        self._clock = clock
        self._key = KeyFile(Path(key_file) if key_file is not None else None)
        self._delimiter = delimiter
        self._seen = (-1, -1)  # generation of the connection and change number of the last renewal
        self.change_number = 0
        self.next_change_at: float | None = None

    @property
    def available(self) -> bool:
        """Whether the last renewal or read got an answer."""
        return self._db.available

    @property
    def reason(self) -> str:
        """Why the store is not available, for the log: it names paths."""
        return self._db.reason

    @property
    def generation(self) -> int:
        """How often the file was opened: what was answered before may have come of another file."""
        return self._db.generation

    def renew(self) -> None:
        """Take a fresh snapshot; call it every 20 ms on a thread that answers, and before acknowledging a write.

        Never raises for an outage: it is said in ``available``, and each call tries again, at most every 0.25 s.
        """
        self._db.renew()
        if self._db.available and not self._db.writing:
            try:
                self._look_around()
            except sqlite3.Error as error:
                self._db.failed(error)

    def release(self) -> None:
        """Hold nothing until the next read; for a handle that rests for long."""
        self._db.release()

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    @contextmanager
    def change(self, who: str) -> Iterator[Change]:
        """Change the directory in one transaction, which is on the disk when the ``with`` ends.

        ``who`` is for the audit log.
        Raises Refused, NotFound and Unavailable, and whatever its block raises: then nothing was changed.
        """
        with self._db.transaction("FULL"):
            change = Change(
                self,
                self._db.execute,
                run_many=self._db.execute_many,
                who=who,
                now=self._clock(),
                key=self._key,
                delimiter=self._delimiter,
            )
            change.begin()
            yield change
            change.finish()

    @contextmanager
    def batch(self) -> Iterator[Batch]:
        """Write usage and last logins in one cheap transaction. Raises Unavailable."""
        with self._db.transaction("NORMAL"):
            yield Batch(self, self._db.execute, self._clock())

    def _look_around(self) -> None:
        run = self._db.execute
        number = run("SELECT change_number FROM meta").fetchone()[0]
        seen = (self._db.generation, number)
        now = self._clock()
        if seen == self._seen and (self.next_change_at is None or now < self.next_change_at):
            return
        self.next_change_at = run(_NEXT_CHANGE, (now,)).fetchone()[0]
        self.change_number = number
        self._seen = seen


def open_store(
    url: str,
    *,
    key_file: Path | str | None = None,
    create: bool = False,
    busy_seconds: float = BUSY_SECONDS,
    clock: Callable[[], float] = time.time,
    delimiter: str = "+",
) -> Store:
    """Open a store for the command line; ``create`` makes what is missing: directory, store, key file.

    Raises Unavailable when it cannot be opened, Refused for what is no URL of a store.
    """
    if create:
        schema.create(sqlite_path(url))
    store = Store(url, key_file=key_file, busy_seconds=busy_seconds, clock=clock, delimiter=delimiter)
    store.renew()
    if not store.available:
        store.close()
        raise Unavailable(store.reason)
    if create and key_file is not None:
        try:
            _make_key(store, KeyFile(Path(key_file)))
        except BaseException:
            store.close()
            raise
    return store


def _make_key(store: Store, key: KeyFile) -> None:
    """Make the key file with the store's first key; a lost key is never replaced, for it may be found again."""
    if not key.exists() and not store.has_secrets():
        key.create()


_NEXT_CHANGE = (
    "SELECT MIN(at) FROM (SELECT MIN(until) AS at FROM mailbox WHERE until > ?1 "
    "UNION ALL SELECT MIN(expires) FROM mailbox WHERE expires > ?1 "
    "UNION ALL SELECT MIN(expires) FROM alias WHERE expires > ?1 "
    "UNION ALL SELECT MIN(expires) FROM app_password WHERE expires > ?1)"
)
