"""What a connection of the dict keeps between commands: transactions, and that its peer may hear nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, NoReturn

from mailhooks.servers.budget import Budget, footprint
from mailhooks.store import Batch, Refused

if TYPE_CHECKING:
    from mailhooks.dicts import Namespace, Operation, Write
    from mailhooks.wire.dict import Begin

MAX_OPERATIONS = 1000  # in one transaction: as many attributes as an account may keep; quota needs four at most
# Of all connections: a dozen that hold as much as one may, or every one there may be with what Dovecot sends all day.
MAX_TOTAL_BYTES = 64 * 1024 * 1024

NO_EXPIRY = "values that expire are not kept here: what is set stays until it is removed"
NO_TEXT = "a value is not text in UTF-8, and nothing else is kept"
TOO_MANY = f"a transaction has at most {MAX_OPERATIONS} changes"
TOO_LARGE = "the open transactions of this connection are too large"
TOO_MUCH_AT_ONCE = "too much waits to be written, try again later"


class Refusal(NamedTuple):
    """Why a transaction is not committed, and how that is counted."""

    result: str
    text: str


class Transaction:
    """What a client wants to write, from its begin until its commit is answered.

    It keeps nothing from the moment that it is known to be refused: the client hears of that at its commit.
    """

    def __init__(self, begin: Begin, namespace: Namespace, began: float, budget: Budget) -> None:
        self.began = began
        self.changes = 0
        self.refusal: Refusal | None = None
        self._user = begin.user
        self._namespace = namespace
        self._operations: list[Operation] = []
        self._write: Write | None = None
        self._budget = budget
        self._size = 0
        if self._check():
            self._hold(footprint(begin))
        if begin.expire:
            self.refuse(NO_EXPIRY)

    def add(self, operation: Operation) -> None:
        """Remember one more write."""
        self.changes += 1
        if self.refusal is not None:
            return
        if self.changes > MAX_OPERATIONS:
            self.refuse(TOO_MANY)
        elif self._check(operation):
            self._operations.append(operation)
            self._hold(footprint(operation))

    def refuse(self, text: str, result: str = "permanent") -> None:
        """Do not commit it, whatever else comes. The first reason counts."""
        if self.refusal is None:
            self.refusal = Refusal(result, text)
            self.forget()

    def commit(self) -> bool:
        """Make ready what ``write`` does; False when that is nothing, for lack of changes or by a refusal."""
        if not self._operations:
            return False
        try:
            self._write = self._namespace.prepare(self._operations, self._user)
        except Refused as error:
            self.refuse(str(error))
            return False
        return True

    def write(self, batch: Batch) -> bool | Refused:
        """Run on the writer's thread; does nothing when it comes to this only after the client was answered."""
        write = self._write
        return False if write is None else write(batch)

    def forget(self) -> None:
        """Let go of what was to be written."""
        self._hold(-self._size)
        self._user, self._operations, self._write = "", [], None

    def _check(self, *operations: Operation) -> bool:
        """Ask the namespace as soon as may be, so that nothing is kept in vain."""
        if self.refusal is not None:
            return False
        try:
            self._namespace.prepare(operations, self._user)
        except Refused as error:
            self.refuse(str(error))
        return self.refusal is None

    def _hold(self, size: int) -> None:
        self._size += size
        self._budget.hold(size)
        total = self._budget.total
        if size > 0 and total is not None and total.spent:
            self.refuse(TOO_MUCH_AT_ONCE, "temporary")
        elif size > 0 and self._budget.spent:
            self.refuse(TOO_LARGE)


class NotForThisPeer:
    """Stands for a namespace of which the peer may hear nothing; the refusal is for Dovecot's log."""

    everybody = False

    def __init__(self, uid: int | None) -> None:
        self._reason = f"this dict does not answer uid {uid}"

    def lookup(self, *_: object) -> NoReturn:
        """Refuse."""
        raise Refused(self._reason)

    rows = prepare = lookup
