"""Passwords: new hashes are {ARGON2ID}; whatever Dovecot scheme an admin brings along verifies.

A stored hash is text of the form ``{SCHEME}body`` as Dovecot's passwd-file and ``doveadm pw`` have it; scheme names are
case-insensitive, suffixes .HEX, .B64 and .BASE64 choose the encoding. Nothing here stores anything or knows an account.
Everything that takes longer than microseconds releases the interpreter lock while it runs (see libcrypt); ``is_quick``
tells what may run on the reactor thread. An empty password, one with a NUL and one over the length limit never match.
"""

from __future__ import annotations

from binascii import a2b_base64

from mailhooks.passwords import argon
from mailhooks.passwords.cache import VerifiedCache
from mailhooks.passwords.failure import NotComputed
from mailhooks.passwords.schemes import MAX_STORED_CHARACTERS, SALTED, SCHEMES, HashError, check, parse

# As passlib's own limit: longer is no password but an attempt to make hashing dear.
MAX_PASSWORD_BYTES = 4_096

# Verified instead of a hash that does not exist, so that an unknown user takes as long as a known one.
DUMMY = "{ARGON2ID}" + argon.DUMMY

UNKNOWN_SCHEME = "unknown"

__all__ = [
    "DUMMY",
    "MAX_PASSWORD_BYTES",
    "SCHEMES",
    "UNKNOWN_SCHEME",
    "HashError",
    "NotComputed",
    "PasswordError",
    "VerifiedCache",
    "check_hash",
    "hash_password",
    "is_quick",
    "needs_rehash",
    "scheme_of",
    "verify",
    "verify_quick",
]


class PasswordError(ValueError):
    """A password cannot be hashed; the text says why and never holds it."""


def hash_password(password: str) -> str:
    """Make a new {ARGON2ID} hash. Raises PasswordError for what ``verify`` would never match."""
    if not password:
        raise PasswordError("the password is empty")
    data = _encode(password)
    if data is None:
        raise PasswordError(f"the password contains a NUL or has more than {MAX_PASSWORD_BYTES} bytes")
    return "{ARGON2ID}" + argon.make(data)


def verify(stored: str, password: str, *, user: str = "") -> bool:
    """Tell whether ``password`` has the hash ``stored``; ``user`` (local@domain) matters to {DIGEST-MD5} only.

    A stored hash that cannot be read matches nothing. Raises NotComputed, for which nobody's password is to blame.
    """
    data = _encode(password)
    if not data:
        return False
    try:
        return parse(stored).verify(data, user)
    except HashError:
        return False


def verify_quick(stored: str, password: str, *, user: str = "") -> bool:
    """Do as ``verify``, but only where it costs microseconds; False says nothing about other schemes."""
    try:
        data = password.encode()
        if not data or len(data) > MAX_PASSWORD_BYTES or b"\0" in data:
            return False
        name, _, body = stored.partition("}")
        salted = SALTED.get(name)
        if salted is not None and len(stored) <= MAX_STORED_CHARACTERS:
            return salted(a2b_base64(body, strict_mode=True), data)
        parsed = parse(stored)
    except ValueError:  # a lone surrogate, no base64, HashError
        return False
    return parsed.scheme.quick and parsed.verify(data, user)


def scheme_of(stored: str) -> str:
    """The scheme's name in capitals, from a closed set; {CRYPT} is told by its hash, aliases by their first name."""
    try:
        return parse(stored).scheme.name
    except HashError:
        return UNKNOWN_SCHEME


def is_quick(stored: str) -> bool:
    """Tell whether a check takes microseconds only; true as well for what cannot be read and matches nothing."""
    try:
        return parse(stored).scheme.quick
    except HashError:
        return True


def needs_rehash(stored: str) -> bool:
    """Tell whether a new hash of the same password would be stronger."""
    if not stored[:7].upper().startswith("{ARGON2"):
        return True  # at every login of an old hash: not worth taking it apart
    try:
        parsed = parse(stored)
    except HashError:
        return True
    return parsed.scheme.name != "ARGON2ID" or argon.is_weaker(parsed.raw)


def check_hash(text: str) -> str:
    """Check a hash that somebody brings along and return what to store: as it is, {CRYPT} added where no scheme stands.

    Costs microseconds: nothing is hashed. Raises HashError, whose text names the cure.
    """
    text = text.strip("\r\n")
    if not text:
        raise HashError("the hash is empty")
    check(parse(text))
    return text if text.startswith("{") else "{CRYPT}" + text


def _encode(password: str) -> bytes | None:
    try:
        data = password.encode()
    except UnicodeEncodeError:  # a lone surrogate: no client can send that
        return None
    return None if b"\0" in data or len(data) > MAX_PASSWORD_BYTES else data
