"""What SMTP asks about an account with every command, in one read: may it send, and does it take a message now.

A whole ``Mailbox`` and its ``Usage`` say the same and cost three times as much: policy answers are never remembered, so
that these are read for every recipient.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from mailhooks.store.model import Standing, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailhooks.store.sqlite import Database


class Standings:
    """Answers about one account."""

    _db: Database
    _clock: Callable[[], float]

    def state(self, address: str) -> State | None:
        """Return the state of an account now; None when there is no such account. Raises Unavailable."""
        try:
            row = self._db.execute("SELECT state, until FROM mailbox WHERE address = ?", (address,)).fetchone()
        except sqlite3.Error as error:
            raise self._db.failed(error) from error
        return None if row is None else self._state(*row)

    def standing(self, address: str) -> Standing | None:
        """Return what decides whether an account takes a message now. Raises Unavailable."""
        try:
            row = self._db.execute(_STANDING, (address,)).fetchone()
        except sqlite3.Error as error:
            raise self._db.failed(error) from error
        if row is None:
            return None
        name, until, reason, quota, storage, is_aliased = row
        state = self._state(name, until)
        if state != name:
            reason = ""  # it belonged to the state that has run out
        return Standing(address, state, reason, quota or None, storage or 0, is_aliased == 1)

    def _state(self, name: str, until: float | None) -> State:
        """Tell the state now; only one that can run out needs to know the time."""
        return State.ACTIVE if until is not None and until <= self._clock() else _STATES[name]


_STATES = {state.value: state for state in State}
_STANDING = """
SELECT m.state, m.until, m.reason, COALESCE (m.quota, d.quota), u.storage,
    EXISTS (SELECT 1 FROM alias a WHERE a.source = m.address)
FROM mailbox m JOIN domain d ON d.name = m.domain LEFT JOIN usage u ON u.address = m.address
WHERE m.address = ?
"""
