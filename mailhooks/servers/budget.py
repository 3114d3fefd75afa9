"""How many bytes of memory may be held for clients: counted, never allocated here."""

from __future__ import annotations

from sys import getsizeof

OVERHEAD = 64  # bytes: an object with two or three fields, and its place in a list


class Budget:
    """Bytes that may be held at once; what is held counts in ``total``, too, where there is one."""

    def __init__(self, limit: int, total: Budget | None = None) -> None:
        self._limit = limit
        self.total = total
        self.held = 0

    @property
    def spent(self) -> bool:
        """Whether more is held than may be, here or in total."""
        return self.held > self._limit or (self.total is not None and self.total.spent)

    @property
    def half_spent(self) -> bool:
        """Whether it is time to read no more, so that what was read has room."""
        return 2 * self.held > self._limit or (self.total is not None and self.total.half_spent)

    def hold(self, size: int) -> None:
        """Count ``size`` bytes; negative: let go of them."""
        self.held += size
        if self.total is not None:
            self.total.hold(size)


def footprint(message: object) -> int:
    """How much memory a message of ``mailhooks.wire`` takes by its own; each letter of a text up to four bytes."""
    fields: tuple[str, ...] = getattr(message, "__slots__", ())
    return OVERHEAD + sum(getsizeof(getattr(message, name)) for name in fields)
