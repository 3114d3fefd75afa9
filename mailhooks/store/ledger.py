"""What every part of a change writes besides its own rows: the audit log, the tally, the change number."""

from __future__ import annotations

import enum
import ipaddress
import math
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from mailhooks import address as addresses
from mailhooks.store.errors import NotFound, Refused

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection

    from mailhooks.store.keyfile import KeyFile
    from mailhooks.store.reads import Reads

AUDIT_BATCH = 5000  # entries written at once: an import must not hold all of its own in memory
MAX_TEXT = 1000  # characters of a name, reason, label, user name: one line for people
MAX_SIZE = 2**63 - 1  # bytes: what an SQLite integer holds


_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Unset(enum.Enum):
    """The type of UNSET."""

    UNSET = enum.auto()


UNSET: Final = Unset.UNSET
"""An argument that was not given, where None means something."""


class Ledger:
    """The base of the parts of a change: one transaction on the directory."""

    def __init__(
        self,
        store: Reads,
        run: Callable[..., sqlite3.Cursor],
        *,
        run_many: Callable[..., Any],
        who: str,
        now: float,
        key: KeyFile,
        delimiter: str,
    ) -> None:
        self._store = store  # reads within the transaction: they see what was written before them
        self._run = run
        self._run_many = run_many
        self._who = who
        self._now = now
        self._key = key
        self._delimiter = delimiter
        self._log: list[tuple[float, str, str, str, str]] = []
        self._tally: Counter[tuple[str, str]] = Counter()
        self._hosted: dict[str, bool] = {}  # domains asked for so far, whether each is hosted

    def _record(self, action: str, subject: str, detail: str = "") -> None:
        """Add to the audit log; neither text ever holds a secret."""
        self._log.append((self._now, self._who, action, subject, detail))
        if len(self._log) >= AUDIT_BATCH:
            self._write_log()

    def _write_log(self) -> None:
        self._run_many("INSERT INTO audit (at, who, action, subject, detail) VALUES (?, ?, ?, ?, ?)", self._log)
        self._log.clear()

    def _close_books(self) -> None:
        """Write what was collected; nothing moves when nothing was changed."""
        if not self._log and not self._tally and not self._was_logged():
            return
        self._write_log()
        self._run_many(
            "INSERT INTO tally (kind, state, count) VALUES (?, ?, ?) "
            "ON CONFLICT (kind, state) DO UPDATE SET count = count + excluded.count",
            [(kind, state, count) for (kind, state), count in self._tally.items()],
        )
        self._run("UPDATE meta SET change_number = change_number + 1")

    def _was_logged(self) -> bool:
        return bool(self._run("SELECT EXISTS (SELECT 1 FROM audit WHERE id > ?)", (self._first_entry,)).fetchone()[0])

    def _open_books(self) -> None:
        self._first_entry = int(self._run("SELECT COALESCE(MAX(id), 0) FROM audit").fetchone()[0])

    def _bury(self, address: str) -> None:
        """Remember that an address was removed."""
        self._run("INSERT OR REPLACE INTO tombstone (address, at) VALUES (?, ?)", (address, self._now))

    def _require_free(self, address: str, hold: float) -> None:
        """Make sure that an address was not removed within the last ``hold`` seconds. Raises Refused."""
        if hold > 0:
            row = self._run("SELECT at FROM tombstone WHERE address = ?", (address,)).fetchone()
            if row is not None and row[0] + hold > self._now:
                days = math.ceil((row[0] + hold - self._now) / 86_400)
                raise Refused(f"{address} was removed lately and is free in {days} days: --reuse gives it out now")

    def _take_up(self, address: str, hold: float) -> bool:
        """Give an address to an account, and tell whether it was removed before. Raises Refused, as above."""
        self._require_free(address, hold)
        return self._run("DELETE FROM tombstone WHERE address = ?", (address,)).rowcount > 0

    def _is_hosted(self, domain: str) -> bool:
        hosted = self._hosted.get(domain)
        if hosted is None:
            found = self._store.domain(domain)
            hosted = self._hosted[domain] = found is not None and found.alias_of is None
        return hosted

    def _require_scope(self, text: str, words: Collection[str]) -> str:
        """Read whose a setting is: an account's, ``@domain``'s or one of the words. Raises Refused, NotFound."""
        if text in words:
            return text
        scope = source(text)
        if scope.startswith("@") and self._store.domain(scope[1:]) is None:
            raise NotFound(f"there is no domain {scope[1:]}")
        if scope.startswith("@"):
            self._require_hosted(scope[1:])
        elif not self._store.has_mailbox(scope):
            raise NotFound(f"there is no mailbox {scope}: expected that of a user, @domain, {', '.join(words)}")
        return scope

    def _require_hosted(self, domain: str) -> None:
        """Refuse what would live at a domain that is not hosted, with the reason."""
        if self._is_hosted(domain):
            return
        found = self._store.domain(domain)
        if found is None:
            raise Refused(f"the domain {domain} is not hosted here: add it first")
        raise Refused(f"{domain} is an alias of {found.alias_of} and has no addresses of its own: use {found.alias_of}")


def address(text: str) -> str:
    """Read an address in any spelling. Raises Refused."""
    try:
        return addresses.normalise(text)
    except addresses.AddressError as error:
        raise Refused(str(error)) from error


def source(text: str) -> str:
    """Read an address or @domain in any spelling. Raises Refused."""
    try:
        return addresses.normalise_source(text)
    except addresses.AddressError as error:
        raise Refused(str(error)) from error


def domain(text: str) -> str:
    """Read a domain in either spelling. Raises Refused."""
    try:
        return addresses.normalise_domain(text)
    except addresses.AddressError as error:
        raise Refused(str(error)) from error


def line(what: str, text: str) -> str:
    """Check a line of text for people. Raises Refused."""
    if len(text) > MAX_TEXT:
        raise Refused(f"the {what} is longer than {MAX_TEXT} characters")
    if text and not text.isprintable():
        raise Refused(f"the {what} holds control characters: expected one line of text")
    return text


def secret(what: str, text: str) -> str:
    """Check a hash or password without ever quoting it. Raises Refused."""
    if not text or len(text) > MAX_TEXT or _CONTROL.search(text):
        raise Refused(f"the {what} is empty, too long or holds control characters")
    return text


def network(text: str) -> str:
    """Read a network in CIDR notation. Raises Refused."""
    try:
        return str(ipaddress.ip_network(text.strip()))
    except ValueError as error:
        raise Refused(f"{text!r} is no network: expected one like 192.0.2.0/24 or 2001:db8::/32") from error


def size(what: str, value: int | None) -> int | None:
    """Check a size in bytes. Raises Refused."""
    if value is not None and not 0 <= value <= MAX_SIZE:
        raise Refused(f"the {what} is {value}: expected a size from 0 to {MAX_SIZE} bytes")
    return value
