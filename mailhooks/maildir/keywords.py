"""``dovecot-keywords``: which letter stands for which IMAP keyword in the file names of one folder.

Format (Dovecot src/lib-storage/index/maildir/maildir-keywords.c): lines ``NUMBER NAME``, where 0 is the letter ``a``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailhooks.maildir.message import KEYWORDS

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_FILE = 26 * 1024  # bytes: 26 names, each as long as an IMAP command line would let it be

_LINE = re.compile(r"([0-9]{1,2}) ([!#$&'+,./0-9:;<=>?@A-Z^_`a-z|}~\[-]{1,250})")  # an IMAP atom


def parse(data: bytes) -> dict[str, str]:
    """Return letter -> keyword; lines that say nothing are left out."""
    lines = (_LINE.fullmatch(line) for line in data.decode("ascii", "replace").splitlines())
    return {KEYWORDS[int(line[1])]: line[2] for line in lines if line and int(line[1]) < len(KEYWORDS)}


def render(letters: Mapping[str, str]) -> bytes:
    """Spell the file."""
    return "".join(f"{KEYWORDS.index(letter)} {letters[letter]}\n" for letter in sorted(letters)).encode("ascii")


@dataclass(frozen=True, slots=True)
class Translation:
    """How the letters of one folder become those of another: its keywords afterwards, and letter -> letter."""

    letters: dict[str, str]
    to: dict[str, str]

    def __call__(self, keywords: frozenset[str]) -> frozenset[str]:
        """Translate the letters of one message; those that have no name or no room are left out."""
        return frozenset(self.to[each] for each in keywords if each in self.to)


def translation(source: Mapping[str, str], target: Mapping[str, str]) -> Translation:
    """Give every keyword of the source a letter in the target: its own when it is free there."""
    letters = dict(target)
    by_name = {name.lower(): letter for letter, name in letters.items()}
    to: dict[str, str] = {}
    for letter, name in sorted(source.items()):
        found = by_name.get(name.lower())
        if found is None:
            found = letter if letter not in letters else next((each for each in KEYWORDS if each not in letters), None)
            if found is None:
                continue
            letters[found] = name
            by_name[name.lower()] = found
        to[letter] = found
    return Translation(letters, to)
