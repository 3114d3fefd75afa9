"""The name of a message's file: ``unique:2,flags`` (maildir(5)), with Dovecot's letters a-z for keywords."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final

FLAGS: Final = frozenset("DFPRST")  # draft, flagged, passed, replied, seen, trashed
KEYWORDS: Final = "abcdefghijklmnopqrstuvwxyz"
INFO: Final = ":2,"
# Bytes of a unique name that leave room for every flag and keyword in a name of 255.
MAX_UNIQUE: Final = 255 - len(INFO) - len(FLAGS) - len(KEYWORDS)

# What Dovecot's zlib plugin writes: gzip, bzip2, xz, zstd, lz4. Without the plugin nobody can read it.
COMPRESSED: Final = (b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"Dovecot-LZ4")

_SIZES = re.compile(r",[SW]=[0-9]+")


@dataclass(frozen=True, slots=True)
class FileName:
    """A name in its parts; ``info`` is False for a message that no client has seen yet."""

    unique: str
    flags: frozenset[str] = frozenset()
    keywords: frozenset[str] = frozenset()
    info: bool = False

    @classmethod
    def parse(cls, name: str) -> FileName:
        """Read any name; what is no flag is left out."""
        unique, colon, info = name.partition(":")
        letters = frozenset(info[2:].partition(",")[0]) if info.startswith("2,") else frozenset()
        return cls(unique, letters & FLAGS, letters & frozenset(KEYWORDS), bool(colon))

    def __str__(self) -> str:
        letters = "".join(sorted(self.flags | self.keywords))
        return f"{self.unique}{INFO}{letters}" if self.info or letters else self.unique


def is_sound(unique: str) -> bool:
    """Whether a unique name may stay: Dovecot's uidlist is made of lines, and a name has an end."""
    return bool(unique) and len(unique) <= MAX_UNIQUE and unique.isascii() and unique.isprintable()


def sized(unique: str, size: int) -> str:
    """Take the sizes out of a unique name that tells another one: Dovecot believes them (maildir-filename.c)."""
    told = re.search(r",S=([0-9]+)", unique)
    return _SIZES.sub("", unique) if told and int(told[1][:20]) != size else unique


def another(unique: str, size: int, modified: int) -> str:
    """Make a unique name for a message that cannot have its own: always the same one for the same message."""
    told = f"{size} {modified} {unique}".encode(errors="surrogatepass")
    return f"{modified // 10**9}.{hashlib.sha256(told).hexdigest()[:32]}.imported"
