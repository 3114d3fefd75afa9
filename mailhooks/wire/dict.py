"""Dovecot's dict protocol, server side (src/lib-dict/dict-client.h), versions 3.x (Dovecot 2.3) and 4.x (2.4).

Rules
    A line is one letter of command and its fields, separated by TAB and escaped (``mailhooks.wire.tabs``). ``H`` comes
    first and is **never** answered: an answer would be taken for that of the first command. What comes within a
    transaction (``S U A T V``), its begin and its rollback are not answered either.
    Lookups, iterations and commits are answered in order, one line each but for iterations, whose rows end in an empty
    line. The asynchronous forms (``*``, ``+``) and timings are the server's choice, and not chosen: a wrong reply kills
    the client's process (SIGSEGV in 2.3), so that there are as few kinds as possible.
    Fields beyond those known are passed over: 2.4 appended one to ``B``, and a later minor may append more.

What it does not do: ``D`` (asynchronous commit), which no client has ever sent and 2.4 has not got; it is an unknown
command. What its reply would be is known from no capture, and a wrong one is worse than none. Which versions and names
are served, and the order of commands, is the server's to say.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mailhooks.wire import tabs
from mailhooks.wire.errors import WireError
from mailhooks.wire.integers import signed, unsigned
from mailhooks.wire.lines import MessageParser
from mailhooks.wire.sentence import clean

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_LINE = 65_536  # bytes: DICT_CLIENT_MAX_LINE_LENGTH

END_OF_ROWS = b"\n"


@dataclass(frozen=True, slots=True)
class Hello:
    """Version, type of values (always 0) and the name of the dict."""

    major: int
    minor: int
    value_type: int
    name: str


@dataclass(frozen=True, slots=True)
class Lookup:
    """What is the value of a key? ``priv/`` keys are those of ``user``."""

    key: str
    user: str


@dataclass(frozen=True, slots=True)
class Iterate:
    """Which keys are below a path? ``flags``: enum dict_iterate_flags; ``max_rows`` 0: all."""

    flags: int
    max_rows: int
    path: str
    user: str


@dataclass(frozen=True, slots=True)
class Begin:
    """A transaction begins; what it sets expires after ``expire`` seconds, 0: never (2.4 only)."""

    id: int
    user: str
    expire: int = 0


@dataclass(frozen=True, slots=True)
class Set:
    """Set a key in transaction ``id``."""

    id: int
    key: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SetBinary:
    """Set a key in transaction ``id`` to what is no text (IMAP METADATA takes any octets, RFC 5464)."""

    id: int
    key: str


@dataclass(frozen=True, slots=True)
class Unset:
    """Remove a key in transaction ``id``."""

    id: int
    key: str


@dataclass(frozen=True, slots=True)
class Increment:
    """Add to a key in transaction ``id``; ``diff`` may be negative."""

    id: int
    key: str
    diff: int


@dataclass(frozen=True, slots=True)
class Timestamp:
    """When the changes of transaction ``id`` were made; comes before the first of them."""

    id: int
    secs: int
    nsecs: int


@dataclass(frozen=True, slots=True)
class HideValues:
    """Values of transaction ``id`` are to reach no log (2.4 only)."""

    id: int


@dataclass(frozen=True, slots=True)
class Commit:
    """Transaction ``id`` is to be written now."""

    id: int


@dataclass(frozen=True, slots=True)
class Rollback:
    """Transaction ``id`` is to be forgotten."""

    id: int


Message = (
    Hello | Lookup | Iterate | Begin | Set | SetBinary | Unset | Increment | Timestamp | HideValues | Commit | Rollback
)


class DictParser(MessageParser[Message]):
    """Cuts a stream into what a dict client says."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(MAX_LINE, parse_line)


def parse_line(line: bytes) -> Message:
    """Parse one line without its LF."""
    command = _COMMANDS.get(line[:1])
    if command is None:
        raise WireError("unknown_command", "a command that the protocol does not have")
    parse, least = command
    try:
        fields = tabs.split(line[1:])
    except WireError:
        if line[:1] != b"S":
            raise
        return _set_binary(line)
    if len(fields) < least:
        raise WireError("field", "a command without all of its fields")
    return parse(fields)


def _set_binary(line: bytes) -> SetBinary:
    """Parse a line whose value is not UTF-8; all before it has to be."""
    head, tab, _ = line[1:].rpartition(b"\t")
    fields = tabs.split(head)
    if not tab or len(fields) != 2:  # noqa: PLR2004 - id and key
        raise WireError("field", "a command without all of its fields")
    return SetBinary(unsigned(fields[0]), fields[1])


def found(value: str) -> bytes:
    """Make the reply to a lookup that has a value."""
    return b"O" + tabs.join(value)


def missing(number: int | None = None) -> bytes:
    """Make the reply to a lookup that has none, or to a commit that adds to a key that does not exist."""
    return b"N\n" if number is None else b"N%d\n" % number


def failed(text: str, number: int | None = None) -> bytes:
    """Make the reply for what could not be done; after a commit with its id, else the client loses the text."""
    sentence = clean(text, "failed")
    return b"F" + (tabs.join(sentence) if number is None else tabs.join(str(number), sentence))


def committed(number: int) -> bytes:
    """Make the reply to a commit that is done."""
    return b"O%d\n" % number


def row(key: str, value: str) -> bytes:
    """Make one row of an iteration; the value's field is there even where no values were asked for."""
    return b"O" + tabs.join(key, value)


_COMMANDS: dict[bytes, tuple[Callable[[list[str]], Message], int]] = {
    # Letter: what its fields make, and how many there are at least. By how often they come.
    b"L": (lambda f: Lookup(f[0], f[1]), 2),
    b"S": (lambda f: Set(unsigned(f[0]), f[1], f[2]), 3),
    b"B": (lambda f: Begin(unsigned(f[0]), f[1], unsigned(f[2]) if len(f) > 2 else 0), 2),  # noqa: PLR2004 - as said
    b"C": (lambda f: Commit(unsigned(f[0])), 1),
    b"H": (lambda f: Hello(unsigned(f[0]), unsigned(f[1]), unsigned(f[2]), f[4]), 5),
    b"A": (lambda f: Increment(unsigned(f[0]), f[1], signed(f[2])), 3),
    b"U": (lambda f: Unset(unsigned(f[0]), f[1]), 2),
    b"I": (lambda f: Iterate(unsigned(f[0]), unsigned(f[1]), f[2], f[3]), 4),
    b"T": (lambda f: Timestamp(unsigned(f[0]), unsigned(f[1]), unsigned(f[2])), 3),
    b"V": (lambda f: HideValues(unsigned(f[0])), 1),
    b"R": (lambda f: Rollback(unsigned(f[0])), 1),
}
