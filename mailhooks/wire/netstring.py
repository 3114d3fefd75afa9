"""Netstrings, ``5:hello,``: the framing of socketmap (src/util/netstring.c of Postfix; cr.yp.to/proto/netstrings.txt).

The length is decimal without leading zeros, and it is believed only up to the limit: nothing is allocated for it.
"""

from __future__ import annotations

import re

from mailhooks.wire.errors import WireError

_LENGTH = re.compile(rb"[0-9]+")


def encode(payload: bytes) -> bytes:
    """Frame a payload."""
    return b"%d:%b," % (len(payload), payload)


class NetstringParser:
    """Cuts a stream into payloads of at most ``limit`` bytes."""

    __slots__ = ("_digits", "_held", "_limit")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._digits = len(str(limit))
        self._held = bytearray()  # one frame that is not complete, at most limit + digits + 2 bytes between two calls

    @property
    def incomplete(self) -> bool:
        """Whether a netstring has begun whose end has not come."""
        return bool(self._held)

    def feed(self, data: bytes) -> list[bytes]:
        """Return the payloads that are complete with ``data``; ``WireError`` on a wrong or excessive frame."""
        self._held += data
        payloads: list[bytes] = []
        at = 0
        try:
            while (payload := self._find_payload(at)) is not None:
                payloads.append(bytes(self._held[payload]))
                at = payload.stop + 1
        except WireError as error:
            self._held.clear()
            error.completed = tuple(payloads)
            raise
        del self._held[:at]
        return payloads

    def _find_payload(self, at: int) -> slice | None:
        """Return where the payload of the frame at ``at`` lies, None when the frame is not complete."""
        held = self._held
        length = _LENGTH.match(held, at, at + self._digits + 1)
        number, end = (length[0], length.end()) if length else (b"", at)
        if len(number) > 1 and number.startswith(b"0"):
            raise WireError("framing", "the length of a netstring has leading zeros")
        if number and int(number) > self._limit:
            raise WireError("oversized", f"a netstring is longer than {self._limit} bytes")
        if end == len(held):
            return None
        if not number or held[end] != ord(":"):
            raise WireError("framing", "a netstring does not begin with its length")
        comma = end + 1 + int(number)
        if len(held) <= comma:
            return None
        if held[comma] != ord(","):
            raise WireError("framing", "a netstring does not end in a comma where its length says")
        return slice(end + 1, comma)
