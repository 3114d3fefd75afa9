"""The socketmap protocol of Postfix, server side (socketmap_table(5), src/util/dict_sockmap.c).

A request is a netstring ``NAME SPACE key``; the key is all the rest and may hold spaces. A reply is a netstring
``OK data``, ``NOTFOUND ``, ``TEMP reason`` or ``PERM reason``; the client asks again only when it has it. Traps kept
shut here: ``OK`` without data is "not found" to Postfix 3.7, an empty result to 3.10 and a match to domain lists, and a
reply over 100,000 bytes spoils the rest of the SMTP session, so that both become ``TEMP``.
"""

from __future__ import annotations

from mailhooks.wire import netstring
from mailhooks.wire.errors import WireError
from mailhooks.wire.sentence import clean

MAX_REQUEST = 16_384  # bytes of a payload: Postfix cuts SMTP addresses at 2,048, and no table name is long
MAX_REPLY = 100_000  # bytes of a payload: DICT_SOCKMAP_DEF_MAX_REPLY, fixed until Postfix 3.10
NOT_FOUND = netstring.encode(b"NOTFOUND ")  # the blank is in the documentation; clients do without it


class RequestParser(netstring.NetstringParser):
    """Cuts a stream into payloads for ``parse_request``, however they arrive."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(MAX_REQUEST)


def parse_request(payload: bytes) -> tuple[str, str]:
    """Return the table and the key of a request; ``WireError`` when it is not UTF-8 or has no key at all."""
    try:
        table, space, key = payload.decode().partition(" ")
    except UnicodeDecodeError as error:
        raise WireError("encoding", "the request is not UTF-8") from error
    if not table or not space:
        raise WireError("field", "the request is not a table name, a space and a key")
    return table, key


def request(table: str, key: str) -> bytes:
    """Frame a request as Postfix does, for checks of our own sockets."""
    return netstring.encode(f"{table} {key}".encode())


def ok(value: str) -> bytes:
    """Frame a value that was found; one that Postfix would misread becomes a temporary error."""
    data = value.encode()
    if len(data) > MAX_REPLY - len(b"OK "):
        return temporary("the result is too long")
    if not value or value.isspace():
        return temporary("the result is empty")
    return b"%d:OK %b," % (len(data) + len(b"OK "), data)


def temporary(reason: str) -> bytes:
    """Frame "ask again later": Postfix answers 451 and logs the reason."""
    return netstring.encode(b"TEMP " + clean(reason, "try again later").encode())


def permanent(reason: str) -> bytes:
    """Frame "this can never be answered": Postfix answers 451 and mails its postmaster, for a wrong table name."""
    return netstring.encode(b"PERM " + clean(reason, "not answered here").encode())
