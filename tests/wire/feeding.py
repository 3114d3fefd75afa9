"""Runs a recorded piece of a stream through a parser in the ways in which a network may cut it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import pytest

from mailhooks.wire.errors import WireError


class Parser(Protocol):
    """What every incremental parser of mailhooks.wire looks like."""

    def feed(self, data: bytes) -> list[Any]: ...


def run(parser: Parser, pieces: Sequence[bytes]) -> tuple[list[Any], str | None]:
    """Feed the pieces; return what came out and, if the peer was dropped, the kind of its fault."""
    values: list[Any] = []
    for piece in pieces:
        try:
            values += parser.feed(piece)
        except WireError as error:
            return [*values, *error.completed], error.kind
    return values, None


def cut(data: bytes, size: int = 1) -> list[bytes]:
    """Cut a stream into pieces of ``size`` bytes."""
    return [data[at : at + size] for at in range(0, len(data), size)]


def check(make: Callable[[], Parser], sample: bytes, expected: Sequence[Any]) -> None:
    """The sample gives the expected values whole, byte by byte, halved, and with a second message behind it."""
    assert run(make(), [sample]) == (list(expected), None)
    assert run(make(), cut(sample)) == (list(expected), None)
    for at in range(1, len(sample)):
        assert run(make(), [sample[:at], sample[at:]]) == (list(expected), None)
    assert run(make(), [sample + sample]) == ([*expected, *expected], None)
    assert run(make(), cut(sample + sample)) == ([*expected, *expected], None)


def check_fault(make: Callable[[], Parser], sample: bytes, kind: str, completed: Sequence[Any] = ()) -> None:
    """The sample is refused with this kind of fault, whole and byte by byte, and what stood before it is kept."""
    assert run(make(), [sample]) == (list(completed), kind)
    assert run(make(), cut(sample)) == (list(completed), kind)


def check_any(make: Callable[[], Parser], data: bytes, size: int) -> None:
    """Whatever the input, cutting it changes nothing, and nothing but WireError comes out."""
    assert run(make(), [data]) == run(make(), cut(data, size))


def held_by(parser: Parser) -> int:
    """Bytes a parser keeps between two calls, wherever in it they are."""
    total, queue = 0, [parser]
    while queue:
        thing = queue.pop()
        names = {name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())}
        for name in names | set(getattr(thing, "__dict__", ())):
            value = getattr(thing, name)
            if isinstance(value, bytes | bytearray | str):
                total += len(value)
            elif hasattr(value, "feed"):
                queue.append(value)
    return total


def check_bounded(make: Callable[[], Parser], endless: bytes, limit: int) -> None:
    """A peer that never ends its message is dropped, and until then no more than ``limit`` bytes are held."""
    parser = make()
    for _ in range(2 + limit // len(endless)):
        try:
            parser.feed(endless)
        except WireError as error:
            assert error.kind == "oversized"  # noqa: PT017 - the point is when it is raised
            assert held_by(parser) <= limit
            return
        assert held_by(parser) <= limit
    pytest.fail("the parser took more than its limit")
