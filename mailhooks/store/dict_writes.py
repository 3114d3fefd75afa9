"""What Dovecot writes into the dict besides usage and last logins: attributes of folders, and who shares with whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from mailhooks.store.reads import Reads


class DictWrites:
    """The part of a batch that is about these. Addresses are canonical."""

    _store: Reads
    _run: Callable[..., sqlite3.Cursor]

    def has_mailbox(self, address: str) -> bool:
        """Tell whether there is such an account."""
        return self._store.has_mailbox(address)

    def attribute_sizes(self, address: str) -> dict[str, int]:
        """Return the sizes of all attributes of an account, with what this batch wrote so far."""
        return self._store.attribute_sizes(address)

    def attribute(self, address: str, key: str) -> str | None:
        """Return an attribute of a folder, with what this batch wrote so far."""
        return self._store.attribute(address, key)

    def owners_sharing_with(self, reader: str) -> list[str]:
        """Return who shares folders with a reader, with what this batch wrote so far."""
        return self._store.owners_sharing_with(reader)

    def set_attribute(self, address: str, key: str, value: str) -> None:
        """Set an attribute of a folder of an account that is there."""
        self._run(_SET_ATTRIBUTE, (address, key, value))

    def unset_attribute(self, address: str, key: str) -> None:
        """Forget an attribute."""
        self._run("DELETE FROM attribute WHERE address = ? AND key = ?", (address, key))

    def readers_of(self, owner: str) -> list[str]:
        """Return with whom an account shares folders, with what this batch wrote so far."""
        return self._store.readers_of(owner)

    def share(self, owner: str, reader: str) -> None:
        """An account that is there shares folders with a reader; twice is no error."""
        self._run("INSERT INTO share (reader, owner) VALUES (?, ?) ON CONFLICT DO NOTHING", (reader, owner))

    def unshare(self, owner: str, reader: str) -> None:
        """It does so no more."""
        self._run("DELETE FROM share WHERE reader = ? AND owner = ?", (reader, owner))


_SET_ATTRIBUTE = (
    "INSERT INTO attribute (address, key, value) VALUES (?, ?, ?) "
    "ON CONFLICT (address, key) DO UPDATE SET value = excluded.value"
)
