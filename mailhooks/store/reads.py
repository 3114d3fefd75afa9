"""The hot reads: what mail asks for, each one walk of one tree in the snapshot that is held (performance.md, rule 4).

Every method answers from the snapshot of the last ``renew`` and raises Unavailable when the store cannot answer.
They are called for every request, so each goes straight to the one cursor, and returns plain values.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from mailhooks.store import rows
from mailhooks.store.dict_reads import DictReads
from mailhooks.store.model import Alias, AppPassword, Domain, LastLogin, Mailbox, Posting, Usage
from mailhooks.store.standing import Standings

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailhooks.store.keyfile import KeyFile
    from mailhooks.store.sqlite import Database


class Reads(Standings, DictReads):
    """Answers about one key."""

    _db: Database
    _clock: Callable[[], float]
    _key: KeyFile

    def has_mailbox(self, address: str) -> bool:
        """Tell whether there is such an account, in whatever state."""
        try:
            sql = "SELECT 1 FROM mailbox WHERE address = ?"
            return self._db.execute(sql, (address,)).fetchone() is not None
        except sqlite3.Error as error:
            raise self._db.failed(error) from error

    def mailbox(self, address: str) -> Mailbox | None:
        """Return an account with its state now and its effective quota."""
        try:
            row = self._db.execute(_MAILBOX, (address,)).fetchone()
        except sqlite3.Error as error:
            raise self._db.failed(error) from error
        return None if row is None else rows.mailbox(row, self._clock())

    def password_alone(self, address: str) -> str | None:
        """Return the hash of an account of which nothing else matters to a login: no limit, no end, no app password.

        Two thirds of what reading a whole ``Mailbox`` costs is spared, and that again for its app passwords.
        """
        try:
            row = self._db.execute(_UNLIMITED, (address,)).fetchone()
        except sqlite3.Error as error:
            raise self._db.failed(error) from error
        return None if row is None else row[0]

    def domain(self, name: str) -> Domain | None:
        """Return a domain, hosted or alias."""
        try:
            row = self._db.execute("SELECT name, alias_of, quota FROM domain WHERE name = ?", (name,)).fetchone()
        except sqlite3.Error as error:
            raise self._db.failed(error) from error
        return None if row is None else Domain(*row)

    def alias_targets(self, source: str) -> tuple[str, ...]:
        """Return the targets of an alias or of a catch-all (``@domain``), in their order; none when there is none."""
        try:
            sql = "SELECT target FROM alias_target WHERE source = ? ORDER BY position"
            found = self._db.execute(sql, (source,)).fetchall()
        except sqlite3.Error as error:
            raise self._db.failed(error) from error
        return tuple([target for (target,) in found]) if found else ()

    def live_targets(self, source: str) -> tuple[str, ...] | None:
        """Return the targets of an alias or catch-all as of now: none where there is none, None for one that ended."""
        try:
            found = self._db.execute(_LIVE_TARGETS, (source,)).fetchall()
        except sqlite3.Error as error:
            raise self._db.failed(error) from error
        if not found:
            return ()
        end = found[0][1]
        return None if end is not None and end <= self._clock() else tuple([target for target, _ in found])

    def alias(self, source: str) -> Alias | None:
        """Return an alias with its posting rule."""
        try:
            row = self._db.execute("SELECT posting, expires FROM alias WHERE source = ?", (source,)).fetchone()
        except sqlite3.Error as error:
            raise self._db.failed(error) from error
        return None if row is None else Alias(source, self.alias_targets(source), Posting(row[0]), row[1])

    def aliases_naming(self, target: str) -> tuple[str, ...]:
        """Return the sources of the aliases that name exactly this target."""
        return self._column("SELECT source FROM alias_target WHERE target = ? ORDER BY source", target)

    def app_passwords(self, address: str) -> tuple[AppPassword, ...]:
        """Return the app passwords that can be used now."""
        try:
            found = self._db.execute(_APP_PASSWORDS, (address,)).fetchall()
        except sqlite3.Error as error:
            raise self._db.failed(error) from error
        if not found:
            return ()
        now = self._clock()
        made = map(rows.app_password, found)
        return tuple(each for each in made if each.expires is None or each.expires > now)

    def scram_keys(self, address: str, mechanism: str) -> str | None:
        """Return an account's keys for a SCRAM mechanism, as ``iterations,salt,StoredKey,ServerKey``."""
        sql = "SELECT keys FROM scram WHERE address = ? AND mechanism = ?"
        found = self._column(sql, address, mechanism)
        return found[0] if found else None

    def scram_seed(self) -> bytes:
        """Return the secret that makes the salts of accounts without SCRAM keys."""
        try:
            seed: bytes = self._db.execute("SELECT seed FROM scram_seed").fetchone()[0]
        except sqlite3.Error as error:
            raise self._db.failed(error) from error
        return seed

    def senders_granted(self, login: str) -> tuple[str, ...]:
        """Return what a login may send as by grant: addresses and ``@domain``."""
        return self._column("SELECT sender FROM send_grant WHERE login = ? ORDER BY sender", login)

    def logins_granted(self, sender: str) -> tuple[str, ...]:
        """Return who may send as exactly this address or ``@domain`` by grant."""
        return self._column("SELECT login FROM send_grant WHERE sender = ? ORDER BY login", sender)

    def relay_nexthop(self, sender: str) -> str | None:
        """Return the next hop for exactly this sender or ``@domain``."""
        if not sender:
            return None
        found = self._column("SELECT nexthop FROM relay WHERE sender = ? AND sender <> ''", sender)
        return found[0] if found else None

    def is_relay(self, nexthop: str) -> bool:
        """Whether mail goes by this next hop with credentials of its own, or because of who sends it."""
        return bool(self._column("SELECT nexthop FROM relay WHERE nexthop = ? LIMIT 1", nexthop))

    def relay_credentials(self, nexthop: str, sender: str = "") -> tuple[str, str] | None:
        """Return user name and password for exactly this next hop and sender.

        Raises Unavailable when the key file cannot open them: the next hop must not be asked without a password.
        """
        try:
            sql = "SELECT username, secret FROM relay WHERE nexthop = ? AND sender = ?"
            row = self._db.execute(sql, (nexthop.lower(), sender)).fetchone()
        except sqlite3.Error as error:
            raise self._db.failed(error) from error
        return None if row is None else (row[0], self._key.unseal(row[1], f"{nexthop.lower()} {sender}"))

    def usage(self, address: str) -> Usage | None:
        """Return what a mailbox holds, as Dovecot last told; None before it did."""
        try:
            sql = "SELECT address, storage, messages, updated FROM usage WHERE address = ?"
            row = self._db.execute(sql, (address,)).fetchone()
        except sqlite3.Error as error:
            raise self._db.failed(error) from error
        return None if row is None else Usage(*row)

    def last_logins(self, address: str) -> tuple[LastLogin, ...]:
        """Return when an account last logged in, for each service."""
        try:
            sql = "SELECT address, service, at FROM last_login WHERE address = ? ORDER BY service"
            found = self._db.execute(sql, (address,)).fetchall()
        except sqlite3.Error as error:
            raise self._db.failed(error) from error
        return tuple(LastLogin(*row) for row in found)

    def setting(self, name: str) -> str | None:
        """Return the value of a setting."""
        found = self._column("SELECT value FROM setting WHERE name = ?", name)
        return found[0] if found else None

    def key_fits(self) -> bool | None:
        """Tell whether the key file is the one that the store's secrets were written with; None when it has no key yet.

        Raises Unavailable also when the key file cannot be read.
        """
        check = self._key_check()
        return None if check is None else self._key.fits(check)

    def has_secrets(self) -> bool:
        """Tell whether anything was ever sealed with a key."""
        return self._key_check() is not None

    def _key_check(self) -> bytes | None:
        try:
            check: bytes | None = self._db.execute("SELECT key_check FROM meta").fetchone()[0]
        except sqlite3.Error as error:
            raise self._db.failed(error) from error
        return check

    def _column(self, sql: str, *key: str) -> tuple[str, ...]:
        try:
            found = self._db.execute(sql, key).fetchall()
        except sqlite3.Error as error:
            raise self._db.failed(error) from error
        return tuple([value for (value,) in found]) if found else ()


_MAILBOX = f"SELECT {rows.MAILBOX_COLUMNS} FROM mailbox WHERE address = ?"  # noqa: S608 - constants of this package
_LIVE_TARGETS = """
SELECT t.target, a.expires FROM alias a JOIN alias_target t ON t.source = a.source
WHERE a.source = ? ORDER BY t.position
"""
_UNLIMITED = """
SELECT password FROM mailbox
WHERE address = ?1 AND state = 'active' AND until IS NULL AND expires IS NULL AND allow IS NULL AND networks = ''
    AND NOT EXISTS (SELECT 1 FROM app_password a WHERE a.address = ?1)
"""
_APP_PASSWORDS = f"SELECT {rows.APP_PASSWORD_COLUMNS} FROM app_password WHERE address = ? ORDER BY id"  # noqa: S608 - the same
