"""What a connection of the dict keeps between commands: open transactions, and that its peer may hear nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

from mailhooks.store import Refused
from mailhooks.wire.errors import WireError

if TYPE_CHECKING:
    from mailhooks.dicts import Operation

MAX_OPERATIONS = 1000  # in one transaction; quota and last login need four at most
MAX_CHARACTERS = 1_000_000  # keys and values of one transaction


@dataclass(slots=True)
class Transaction:
    """What a client wants to write, until it commits."""

    user: str
    began: float
    operations: list[Operation] = field(default_factory=list)
    characters: int = 0
    refusal: str = ""  # why it cannot be committed

    def add(self, operation: Operation, characters: int) -> None:
        """Remember one more write. Raises WireError beyond the limits."""
        self.operations.append(operation)
        self.characters += characters
        if len(self.operations) > MAX_OPERATIONS or self.characters > MAX_CHARACTERS:
            raise WireError("oversized", "a transaction is too long")


class NotForThisPeer:
    """Stands for a namespace of which the peer may hear nothing; the refusal is for Dovecot's log."""

    everybody = False

    def __init__(self, uid: int | None) -> None:
        self._reason = f"this dict does not answer uid {uid}"

    def lookup(self, *_: object) -> NoReturn:
        """Refuse."""
        raise Refused(self._reason)

    rows = prepare = lookup
