"""Which folder ``user+detail`` means: run by the site's Sieve script as the mail user, prints the folder's name.

``folder.py DETAIL inbox|create``: an existing folder matches without regard to case; otherwise, by setting, a cleaned
name to create, or nothing, which stands for INBOX. The detail is written by strangers: it is only ever compared with
names that exist, or cleaned down to letters, digits, blanks, hyphens and underscores; it never becomes a path.
Reads Maildir++ directories (``.Name.Sub``, names in modified UTF-7, RFC 3501 section 5.1.3).
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import sys
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_NAME = 64  # characters of a folder that a stranger may make
MAX_FOLDERS = 10_000  # a directory with more is no mailbox somebody reads

# Made by Dovecot when first used (dovecot.conf, auto = subscribe): for the owner they are there from the start.
STANDARD = ("Junk",)

# A stranger's mail must not look like something the owner wrote or threw away.
PROTECTED = frozenset({"inbox", "sent", "drafts", "trash"})

_SHIFTED = re.compile(r"&([A-Za-z0-9+,]*)-")


def choose(detail: str, existing: Iterable[str], *, create: bool) -> str:
    """Return the folder for ``detail``, or "" for INBOX."""
    wanted = _fold(detail)
    if not wanted or wanted.split("/", 1)[0] in PROTECTED:
        return ""
    matches = sorted(name for name in existing if _fold(name) == wanted)
    if matches:
        return detail if detail in matches else matches[0]
    return clean(detail) if create else ""


def clean(detail: str) -> str:
    """Make a harmless folder name of what a stranger wrote; "" when nothing is left of it."""
    kept = "".join(c if c.isalnum() or c in "-_ " else "_" for c in unicodedata.normalize("NFC", detail))
    name = kept[:MAX_NAME].strip("_ ")
    return "" if name.lower() in PROTECTED else name


def folders(home: str) -> list[str]:
    """List the mailbox's folders, with "/" between levels; a mailbox that is not there yet has none."""
    try:
        with os.scandir(os.path.join(home, "Maildir")) as entries:  # noqa: PTH118 - pathlib doubles the start time
            names = [entry.name[1:] for _, entry in zip(range(MAX_FOLDERS), entries, strict=False) if _is_folder(entry)]
    except OSError:
        return []
    return [decode(name).replace(".", "/") for name in names]


def decode(name: str) -> str:
    """Decode modified UTF-7; a name that is none stays as it is."""
    return _SHIFTED.sub(lambda found: _decode_run(found[0], found[1]), name)


def _decode_run(whole: str, run: str) -> str:
    if not run:
        return "&"
    try:
        padded = run.replace(",", "/") + "=" * (-len(run) % 4)
        return base64.b64decode(padded, validate=True).decode("utf-16-be")
    except (binascii.Error, UnicodeDecodeError):
        return whole


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return len(entry.name) > 1 and entry.name[0] == "." and entry.name != ".." and entry.is_dir(follow_symlinks=False)


def _fold(name: str) -> str:
    """Fold for comparison; Maildir++ has no dot within a name, so a dot can only mean a level."""
    return unicodedata.normalize("NFC", name).lower().replace(".", "/").strip("/ ")


def main() -> int:
    """Answer for the Sieve script."""
    detail, missing = sys.argv[1:3]
    existing = {*folders(os.environ["HOME"]), *STANDARD}
    found = choose(detail, existing, create=missing == "create")
    sys.stdout.buffer.write(found.encode(errors="replace"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
