"""A reply of very many lines, written step by step: the peer sets the pace, and nobody else waits for long."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from twisted.internet.interfaces import IDelayedCall, IReactorTime

STEP = 200  # lines at a time: a millisecond or two, after which everybody else gets a turn


class Listing:
    """Writes ``lines`` until they end, and then calls ``ended`` once, with the exception if there was one.

    ``write`` tells whether the peer takes more; if it does not, ``go_on`` continues.
    """

    def __init__(
        self,
        clock: IReactorTime,
        lines: Iterator[bytes],
        write: Callable[[bytes], bool],
        ended: Callable[[Exception | None], None],
    ) -> None:
        self._clock = clock
        self._lines = lines
        self._write = write
        self._ended = ended
        self._next: IDelayedCall | None = None
        self.go_on()

    def go_on(self) -> None:
        """The peer takes more."""
        if self._next is None:
            self._next = self._clock.callLater(0, self._step)

    def stop(self) -> None:
        """The peer is gone."""
        if self._next is not None:
            self._next.cancel()

    def _step(self) -> None:
        self._next = None
        try:
            lines = b"".join(islice(self._lines, STEP))
        except Exception as error:  # noqa: BLE001 - whatever it is, the list is not whole, and the peer must hear that
            self._ended(error)
            return
        if not lines:
            self._ended(None)
        elif self._write(lines):
            self.go_on()
