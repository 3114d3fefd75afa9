"""A bounded cache of replies by the raw bytes of the request, emptied as one.

It holds answers of one snapshot of the store only: whoever renews the snapshot calls ``clear`` when the change number
moved, when the instant came at which an answer changes by time alone, and when the store became unavailable or came
back (``mailhooks.renewal``). Temporary answers and secrets are never put in.

A reply is kept when its request comes for the second time, so that what is asked once costs no memory and displaces
nothing. Two generations: the younger fills up, becomes the older, and what is still asked for moves back; so the cache
keeps what is used without a list to maintain at every hit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mailhooks.counters import Count

MAX_GENERATION_BYTES = 8 * 1024 * 1024  # two of them are the whole: 16 MB, about 60,000 answers
MAX_ENTRY_BYTES = 1024  # request and reply; a mailing list of hundreds is found again quickly enough
ENTRY_OVERHEAD = 230  # bytes that Python needs beside them: two objects, a tuple, a slot of the dict
SEEN_BITS = 16  # requests seen once are remembered by so much of their hash, in 64 KB
MAX_SEEN = 2 ** (SEEN_BITS - 2)  # of them; then all are forgotten, before too many look like seen

_SEEN_MASK = 2**SEEN_BITS - 1


class ReplyCache:
    """Replies and the counter each raises, by the raw bytes of the request."""

    def __init__(self) -> None:
        self.young: dict[bytes, tuple[bytes, Count]] = {}  # always the same object: connections hold on to it
        self.old: dict[bytes, tuple[bytes, Count]] = {}
        self._bytes = 0
        self._seen = bytearray(_SEEN_MASK + 1)
        self._seen_count = 0

    def find(self, request: bytes) -> tuple[bytes, Count] | None:
        """The entry for a request in ``old``; it is young again when found."""
        entry = self.old.get(request)
        if entry is not None:
            self._keep(request, entry)
        return entry

    def add(self, request: bytes, entry: tuple[bytes, Count]) -> None:
        """Remember a reply, if its request came before and it is not too large."""
        mark = hash(request) & _SEEN_MASK
        if self._seen[mark]:
            self._keep(request, entry)
            return
        self._seen[mark] = 1
        self._seen_count += 1
        if self._seen_count > MAX_SEEN:
            self._seen = bytearray(_SEEN_MASK + 1)
            self._seen_count = 0

    def clear(self) -> None:
        """Forget every reply."""
        self.young.clear()
        self.old.clear()
        self._bytes = 0

    def _keep(self, request: bytes, entry: tuple[bytes, Count]) -> None:
        size = len(request) + len(entry[0])
        if size > MAX_ENTRY_BYTES:
            return
        self._bytes += size + ENTRY_OVERHEAD
        if self._bytes > MAX_GENERATION_BYTES:
            self.old = self.young.copy()
            self.young.clear()
            self._bytes = size + ENTRY_OVERHEAD
        self.young[request] = entry
