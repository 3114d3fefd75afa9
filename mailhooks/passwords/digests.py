"""Dovecot's plain and single-digest schemes: microseconds each, so they may run on the reactor thread.

Each function takes the stored bytes (already decoded from hex or base64) and the password. Source: Dovecot
src/auth/password-scheme.c. They are written on hashlib, not on passlib, because passlib takes ten times as long and a
site with {SSHA512} hashes is bound by exactly this.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import re
from typing import TYPE_CHECKING, Any

from mailhooks.passwords import md5state

if TYPE_CHECKING:
    from collections.abc import Callable

_TRUNCATED = re.compile(rb"(?P<length>[1-9][0-9]{0,8})-(?P<text>.+)", re.DOTALL)


def verify_plain(stored: bytes, password: bytes) -> bool:
    """{PLAIN}, {CLEAR}, {CLEARTEXT}."""
    return hmac.compare_digest(stored, password)


def verify_truncated(stored: bytes, password: bytes) -> bool:
    """{PLAIN-TRUNC} ``length-text``: only the first ``length`` bytes of the password count."""
    form = _TRUNCATED.fullmatch(stored)
    return form is not None and hmac.compare_digest(form["text"], password[: int(form["length"])])


def verify_digest(algorithm: str, stored: bytes, password: bytes) -> bool:
    """{SHA}, {SHA256}, {SHA512}, {PLAIN-MD5}, {LDAP-MD5}: one unsalted digest."""
    made = getattr(hashlib, algorithm)(password, usedforsecurity=False).digest()  # hashlib.new() would take 1 µs more
    return hmac.compare_digest(made, stored)


def salted(algorithm: str, size: int) -> Callable[[bytes, bytes], bool]:
    """{SSHA}, {SSHA256}, {SSHA512}, {SMD5}: digest of password and salt, then the salt, which is never empty."""
    # One is checked at every login: a copy of an empty digest spares OpenSSL from looking for the algorithm each time.
    empty, is_same = getattr(hashlib, algorithm)(usedforsecurity=False).copy, hmac.compare_digest

    def verify(stored: bytes, password: bytes) -> bool:
        salt, made = stored[size:], empty()
        made.update(password + salt)
        return salt != b"" and is_same(made.digest(), stored[:size])

    return verify


def verify_md4(stored: bytes, password: bytes) -> bool:
    """{PLAIN-MD4}; passlib's own MD4, because OpenSSL 3 offers none by default."""
    return hmac.compare_digest(_md4()(password).digest(), stored)


@functools.cache
def _md4() -> Any:
    from passlib.crypto.digest import lookup_hash  # noqa: PLC0415 - at need: passlib takes long to load

    return lookup_hash("md4").const


def verify_digest_md5(stored: bytes, password: bytes, user: str) -> bool:
    """{DIGEST-MD5}: md5 of ``local:domain:password``, bound to the user's name (RFC 2831)."""
    local, _, domain = user.rpartition("@") if "@" in user else (user, "", "")
    made = hashlib.md5(b"%s:%s:%s" % (local.encode(), domain.encode(), password), usedforsecurity=False).digest()
    return hmac.compare_digest(made, stored)


def verify_cram_md5(stored: bytes, password: bytes) -> bool:
    """{CRAM-MD5}, {HMAC-MD5}: the two inner states of HMAC-MD5."""
    return hmac.compare_digest(md5state.hmac_states(password), stored)
