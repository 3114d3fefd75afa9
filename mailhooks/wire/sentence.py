"""Sentences that are put into replies: one line, never empty, never long.

Every protocol here ends a reply at a line end or a comma, so that a control character in a reason would be the
beginning of a second reply.
"""

from __future__ import annotations

MAX_SENTENCE = 400  # characters: a reply line of SMTP is 512 octets with its code (RFC 5321 section 4.5.3.1.5)


def clean(text: str, default: str) -> str:
    """Return ``text`` as one printable line not over ``MAX_SENTENCE``, or ``default`` when nothing is left."""
    if not text.isprintable():
        text = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(text.split())[:MAX_SENTENCE].rstrip() or default
