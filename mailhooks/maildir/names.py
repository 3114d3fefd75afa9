"""The names of folders: the one place that reads and spells them, and says where a folder goes.

Here a folder is the tuple of its levels, INBOX the empty one. On disk it is a Maildir++ directory (``.Work.2024``),
each level in modified UTF-7 (RFC 3501 section 5.1.3); older servers may have UTF-8, which is read as well. People write
``Work/2024`` or name the directory. Maildir++ has no dot within a name.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Name = tuple[str, ...]

INBOX: Name = ()
MAX_DIRECTORY = 255  # bytes: what a file system takes for one name
MAX_LEVELS = 20  # nobody nests deeper, and each level costs a look at every known folder

# Dovecot makes them when they are first used (dovecot.conf, mailbox {}): for the owner they are there from the start.
STANDARD: tuple[Name, ...] = (("Drafts",), ("Sent",), ("Junk",), ("Trash",), ("Archive",))

_RUN = re.compile(r"&([A-Za-z0-9+,]*)-")
_TO_ENCODE = re.compile(r"[^\x20-\x7e]+|&")
_LEVELS = re.compile(r"[/.]")


class BadName(ValueError):
    """A folder cannot be called so; the text says why."""


def parse(text: str) -> Name:
    """Read what a person writes: ``Work/2024``, or the directory ``.Work.2024``. Raises BadName."""
    if text.startswith("."):
        return checked(tuple(map(decode, text[1:].split("."))))
    return checked(tuple(_LEVELS.split(text)))


def from_directory(directory: str) -> Name:
    """Read the name of a Maildir++ directory, whatever it is."""
    return cleaned(directory.removeprefix(".").split("."))


def cleaned(parts: Iterable[str]) -> Name:
    """Make a name of directories that another server made; what no name may have becomes ``_``."""
    levels = ("".join(c if _may_be(c) else "_" for c in decode(part)) or "_" for part in parts)
    first, *rest = levels
    if first.upper() == "INBOX":
        return ("INBOX", *rest) if rest else INBOX
    return ("_" + first[1:] if first[0] == "~" else first, *rest)


def to_directory(name: Name) -> str:
    """Spell the Maildir++ directory of a folder that is not INBOX."""
    return "." + ".".join(map(encode, name))


def display(name: Name) -> str:
    """Spell a folder as IMAP does."""
    return "/".join(name) or "INBOX"


def checked(name: Name) -> Name:
    """Return a name that Dovecot takes too; INBOX in any case is INBOX. Raises BadName."""
    shown = repr("/".join(name))
    if len(name) > MAX_LEVELS:
        raise BadName(f"{shown[:80]} has more than {MAX_LEVELS} levels")
    for part in name:
        if not part:
            raise BadName(f"{shown} has a level without a name")
        if not all(map(_may_be, part)):
            raise BadName(f"{shown} has characters that no folder may have")
    if name and name[0].startswith("~"):
        raise BadName(f"{shown} begins with ~")
    if name and name[0].upper() == "INBOX":
        name = ("INBOX", *name[1:]) if len(name) > 1 else INBOX
    if name and len(to_directory(name)) > MAX_DIRECTORY:
        raise BadName(f"{shown[:80]} is too long")
    return name


def encode(part: str) -> str:
    """Encode one level in modified UTF-7."""
    return _TO_ENCODE.sub(_encode_run, part)


def decode(part: str) -> str:
    """Decode one level; what is no modified UTF-7 stays as it is."""
    return _RUN.sub(_decode_run, part)


def fold(part: str) -> str:
    """Fold one level for comparison."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", part).lower())


def _may_be(character: str) -> bool:
    return character.isprintable() and character not in "/."


def _encode_run(found: re.Match[str]) -> str:
    if found[0] == "&":
        return "&-"
    packed = found[0].encode("utf-7").decode("ascii")  # +...-, in the usual base64
    return "&" + packed.removeprefix("+").removesuffix("-").replace("/", ",") + "-"


def _decode_run(found: re.Match[str]) -> str:
    if not found[1]:
        return "&"
    try:
        return f"+{found[1].replace(',', '/')}-".encode("ascii").decode("utf-7")
    except UnicodeDecodeError:
        return found[0]


class Mapping:
    """Where folders go: by ``--map``, and into a folder that is there already whatever its case."""

    def __init__(self, pairs: Iterable[tuple[Name, Name]] = ()) -> None:
        self._mapped = {_folded(source): target for source, target in pairs}
        self._known: dict[Name, dict[str, list[str]]] = {}
        self.unused = {source: source for source in self._mapped}
        for name in STANDARD:
            self.learn(name)

    @classmethod
    def read(cls, texts: Sequence[str]) -> Mapping:
        """Read ``.spam=Junk``. Raises BadName."""
        pairs = []
        for text in texts:
            source, equals, target = text.partition("=")
            if not (equals and source and target):
                raise BadName(f"{text!r} is no mapping: expected FOLDER=FOLDER, like .spam=Junk")
            name = from_directory(source) if source.startswith(".") else parse(source)
            pairs.append((name, parse(target)))
        return cls(pairs)

    def learn(self, name: Name) -> None:
        """Remember a folder that is there."""
        for depth, part in enumerate(name):
            spellings = self._known.setdefault(name[:depth], {}).setdefault(fold(part), [])
            if part not in spellings:
                spellings.append(part)

    def place(self, name: Name) -> Name:
        """Say where a folder goes, and remember it. Raises BadName when the mapped name is too long."""
        placed: Name = INBOX
        for part in checked(self._map(name)):
            spellings = self._known.get(placed, {}).get(fold(part), [])
            placed = (*placed, part if part in spellings or not spellings else spellings[0])
        self.learn(placed)
        return placed

    def _map(self, name: Name) -> Name:
        """Map a folder, or what lies below a mapped one; the longest mapping counts. INBOX has nothing below it."""
        folded = _folded(name)
        for depth in range(len(name), 0 if name else -1, -1):
            if (target := self._mapped.get(folded[:depth])) is not None:
                self.unused.pop(folded[:depth], None)
                return (*target, *name[depth:])
        return name


def _folded(name: Name) -> Name:
    return tuple(map(fold, name))
