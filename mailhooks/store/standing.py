"""What SMTP asks about an account with every command, in one read: may it send, and does it take a message now.

A whole ``Mailbox`` and its ``Usage`` say the same and cost three times as much: policy answers are never remembered, so
that these are read for every recipient.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from mailhooks.store.model import EXPIRED, Standing, State

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
            row = self._db.execute("SELECT state, until, expires FROM mailbox WHERE address = ?", (address,)).fetchone()
        except sqlite3.Error as error:
            raise self._db.failed(error) from error
        if row is None:
            return None
        name, until, expires = row
        return self._state(name, until, expires)

    def standing(self, address: str) -> Standing | None:
        """Return what decides whether an account takes a message now. Raises Unavailable."""
        try:
            row = self._db.execute(_STANDING, (address,)).fetchone()
        except sqlite3.Error as error:
            raise self._db.failed(error) from error
        if row is None:
            return None
        name, until, expires, reason, quota, storage, is_aliased = row
        state = self._state(name, until, expires)
        if until is not None and until <= self._clock():
            reason = ""  # it belonged to the state that has run out
        if state is State.CLOSED and expires is not None and expires <= self._clock():
            reason = reason or EXPIRED
        return Standing(address, state, reason, quota or None, storage or 0, is_aliased == 1)

    def _state(self, name: str, until: float | None, expires: float | None) -> State:
        """Tell the state now; only one that can run out needs to know the time."""
        if expires is not None and expires <= self._clock():
            return State.CLOSED
        return State.ACTIVE if until is not None and until <= self._clock() else _STATES[name]


_STATES = {state.value: state for state in State}
_STANDING = """
SELECT state, until, expires, reason, COALESCE (quota, (SELECT d.quota FROM domain d WHERE d.name = domain)),
    (SELECT u.storage FROM usage u WHERE u.address = mailbox.address),
    EXISTS (SELECT 1 FROM alias a WHERE a.source = mailbox.address)
FROM mailbox WHERE address = ?
"""
