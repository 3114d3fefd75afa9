"""What Dovecot's dict asks for besides usage and last logins: Sieve scripts, attributes of folders, who shares."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from mailhooks.store.model import SieveScript

if TYPE_CHECKING:
    from mailhooks.store.sqlite import Database

LAST = "\U0010ffff"  # behind every key that begins alike
MAX_SHARES = 10_001  # rows of one answer: one more than the dict hands out, so that it notices


class DictReads:
    """Answers about what an account keeps in the dict. Addresses are canonical; each raises Unavailable."""

    _db: Database

    def sieve_scripts(self, address: str) -> tuple[SieveScript, ...]:
        """Return the scripts of an account, by name."""
        found = self._rows(_SCRIPTS, (address,))
        return tuple(SieveScript(row[0], row[1], row[2], bool(row[3]), row[4], row[5]) for row in found)

    def sieve_script(self, address: str, name: str) -> SieveScript | None:
        """Return one script of an account."""
        return next((script for script in self.sieve_scripts(address) if script.name == name), None)

    def sieve_id(self, address: str, name: str | None) -> int | None:
        """Return the id of a script, or of the active one (None)."""
        sql, key = (_ID_OF_ACTIVE, (address,)) if name is None else (_ID_BY_NAME, (address, name))
        found = self._rows(sql, key)
        return int(found[0][0]) if found else None

    def sieve_text(self, address: str, number: int) -> str | None:
        """Return the text of the script with this id, if it is one of the account's."""
        found = self._rows("SELECT script FROM sieve_script WHERE id = ? AND address = ?", (number, address))
        return str(found[0][0]) if found else None

    def attribute(self, address: str, key: str) -> str | None:
        """Return an attribute of a folder."""
        found = self._rows("SELECT value FROM attribute WHERE address = ? AND key = ?", (address, key))
        return str(found[0][0]) if found else None

    def attributes(self, address: str, path: str) -> list[tuple[str, str]]:
        """Return the attributes whose keys begin with ``path``; how many an account has, the dict bounds."""
        sql = "SELECT key, value FROM attribute WHERE address = ? AND key >= ? AND key < ? ORDER BY key"
        return [(str(key), str(value)) for key, value in self._rows(sql, (address, path, path + LAST))]

    def attribute_sizes(self, address: str) -> dict[str, int]:
        """Return the sizes of all attributes of an account, in characters of key and value."""
        sql = "SELECT key, length (key) + length (value) FROM attribute WHERE address = ?"
        return {str(key): int(size) for key, size in self._rows(sql, (address,))}

    def owners_sharing_with(self, reader: str) -> list[str]:
        """Return who shares folders with ``user/ADDRESS``, ``group/NAME`` or ``anyone``; MAX_SHARES at most."""
        sql = "SELECT owner FROM share WHERE reader = ? ORDER BY owner LIMIT ?"
        return [str(owner) for (owner,) in self._rows(sql, (reader, MAX_SHARES))]

    def readers_of(self, owner: str) -> list[str]:
        """Return with whom an account shares folders; MAX_SHARES at most."""
        sql = "SELECT reader FROM share WHERE owner = ? ORDER BY reader LIMIT ?"
        return [str(reader) for (reader,) in self._rows(sql, (owner, MAX_SHARES))]

    def groups_sharing(self) -> list[tuple[str, str]]:
        """Return (group/NAME, owner) of all folders shared with groups; MAX_SHARES at most."""
        sql = "SELECT reader, owner FROM share WHERE reader >= 'group/' AND reader < 'group0' ORDER BY 1, 2 LIMIT ?"
        return [(str(reader), str(owner)) for reader, owner in self._rows(sql, (MAX_SHARES,))]

    def _rows(self, sql: str, parameters: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        try:
            return self._db.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise self._db.failed(error) from error


_SCRIPTS = "SELECT id, address, name, active, script, updated FROM sieve_script WHERE address = ? ORDER BY name"
_ID_OF_ACTIVE = "SELECT id FROM sieve_script WHERE address = ? AND active = 1"
_ID_BY_NAME = "SELECT id FROM sieve_script WHERE address = ? AND name = ?"
