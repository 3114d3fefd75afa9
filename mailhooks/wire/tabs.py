r"""TAB-separated fields with Dovecot's escaping: the shape of every line of its auth and dict protocols.

Inside a field NUL, ``\x01``, TAB, CR and LF are ``\x01`` followed by ``0 1 t r n`` (src/lib/strescape.c). A line is
split first and each field unescaped second. Like Dovecot, a ``\x01`` before any other character, or at the very end,
is dropped. Postfix escapes and unescapes nothing at all.
"""

from __future__ import annotations

import re
from typing import overload

from mailhooks.wire.errors import WireError

_PLAIN = {"0": "\0", "1": "\x01", "t": "\t", "r": "\r", "n": "\n"}
_ESCAPED = str.maketrans({plain: "\x01" + letter for letter, plain in _PLAIN.items()})
_ESCAPE = re.compile("\x01(.?)", re.DOTALL)


@overload
def escape(field: str) -> str: ...
@overload
def escape(field: bytes) -> bytes: ...
def escape(field: str | bytes) -> str | bytes:
    """Escape one field so that it can stand between TABs."""
    if isinstance(field, bytes):
        return escape(field.decode("latin-1")).encode("latin-1")
    return field if field.isprintable() else field.translate(_ESCAPED)


@overload
def unescape(field: str) -> str: ...
@overload
def unescape(field: bytes) -> bytes: ...
def unescape(field: str | bytes) -> str | bytes:
    """Undo ``escape``."""
    if isinstance(field, bytes):
        return unescape(field.decode("latin-1")).encode("latin-1")
    return _ESCAPE.sub(lambda match: _PLAIN.get(match[1], match[1]), field) if "\x01" in field else field


def split(line: bytes) -> list[str]:
    """Split a line into its fields, unescaped; ``WireError`` when it is not UTF-8."""
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise WireError("encoding", "a line is not UTF-8") from error
    fields = text.split("\t")
    return [unescape(field) for field in fields] if "\x01" in text else fields


def join(*fields: str) -> bytes:
    """Make a line of fields, escaped and with its LF."""
    if not "".join(fields).isprintable():  # hardly ever: one look at all of them
        fields = tuple(map(escape, fields))
    return "\t".join(fields).encode() + b"\n"
