"""Lines that end in LF: the framing of the Dovecot protocols and of tcp_table(5).

A line may be cut anywhere, and several may come in one segment. CR is a byte like any other here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from mailhooks.wire.errors import WireError

if TYPE_CHECKING:
    from collections.abc import Callable

Message = TypeVar("Message")


class LineParser:
    """Cuts a stream into lines of at most ``limit`` bytes, the LF not counted."""

    __slots__ = ("_held", "_limit")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = bytearray()  # the beginning of a line whose LF has not come; never looked through again

    @property
    def incomplete(self) -> bool:
        """Whether a line has begun whose end has not come."""
        return bool(self._held)

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that end in ``data``, without their LF; ``WireError`` when one is too long."""
        lines = data.split(b"\n")
        rest = lines.pop()
        if lines and self._held:
            lines[0] = bytes(self._held + lines[0])
            self._held.clear()
        for at, line in enumerate(lines):
            if len(line) > self._limit:
                raise self._oversized(lines[:at])
        if len(self._held) + len(rest) > self._limit:
            raise self._oversized(lines)
        self._held += rest
        return lines

    def _oversized(self, completed: list[bytes]) -> WireError:
        return WireError("oversized", f"a line is longer than {self._limit} bytes", completed)


class MessageParser(Generic[Message]):
    """Cuts a stream into lines and makes a message of each by ``parse``, which raises ``WireError`` or nothing."""

    __slots__ = ("_lines", "_parse")

    def __init__(self, limit: int, parse: Callable[[bytes], Message]) -> None:
        self._lines = LineParser(limit)
        self._parse = parse

    @property
    def incomplete(self) -> bool:
        """Whether a line has begun whose end has not come."""
        return self._lines.incomplete

    def feed(self, data: bytes) -> list[Message]:
        """Return the messages whose lines end in ``data``; ``WireError`` on what is none."""
        messages: list[Message] = []
        fault = None
        try:
            lines = self._lines.feed(data)
        except WireError as error:
            lines, fault = list(error.completed), error
        try:
            messages.extend(map(self._parse, lines))
        except WireError as error:
            fault = error
        if fault is not None:
            fault.completed = tuple(messages)
            raise fault
        return messages
