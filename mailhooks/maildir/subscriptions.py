"""``subscriptions``: the folders that IMAP clients show.

Format (Dovecot src/lib-storage/list/subscription-file.c): in version 2, after the head ``V<TAB>2`` and an empty line,
one folder a line with TABs between its levels; before, one folder a line with the separator of the store (``.``, or
``/`` of the layout fs). Levels are written as on disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailhooks.maildir.names import INBOX, BadName, Name, checked, decode, encode

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_FILE = 4 * 2**20  # bytes: ten thousand folders with long names
HEAD = "V\t2\n\n"

_ESCAPES = {"0": "\0", "1": "\x01", "t": "\t", "r": "\r", "n": "\n"}


def parse(data: bytes, separator: str = ".") -> list[Name]:
    """Return the folders; what names none is left out."""
    text = data.decode(errors="surrogateescape")
    if text.startswith(HEAD):
        text, separator = text.removeprefix(HEAD), "\t"
    found = []
    for line in text.split("\n"):
        try:
            found.append(checked(tuple(decode(_unescaped(part)) for part in line.split(separator)) if line else ("",)))
        except BadName:
            continue
    return found


def joined(data: bytes | None, new: Iterable[Name]) -> bytes | None:
    """Return the file with more folders in it, or None when all are there."""
    there = set(parse(data)) if data is not None else set()
    added = [name for name in dict.fromkeys(new) if name not in there]
    if not added:
        return None
    text = HEAD if data is None else data.decode(errors="surrogateescape")
    separator = "\t" if text.startswith(HEAD) else "."
    if not text.endswith("\n") and text:
        text += "\n"
    lines = ("INBOX" if name == INBOX else separator.join(map(encode, name)) for name in added)
    return (text + "".join(f"{line}\n" for line in lines)).encode(errors="surrogateescape")


def _unescaped(part: str) -> str:
    if "\x01" not in part:
        return part
    first, *rest = part.split("\x01")
    return first + "".join(_ESCAPES.get(each[:1], each[:1]) + each[1:] for each in rest)
