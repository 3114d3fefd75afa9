"""Netstrings, ``5:hello,``: the framing of socketmap (src/util/netstring.c of Postfix; cr.yp.to/proto/netstrings.txt).

The length is decimal without leading zeros, and it is believed only up to the limit: nothing is allocated for it.
"""

from __future__ import annotations

from mailhooks.wire.errors import WireError


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
        colon = held.find(b":", at, at + self._digits + 1)
        length = held[at : colon if colon >= 0 else at + self._digits + 1]
        if colon == at or (length and not length.isdigit()) or (len(length) > 1 and length[0] == ord("0")):
            raise WireError("framing", "a netstring does not begin with its length")
        if len(length) > self._digits or (length and int(length) > self._limit):
            raise WireError("oversized", f"a netstring is longer than {self._limit} bytes")
        end = colon + 1 + int(length or b"0")
        if colon < 0 or len(held) <= end:
            return None
        if held[end] != ord(","):
            raise WireError("framing", "a netstring does not end in a comma where its length says")
        return slice(colon + 1, end)
