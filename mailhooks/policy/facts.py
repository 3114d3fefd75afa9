"""What several rules ask about one request, worked out at most once: the recipient and what stands behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailhooks import recipients
from mailhooks.address import fold

if TYPE_CHECKING:
    from mailhooks.recipients import Resolution
    from mailhooks.store import Store
    from mailhooks.wire.policy import Request


class Facts:
    """The memory of one decision; the frame clears it before each, so nothing outlives the store's snapshot."""

    def __init__(self, delimiter: str) -> None:
        self._delimiter = delimiter
        self._recipient: Resolution | None = None

    def forget(self) -> None:
        """Begin a new decision."""
        self._recipient = None

    def recipient(self, request: Request, store: Store) -> Resolution:
        """Resolve the request's recipient by its hosted domain; what is no address of ours is ``OUTSIDE``."""
        found = self._recipient
        if found is None:
            address = fold(request.recipient)
            found = recipients.OUTSIDE if address is None else recipients.settle(store, address, self._delimiter)
            self._recipient = found
        return found
