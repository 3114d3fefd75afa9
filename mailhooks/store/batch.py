"""What Dovecot tells all day long: what each mailbox holds, who logged in, ... Many of them share one commit.

Nothing here moves the change number or is audited. What is told of an address without a mailbox is dropped: it was
removed under an open session. The last of these commits may be lost when the machine itself fails; Dovecot tells again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailhooks.store.dict_writes import DictWrites
from mailhooks.store.sending import SendingBatch
from mailhooks.store.throttling import ThrottleBatch

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from mailhooks.store.model import Usage
    from mailhooks.store.reads import Reads


class Batch(DictWrites, ThrottleBatch, SendingBatch):
    """What can be written without changing the directory; made by ``Store.batch``. Addresses are canonical."""

    def __init__(self, store: Reads, run: Callable[..., sqlite3.Cursor], now: float) -> None:
        self._store = store
        self._run = run
        self._now = now

    def usage(self, address: str) -> Usage | None:
        """Return what a mailbox holds, with what this batch wrote so far."""
        return self._store.usage(address)

    def set_usage(self, address: str, *, storage: int | None = None, messages: int | None = None) -> bool:
        """Keep what a mailbox holds; what is not given stays as it is. False: there is no such mailbox."""
        row = (storage, messages, self._now, address)
        return self._run(_SET_USAGE, row).rowcount > 0

    def clear_usage(self, address: str) -> None:
        """Forget what a mailbox holds, so that Dovecot counts anew."""
        self._run("DELETE FROM usage WHERE address = ?", (address,))

    def set_last_login(self, address: str, service: str, at: float) -> bool:
        """Keep when an account logged in; the time never goes back. False: there is no such mailbox."""
        return self._run(_SET_LAST_LOGIN, (service, at, address)).rowcount > 0


_SET_USAGE = (
    "INSERT INTO usage (address, storage, messages, updated) "
    "SELECT address, COALESCE(?1, 0), COALESCE(?2, 0), ?3 FROM mailbox WHERE address = ?4 "
    "ON CONFLICT (address) DO UPDATE SET "
    "storage = COALESCE(?1, storage), messages = COALESCE(?2, messages), updated = ?3"
)
_SET_LAST_LOGIN = (
    "INSERT INTO last_login (address, service, at) SELECT address, ?, ? FROM mailbox WHERE address = ? "
    "ON CONFLICT (address, service) DO UPDATE SET at = MAX(at, excluded.at)"
)
