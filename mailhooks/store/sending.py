"""What accounts may send: limits on recipients, how much of them is used, and suspensions of accounts that look stolen.

Plain rows: what they mean is in ``mailhooks.policy``. The daemon writes use in batches; limits and suspensions are
changes of the directory, audited and seen by the daemon at its next renewal.
"""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailhooks.store import ledger
from mailhooks.store.errors import NotFound
from mailhooks.store.mailbox_changes import MailboxChanges

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mailhooks.store.sqlite import Database

MAX_WINDOWS = 4  # of one scope: each is looked at with every recipient
MAX_RECIPIENTS = 10**9
MAX_SECONDS = 366 * 86_400
MIN_SECONDS = 60  # a shorter window counts how fast a mail program is
MAX_SUSPENSIONS = 10_000  # read at once: the daemon holds them; so many stolen accounts are another problem
DEFAULT, CREDENTIAL, NETWORK = "default", "credential", "network"  # scopes that are no address: each user, each ...
WORDS = (DEFAULT, CREDENTIAL, NETWORK)
EXPIRED_AT_ONCE = 1000  # rows forgotten in one batch, so that its time stays in milliseconds

_LIMIT = re.compile(r"([0-9]{1,10})/([0-9]{0,6})([mhdw])", re.ASCII)
_UNITS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}


@dataclass(frozen=True, slots=True)
class Limit:
    """At most so many recipients in any so many seconds."""

    recipients: int
    seconds: int

    def __str__(self) -> str:
        """Spell it as it is given: ``500/1d``."""
        name, unit = next((pair for pair in reversed(_UNITS.items()) if self.seconds % pair[1] == 0), ("s", 1))
        return f"{self.recipients}/{self.seconds // unit}{name}"


@dataclass(frozen=True, slots=True)
class SendLimit:
    """The limits of a scope; none: explicitly no limit."""

    scope: str
    limits: tuple[Limit, ...]


@dataclass(frozen=True, slots=True)
class Suspension:
    """An account that may not send, since when, until when (None: until it is lifted), and why."""

    address: str
    at: float
    until: float | None
    reason: str


def parse_limits(text: str) -> tuple[Limit, ...]:
    """Read ``100/1h,500/1d``, or ``none``. Raises ValueError with the cure."""
    if text.strip().lower() in ("none", "unlimited"):
        return ()
    found: dict[int, Limit] = {}
    for part in re.split(r"[,\s]+", text.strip()):
        match = _LIMIT.fullmatch(part.lower())
        if not match:
            raise ValueError(f"{part!r} is no limit: expected recipients and a time like 500/1h, or none")
        limit = Limit(int(match[1]), int(match[2] or 1) * _UNITS[match[3]])
        if limit.recipients > MAX_RECIPIENTS or not MIN_SECONDS <= limit.seconds <= MAX_SECONDS:
            raise ValueError(f"{part!r} is out of range: expected a time from a minute to a year")
        if limit.seconds in found:
            raise ValueError(f"{part!r} is a second limit for the same time: give one for each")
        found[limit.seconds] = limit
    if len(found) > MAX_WINDOWS:
        raise ValueError(f"{len(found)} limits for one: at most {MAX_WINDOWS} are kept")
    return tuple(found[seconds] for seconds in sorted(found))


class SendingReads:
    """Reads of a store."""

    _db: Database

    def send_limit(self, scope: str) -> SendLimit | None:
        """Return the limits of exactly this scope. Raises Unavailable."""
        found = self._sending("SELECT scope, windows FROM send_limit WHERE scope = ?", scope)
        return _send_limit(*found[0]) if found else None

    def send_limits(self) -> Iterator[SendLimit]:
        """List all limits. Raises Unavailable."""
        after = ""
        while page := self._sending(
            "SELECT scope, windows FROM send_limit WHERE scope > ? ORDER BY 1 LIMIT 1000", after
        ):
            yield from (_send_limit(*row) for row in page)
            after = page[-1][0]

    def has_send_limits(self) -> bool:
        """Tell whether there is any limit at all. Raises Unavailable."""
        return bool(self._sending("SELECT 1 FROM send_limit LIMIT 1"))

    def send_use(self, key: str) -> str:
        """Return the slices counted for a key, "" when there are none. Raises Unavailable."""
        found = self._sending("SELECT slices FROM send_use WHERE key = ?", key)
        return str(found[0][0]) if found else ""

    def suspension(self, address: str) -> Suspension | None:
        """Return the suspension of an account, also one that has run out. Raises Unavailable."""
        found = self._sending("SELECT address, at, until, reason FROM suspension WHERE address = ?", address)
        return Suspension(*found[0]) if found else None

    def suspensions(self) -> tuple[Suspension, ...]:
        """Return who may not send, the latest first. Raises Unavailable."""
        sql = "SELECT address, at, until, reason FROM suspension ORDER BY at DESC LIMIT ?"
        return tuple(Suspension(*row) for row in self._sending(sql, MAX_SUSPENSIONS))

    def _sending(self, sql: str, *key: str | int) -> list[tuple]:  # type: ignore[type-arg]  # rows of several kinds
        try:
            return self._db.execute(sql, key).fetchall()
        except sqlite3.Error as error:
            raise self._db.failed(error) from error


class SendingBatch:
    """Writes of a batch."""

    _run: Callable[..., sqlite3.Cursor]

    def save_send_use(self, rows: Iterable[tuple[str, str, float]], now: float) -> None:
        """Keep (key, slices, ends) as they are now, and forget some of what has ended."""
        for row in rows:
            self._run("INSERT OR REPLACE INTO send_use (key, slices, ends) VALUES (?, ?, ?)", row)
        self._run(_FORGET, (now, EXPIRED_AT_ONCE))


class SendingChanges(MailboxChanges):
    """The part of a change that is about sending."""

    def set_send_limit(self, scope: str, limits: Iterable[Limit]) -> SendLimit:
        """Limit a user, ``@domain``, each user by default, each credential or each network.

        Raises Refused, NotFound.
        """
        made = SendLimit(self._require_scope(scope, WORDS), tuple(limits))
        windows = " ".join(f"{each.recipients}/{each.seconds}" for each in made.limits)
        self._run("INSERT OR REPLACE INTO send_limit (scope, windows) VALUES (?, ?)", (made.scope, windows))
        self._record("limit set", made.scope, ",".join(map(str, made.limits)) or "none")
        return made

    def unset_send_limit(self, scope: str) -> None:
        """Forget the limits of a scope. Raises Refused, NotFound."""
        scope = scope if scope in WORDS else ledger.source(scope)
        if self._run("DELETE FROM send_limit WHERE scope = ?", (scope,)).rowcount == 0:
            raise NotFound(f"there is no limit of {scope}")
        self._record("limit unset", scope)

    def suspend(self, address: str, reason: str, until: float | None) -> None:
        """Take the right to send from an account, until then or until it is lifted. Raises Refused, NotFound."""
        owner = self._require_mailbox(address).address
        row = (owner, self._now, until, ledger.line("reason", reason))
        self._run("INSERT OR REPLACE INTO suspension (address, at, until, reason) VALUES (?, ?, ?, ?)", row)
        self._record("limit trip", owner, reason)

    def lift(self, address: str) -> None:
        """Give the right to send back. Raises Refused, NotFound."""
        owner = self._require_mailbox(address).address
        if not self._lift(owner):
            raise NotFound(f"{owner} is not suspended")
        self._record("limit lift", owner)


def _send_limit(scope: str, windows: str) -> SendLimit:
    pairs = (pair.split("/") for pair in windows.split())
    return SendLimit(scope, tuple(Limit(int(recipients), int(seconds)) for recipients, seconds in pairs))


_FORGET = "DELETE FROM send_use WHERE key IN (SELECT key FROM send_use WHERE ends < ? ORDER BY ends LIMIT ?)"
