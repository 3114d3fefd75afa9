"""The listings: everything of one kind, in the order of its key.

They read page by page and go on behind the last key, so that no listing holds the store or a million values in memory,
and a renewal in the middle is harmless. Every page comes from the snapshot that is held then.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from mailhooks.store import rows
from mailhooks.store.model import (
    Alias,
    AuditEntry,
    Domain,
    Grant,
    Mailbox,
    Posting,
    Preference,
    Relay,
    Usage,
)
from mailhooks.store.reads import Reads

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = 1000  # rows read at once: a few hundred kB and about a millisecond


class Listings(Reads):
    """Answers with many rows."""

    def domains(self) -> Iterator[Domain]:
        """List all domains, hosted and alias."""
        for row in self._pages("SELECT name, alias_of, quota FROM domain WHERE name > ? ORDER BY name", ("",), 1):
            yield Domain(*row)

    def mailboxes(self, domain: str | None = None) -> Iterator[Mailbox]:
        """List the accounts, of one domain or of all."""
        where, fixed = ("domain = ? AND", (domain,)) if domain is not None else ("", ())
        sql = f"SELECT {rows.MAILBOX_COLUMNS} FROM mailbox WHERE {where} address > ? ORDER BY address"  # noqa: S608 - constants
        now = self._clock()
        for row in self._pages(sql, ("",), 1, fixed):
            yield rows.mailbox(row, now)

    def aliases(self, domain: str | None = None) -> Iterator[Alias]:
        """List the aliases, lists and catch-alls, of one domain or of all."""
        where, fixed = ("domain = ? AND", (domain,)) if domain is not None else ("", ())
        sql = f"SELECT source, posting, expires FROM alias WHERE {where} source > ? ORDER BY source"  # noqa: S608 - constants
        for source, posting, expires in self._pages(sql, ("",), 1, fixed):
            yield Alias(source, self.alias_targets(source), Posting(posting), expires)

    def grants(self) -> Iterator[Grant]:
        """List who may send as whom, beyond what aliases give."""
        sql = "SELECT login, sender FROM send_grant WHERE (login, sender) > (?, ?) ORDER BY login, sender"
        for row in self._pages(sql, ("", ""), 2):
            yield Grant(*row)

    def relays(self) -> Iterator[Relay]:
        """List the relay credentials, without their passwords."""
        sql = "SELECT nexthop, sender, username FROM relay WHERE (nexthop, sender) > (?, ?) ORDER BY nexthop, sender"
        for row in self._pages(sql, ("", ""), 2):
            yield Relay(*row)

    def preferences(self, scope: str | None = None) -> Iterator[Preference]:
        """List the spam preferences, of one scope or of all."""
        where, fixed = ("scope = ? AND", (scope,)) if scope is not None else ("", ())
        sql = f"SELECT scope, name, value FROM preference WHERE {where} (scope, name) > (?, ?) ORDER BY scope, name"  # noqa: S608
        for row in self._pages(sql, ("", ""), 2, fixed):
            yield Preference(*row)

    def usages(self) -> Iterator[Usage]:
        """List what the mailboxes hold."""
        sql = "SELECT address, storage, messages, updated FROM usage WHERE address > ? ORDER BY address"
        for row in self._pages(sql, ("",), 1):
            yield Usage(*row)

    def settings(self) -> Iterator[tuple[str, str]]:
        """List the settings as (name, value)."""
        sql = "SELECT name, value FROM setting WHERE name > ? ORDER BY name"
        for name, value in self._pages(sql, ("",), 1):
            yield str(name), str(value)

    def audit(self, limit: int = 100) -> tuple[AuditEntry, ...]:
        """Return the last changes, the newest first."""
        sql = "SELECT id, at, who, action, subject, detail FROM audit ORDER BY id DESC LIMIT ?"
        return tuple(AuditEntry(*row) for row in self._all(sql, (limit,)))

    def counts(self) -> dict[tuple[str, str], int]:
        """Count the objects by (kind, state), as the metric ``objects`` names them."""
        found = self._all("SELECT kind, state, count FROM tally WHERE count > 0 ORDER BY kind, state", ())
        return {(kind, state): count for kind, state, count in found}

    def _pages(
        self, sql: str, after: tuple[str, ...], width: int, fixed: tuple[Any, ...] = ()
    ) -> Iterator[tuple[Any, ...]]:
        """Run a listing from the key ``after`` on; its key is the first ``width`` columns."""
        while True:
            page = self._all(f"{sql} LIMIT {PAGE}", (*fixed, *after))
            yield from page
            if len(page) < PAGE:
                return
            after = page[-1][:width]

    def _all(self, sql: str, parameters: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        try:
            return self._db.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise self._db.failed(error) from error
