"""What several rules ask about one request, worked out at most once: the recipient and what stands behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailhooks import recipients
from mailhooks.address import fold
from mailhooks.policy.memory import Memory
from mailhooks.recipients import Resolution

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailhooks.store import Store
    from mailhooks.store.model import Standing
    from mailhooks.wire.policy import Request


def is_routed(address: str) -> bool:
    """Tell whether an address is another one by way of this host: ``adam@example.com@[192.0.2.1]``.

    Postfix takes the literal of one of its own addresses away and looks the rest up (trivial-rewrite/resolve.c), while
    the policy hears what was typed: no rule would know the recipient.
    """
    return address.endswith("]") and "@" in address.rpartition("@[")[0]


class Facts:
    """The memory of one decision; the frame clears it before each, so nothing outlives the store's snapshot.

    ``memory`` is what outlives it. ``tracing``: somebody wants to know, and nothing is decided.
    """

    def __init__(self, delimiter: str, memory: Memory | None = None) -> None:
        self._delimiter = delimiter
        self.memory = memory if memory is not None else Memory()
        self.tracing = False
        self._recipient: Resolution | None = None
        self._account: Standing | None = None
        self._address = ""

    def forget(self) -> None:
        """Begin a new decision."""
        self._recipient = None

    def recipient(self, request: Request, store: Store) -> Resolution:
        """Resolve the request's recipient by its hosted domain; what is no address of ours is ``OUTSIDE``."""
        if self._recipient is None:
            self._recipient = self._resolve(request, store)
        return self._recipient

    def account(self, request: Request, store: Store) -> Standing | None:
        """Return the account that the recipient is, without an alias in between."""
        if self._recipient is None:
            self._recipient = self._resolve(request, store)
        return self._account

    def leaves(self, request: Request, store: Store) -> Iterator[recipients.Leaf]:
        """Follow the recipient, as it was asked for, to its ends: an extension can lead elsewhere than the alias."""
        self.recipient(request, store)
        return recipients.leaves(store, self._address, self._delimiter)

    def _resolve(self, request: Request, store: Store) -> Resolution:
        self._account = None
        address = fold(request.recipient)
        if address is None:
            return recipients.OUTSIDE
        if address[-1] == "]" and is_routed(address):
            return recipients.NOWHERE
        self._address = address
        account = store.standing(address)
        if account is not None and not account.is_aliased:  # the first step of the fixed order, in one read
            self._account = account
            return Resolution(recipients.Step.EXACT, address, (), address)
        found = recipients.settle(store, address, self._delimiter)
        if found.mailbox:
            self._account = store.standing(found.mailbox)
        return found
