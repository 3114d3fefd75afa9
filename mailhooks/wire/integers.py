"""Whole numbers in fields: what C's parsers take, and no more than 64 bits of it.

``int()`` alone takes blanks, underscores, signs and the digits of every script, and raises on very long input.
"""

from __future__ import annotations

import re

from mailhooks.wire.errors import WireError

_UNSIGNED_DIGITS = 20
_SIGNED = re.compile(r"-?[0-9]{1,19}")
_UNSIGNED_END = 2**64
_SIGNED_END = 2**63


def unsigned(text: str) -> int:
    """Read a number from 0 to 2**64 - 1; ``WireError`` when it is none."""
    if text.isdigit() and text.isascii() and len(text) <= _UNSIGNED_DIGITS and (value := int(text)) < _UNSIGNED_END:
        return value
    raise WireError("field", "a field is no unsigned number")


def signed(text: str) -> int:
    """Read a number from -2**63 to 2**63 - 1; ``WireError`` when it is none."""
    if _SIGNED.fullmatch(text) and -_SIGNED_END <= (value := int(text)) < _SIGNED_END:
        return value
    raise WireError("field", "a field is no number")
