"""A bounded cache of replies by the raw bytes of the request, emptied as one.

It holds answers of one snapshot of the store only: whoever renews the snapshot calls ``clear`` when the change number
moved, when the instant came at which an answer changes by time alone, and when the store became unavailable or came
back (``mailhooks.renewal``). Temporary answers and secrets are never put in.

Two generations: the younger fills up, becomes the older, and what is still asked for moves back; so the cache keeps
what is used without a list to maintain at every hit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mailhooks.counters import Count

MAX_GENERATION_BYTES = 8 * 1024 * 1024  # two of them are the whole: 16 MB, about 60,000 answers
MAX_ENTRY_BYTES = 1024  # request and reply; a mailing list of hundreds is found again quickly enough
ENTRY_OVERHEAD = 230  # bytes that Python needs beside them: two objects, a tuple, a slot of the dict


class ReplyCache:
    """Replies and the counter each raises, by the raw bytes of the request."""

    def __init__(self) -> None:
        self.young: dict[bytes, tuple[bytes, Count]] = {}
        self._old: dict[bytes, tuple[bytes, Count]] = {}
        self._bytes = 0

    def find(self, request: bytes) -> tuple[bytes, Count] | None:
        """The entry for a request that ``young`` does not hold; it is young again when found."""
        entry = self._old.get(request)
        if entry is not None:
            self.add(request, entry)
        return entry

    def add(self, request: bytes, entry: tuple[bytes, Count]) -> None:
        """Remember a reply unless it is too large."""
        size = len(request) + len(entry[0])
        if size > MAX_ENTRY_BYTES:
            return
        self._bytes += size + ENTRY_OVERHEAD
        if self._bytes > MAX_GENERATION_BYTES:
            # The dict object stays: connections hold on to ``young``.
            self._old = self.young.copy()
            self.young.clear()
            self._bytes = size + ENTRY_OVERHEAD
        self.young[request] = entry

    def clear(self) -> None:
        """Forget everything."""
        self.young.clear()
        self._old.clear()
        self._bytes = 0
