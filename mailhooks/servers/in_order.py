"""Protocols whose answers keep the order of the commands: what comes behind a long answer waits for it.

A long answer is a list that is written step by step (``stream``), or whatever ``answer_later`` announces. What waits is
bounded, in number and in bytes, by not reading: the connection is read again when the long answer is done.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from mailhooks.servers.base import MAX_REPLIES_BYTES, Connection, Server
from mailhooks.servers.budget import Budget, footprint
from mailhooks.servers.listing import Listing
from mailhooks.wire.errors import WireError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_WAITING = 1000  # commands of one connection
# Of one connection, for what waits and for the open transactions of a dict: one that sets all the METADATA that an
# account may have (a million characters of up to four bytes) fits. Beyond half of it nothing more is read meanwhile.
MAX_HELD_BYTES = 5 * 1024 * 1024


class InOrder(Connection):
    """A client that is answered one command at a time. Subclasses have ``take`` in place of ``answer``."""

    def __init__(self, server: Server, total: Budget | None = None) -> None:
        """``total`` bounds what is held for all connections together."""
        super().__init__(server)
        self.budget = Budget(MAX_HELD_BYTES, total)
        self._occupied = False  # with a long answer
        self._listing: Listing | None = None
        self._waiting: deque[Any] = deque()

    # What a protocol says

    def take(self, message: Any) -> bytes:
        """Return the reply to one message, b"" when it is none or comes later."""
        raise NotImplementedError

    # What a protocol uses

    def answer_later(self) -> None:
        """The answer to the message in hand takes its time: ``answered`` brings it, and all others wait."""
        self._occupied = True
        self.begin()

    def stream(self, lines: Iterator[bytes], last: Callable[[Exception | None], bytes]) -> None:
        """Answer the message in hand by these lines; ``last`` makes the end of it, given what went wrong."""
        self.answer_later()
        self._listing = Listing(self.server.clock, lines, self._write_some, lambda error: self._listed(last(error)))

    def answered(self, reply: bytes) -> None:
        """Answer what took its time, and what was asked behind it."""
        self._occupied = False
        waited = bool(self._waiting)
        replies, size, fault = [reply], len(reply), ""
        try:
            while self._waiting and not self._occupied:
                replies.append(self.take(self._next()))
                size += len(replies[-1])
                if size > MAX_REPLIES_BYTES:
                    raise WireError("oversized", "too much is asked at once")  # noqa: TRY301 - as for one read
        except WireError as error:
            fault = error.kind
        except Exception:  # noqa: BLE001 - as in dataReceived, only that here nobody would catch it
            self.server.fault("connection closed")
            self.abort()
        if waited and self.stalled_since is None:
            self._read(True)
        self._progress = True
        self.note_half()
        self.finish(b"".join(replies))
        if fault:
            self.refuse(fault)

    # What the base calls

    def answer(self, value: Any) -> bytes:
        """Take one message, behind the one that is being answered."""
        if not self._occupied:
            return self.take(value)
        self._waiting.append(value)
        self.budget.hold(footprint(value))
        if self._full:
            self._read(False)
        return b""

    def lost(self) -> None:
        """Forget what waits, and stop listing."""
        while self._waiting:
            self._next()
        if self._listing is not None:
            self._listing.stop()

    def resumeProducing(self) -> None:
        """The peer has read what was listed: go on."""
        super().resumeProducing()
        if self._listing is not None:
            self._listing.go_on()

    def _read(self, more: bool) -> None:
        super()._read(more and not self._full)

    @property
    def _full(self) -> bool:
        """Whether as much waits as may. Where nothing waits, nothing would end a pause either."""
        return len(self._waiting) >= MAX_WAITING or (bool(self._waiting) and self.budget.half_spent)

    def _next(self) -> Any:
        message = self._waiting.popleft()
        self.budget.hold(-footprint(message))
        return message

    def _write_some(self, data: bytes) -> bool:
        self.send(data)
        return self.stalled_since is None

    def _listed(self, reply: bytes) -> None:
        self._listing = None
        self.answered(reply)
