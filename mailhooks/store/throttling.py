"""What the throttle keeps: guesses counted, networks that accounts logged in from, and what an admin cleared.

Plain rows: what they mean is in ``mailhooks.throttle``. The daemon writes them in batches; only a clearing is a change
of the directory, so that it is audited and seen by the daemon at its next renewal.
"""

from __future__ import annotations

import ipaddress
import sqlite3
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mailhooks.store.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mailhooks.store.sqlite import Database

MAX_ROWS = 200_000  # read at once at start: more than the daemon's tables hold
MAX_KNOWN = 16  # networks kept for one account; the one unused longest leaves
CLEARINGS_KEPT = 1000  # a daemon that runs has taken each within a second; one that starts needs none

Key = tuple[str, str]  # account and network


@dataclass(frozen=True, slots=True)
class ThrottleRow:
    """What was guessed at an account from a network ("" is any account, any network)."""

    account: str
    network: str
    falls_at: float  # seconds since the epoch: when the guesses will have faded to one
    seen: bytes = field(repr=False)
    strikes: int


@dataclass(frozen=True, slots=True)
class Clearing:
    """What an admin wants forgotten: an account, a network, or everything."""

    id: int
    account: str
    network: str

    def covers(self, account: str, network: str) -> bool:
        """Tell whether a row of this key is meant: of the account, or of a network that overlaps."""
        if self.account:
            return account == self.account
        return not self.network or self.network == network or _overlap(self.network, network)


class ThrottleReads:
    """Reads of a store."""

    _db: Database

    def throttle_rows(self) -> tuple[ThrottleRow, ...]:
        """Return all that is counted. Raises Unavailable."""
        sql = "SELECT account, network, falls_at, seen, strikes FROM throttle ORDER BY falls_at DESC LIMIT ?"
        try:
            return tuple(ThrottleRow(*row) for row in self._db.execute(sql, (MAX_ROWS,)).fetchall())
        except sqlite3.Error as error:
            raise self._db.failed(error) from error

    def throttle_key(self) -> bytes:
        """Return the secret of the digests. Raises Unavailable."""
        try:
            key: bytes = self._db.execute("SELECT throttle_key FROM meta").fetchone()[0]
        except sqlite3.Error as error:
            raise self._db.failed(error) from error
        return key

    def known_network(self, address: str, network: str) -> float | None:
        """Return when an account last logged in from a network, to the day. Raises Unavailable."""
        sql = "SELECT at FROM throttle_known WHERE address = ? AND network = ?"
        try:
            row = self._db.execute(sql, (address, network)).fetchone()
        except sqlite3.Error as error:
            raise self._db.failed(error) from error
        return None if row is None else row[0]

    def clearings(self, after: int) -> tuple[Clearing, ...]:
        """Return what was cleared since the clearing ``after``. Raises Unavailable."""
        sql = "SELECT id, account, network FROM throttle_clear WHERE id > ? ORDER BY id"
        try:
            return tuple(Clearing(*row) for row in self._db.execute(sql, (after,)).fetchall())
        except sqlite3.Error as error:
            raise self._db.failed(error) from error


class ThrottleBatch:
    """Writes of a batch."""

    _run: Callable[..., sqlite3.Cursor]

    def save_throttle(self, rows: Iterable[ThrottleRow], gone: Iterable[Key]) -> None:
        """Keep these rows as they are now, and forget those of these keys."""
        for row in rows:
            self._run(_SAVE, (row.account, row.network, row.falls_at, row.seen, row.strikes))
        for key in gone:
            self._run("DELETE FROM throttle WHERE account = ? AND network = ?", key)

    def note_network(self, address: str, network: str, at: float) -> None:
        """Keep that an account logged in from a network; nothing happens when there is no such mailbox."""
        self._run(_NOTE, (network, at, address))
        self._run(_NOTE_BOUND, (address, address, MAX_KNOWN))


class ThrottleChanges(Ledger):
    """The part of a change that is about the throttle."""

    def clear_throttle(self, *, account: str = "", network: str = "") -> int:
        """Forget the guesses at an account, from a network, or all; return how many rows were kept of them."""
        clearing = Clearing(0, account, network)
        keys = self._run("SELECT account, network FROM throttle").fetchall()
        covered = [key for key in keys if clearing.covers(*key)]
        self._run_many("DELETE FROM throttle WHERE account = ? AND network = ?", covered)
        self._run("INSERT INTO throttle_clear (account, network) VALUES (?, ?)", (account, network))
        sql = "DELETE FROM throttle_clear WHERE id <= (SELECT MAX(id) FROM throttle_clear) - ?"
        self._run(sql, (CLEARINGS_KEPT,))
        self._record("throttle clear", account or network)
        return len(covered)


def _overlap(one: str, other: str) -> bool:
    try:
        first, second = ipaddress.ip_network(one), ipaddress.ip_network(other)
    except ValueError:  # no network: 'shared', or a row about an account
        return False
    return first.version == second.version and first.overlaps(second)


_SAVE = (
    "INSERT INTO throttle (account, network, falls_at, seen, strikes) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (account, network) DO UPDATE SET falls_at = excluded.falls_at, seen = excluded.seen, "
    "strikes = excluded.strikes"
)
_NOTE = (
    "INSERT INTO throttle_known (address, network, at) SELECT address, ?, ? FROM mailbox WHERE address = ? "
    "ON CONFLICT (address, network) DO UPDATE SET at = MAX(at, excluded.at)"
)
_NOTE_BOUND = (
    "DELETE FROM throttle_known WHERE address = ? AND network IN "
    "(SELECT network FROM throttle_known WHERE address = ? ORDER BY at DESC LIMIT -1 OFFSET ?)"
)
