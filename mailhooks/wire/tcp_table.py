"""The tcp_table protocol of Postfix, server side (tcp_table(5), src/util/dict_tcp.c).

A request is ``get SPACE key LF``, a reply ``200 text LF`` (found), ``500 text LF`` (not found) or ``400 text LF``
(temporary). In both ``%``, blanks, control characters and all beyond ASCII stand as ``%XX``. The text is required: a
bare code is malformed to the client, which then repeats the lookup ten times with a second between.
"""

from __future__ import annotations

import re
from urllib.parse import quote_from_bytes, unquote_to_bytes

from mailhooks.wire.errors import WireError
from mailhooks.wire.lines import LineParser
from mailhooks.wire.sentence import clean

MAX_LINE = 4096  # bytes with the LF: DICT_TCP_MAXLEN, both ways; the client takes a longer reply for an error

_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_SAFE = "".join(char for char in map(chr, range(0x21, 0x7F)) if char != "%")


class RequestParser(LineParser):
    """Cuts a stream into lines for ``parse_request``, however they arrive."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(MAX_LINE - 1)


def parse_request(line: bytes) -> str:
    """Return the key of a request; a CR before the LF is forgiven, as Postfix forgives it in replies."""
    verb, space, encoded = line.removesuffix(b"\r").partition(b" ")
    if verb != b"get":
        raise WireError("unknown_command", "the request is not a get")
    if not space or not encoded:
        raise WireError("field", "the request has no key")
    if _BAD_ESCAPE.search(encoded):
        raise WireError("encoding", "the key has a % that is not %XX")
    try:
        return unquote_to_bytes(encoded).decode()
    except UnicodeDecodeError as error:
        raise WireError("encoding", "the key is not UTF-8") from error


def request(key: str) -> bytes:
    """Make a request as Postfix does, for checks of our own sockets."""
    return _line("get", key)


def found(value: str) -> bytes:
    """Make the reply for a value; one that is empty or does not fit becomes a temporary error."""
    if not value or value.isspace():
        return temporary("the result is empty")
    line = _line("200", value)
    return line if len(line) <= MAX_LINE else temporary("the result is too long")


def not_found() -> bytes:
    """Make the reply for a key that positively does not exist."""
    return _NOT_FOUND


def temporary(reason: str) -> bytes:
    """Make the reply "ask again later"; the client closes the connection behind it."""
    return _line("400", clean(reason, "try again later"))


def _line(word: str, text: str) -> bytes:
    return f"{word} {quote_from_bytes(text.encode(), _SAFE)}\n".encode("ascii")


_NOT_FOUND = _line("500", "not found")
