"""What a namespace of the dict answers; the server knows the protocol, a namespace knows its keys.

Keys arrive as Dovecot sends them, with their ``priv/`` or ``shared/``. Users arrive as Dovecot knows them; a namespace
folds them. Anything a client must be told is a ``Refused`` with a sentence for Dovecot's log, which never repeats a
value: values may be people's mail filters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from mailhooks.address import fold
from mailhooks.store import Batch, Refused, Store
from mailhooks.wire.dict import Increment, Set, Unset

Operation = Set | Unset | Increment

# Run on the writer's thread; False when it would add to a key that does not exist. What it has to refuse it returns,
# having written nothing: raised, it would undo the commit of everybody else.
Write = Callable[[Batch], bool | Refused]

MAX_NUMBER_DIGITS = 19  # Dovecot's numbers are 64 bits wide


class Namespace(Protocol):
    """One kind of data. Each method may raise Refused, and Unavailable through the store."""

    everybody: bool  # it tells of all users, not of the user of the command: for root only, and listed step by step

    def lookup(self, store: Store, key: str, user: str) -> str | None:
        """The value of a key, None when there positively is none."""

    def rows(self, store: Store, path: str, user: str) -> Iterable[tuple[str, str]]:
        """All keys below a path with their values, in any order."""

    def prepare(self, operations: Sequence[Operation], user: str) -> Write:
        """Check a transaction and return what writes it, whole or not at all.

        It is asked at the begin (no operations), about each operation as it comes, and about all at the commit: what is
        refused early is not kept.

        The check is for here, the reactor thread; the writer's thread has the transactions of many clients in one
        commit, and an error of one would cost them all.
        """


def owned(user: str) -> str:
    """Return the address of the user who writes. Raises Refused."""
    address = fold(user)
    if address is None:
        raise Refused("the user of the command is no address")
    return address


def number(text: str, key: str) -> int:
    """Read a whole number, which may be negative. Raises Refused."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= MAX_NUMBER_DIGITS):
        raise Refused(f"the value of {key} is not a whole number")
    return int(text)
