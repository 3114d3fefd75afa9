"""Credentials that were verified lately, so that a mail client's next login costs microseconds instead of a hash.

What is kept is a keyed hash (BLAKE2b, a fresh random key per process) over login, password and the stored hash it
matched: no password can be read or tried from it without the key. Because the stored hash is part of it, a changed
password misses by itself; state, services and networks are not cached at all but decided anew from the store at each
login. Wrong passwords are never kept. For one thread only.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

_KEY_BYTES = 32
_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class _Entry:
    user: str
    expires: float
    of_hash: bytes  # names the stored hash


class VerifiedCache:
    """At most ``entries`` verified credentials, each for ``seconds``; the one unused longest leaves first."""

    def __init__(self, entries: int, seconds: float) -> None:
        self._limit = entries
        self._seconds = seconds
        self._key = secrets.token_bytes(_KEY_BYTES)
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self._of_hash: dict[bytes, bytes] = {}  # the last entry of each stored hash

    def __len__(self) -> int:
        return len(self._entries)

    def knows(self, user: str, password: str, stored: str, now: float) -> bool:
        """Tell whether exactly this was verified within the last ``seconds``."""
        digest = self._digest(user, password, stored)
        entry = self._entries.get(digest)
        if entry is None:
            return False
        if entry.expires <= now:
            self._drop(digest)
            return False
        self._entries.move_to_end(digest)
        return True

    def holds(self, user: str, stored: str, now: float) -> bool:
        """Tell whether a password of this hash is known, so that ``knows`` has told whether another one is right."""
        digest = self._of_hash.get(self._digest(user, "", stored))
        return digest is not None and self._entries[digest].expires > now

    def add(self, user: str, password: str, stored: str, now: float) -> None:
        """Remember that ``password`` of ``user`` matched ``stored``."""
        if self._limit < 1:
            return
        digest, of_hash = self._digest(user, password, stored), self._digest(user, "", stored)
        self._entries[digest] = _Entry(user, now + self._seconds, of_hash)
        self._of_hash[of_hash] = digest
        if len(self._entries) > self._limit:
            self._drop(next(iter(self._entries)))

    def flush(self, users: Collection[str] = ()) -> int:
        """Forget these users (all, when none is named) and return how many entries left: doveadm auth cache flush."""
        if not users:
            count = len(self._entries)
            self._entries.clear()
            self._of_hash.clear()
            return count
        gone = [digest for digest, entry in self._entries.items() if entry.user in users]
        for digest in gone:
            self._drop(digest)
        return len(gone)

    def _drop(self, digest: bytes) -> None:
        of_hash = self._entries.pop(digest).of_hash
        if self._of_hash.get(of_hash) == digest:
            del self._of_hash[of_hash]

    def _digest(self, user: str, password: str, stored: str) -> bytes:
        # Lengths first, so that no two triples run together to the same text.
        text = f"{len(user)}:{len(stored)}:{user}{stored}{password}".encode("utf-8", "surrogatepass")
        return hashlib.blake2b(text, digest_size=_DIGEST_BYTES, key=self._key).digest()
