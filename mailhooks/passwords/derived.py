"""Dovecot's PBKDF2 and SCRAM schemes, by hashlib, which releases the interpreter lock.

Sources: Dovecot src/auth/password-scheme-pbkdf2.c, password-scheme-scram.c; RFC 5802 section 3 for the keys.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re

# A login must not take seconds: more rounds are refused when a hash is brought along.
MAX_ROUNDS = 5_000_000

_PBKDF2 = re.compile(rb"\$1\$(?P<salt>[^$]{1,64})\$(?P<rounds>[1-9][0-9]{0,8})\$(?P<key>[0-9a-fA-F]{40})")
_SCRAM = re.compile(
    rb"(?P<rounds>[1-9][0-9]{0,8}),(?P<salt>[A-Za-z0-9+/=]{4,128}),(?P<stored>[A-Za-z0-9+/=]{28,44}),(?P<server>[A-Za-z0-9+/=]{28,44})"
)


def verify_pbkdf2(stored: bytes, password: bytes) -> bool:
    """Tell whether ``password`` fits ``$1$salt$rounds$hex``: HMAC-SHA1, the salt taken as text, 20 bytes."""
    form = _PBKDF2.fullmatch(stored)
    if form is None:
        return False
    made = hashlib.pbkdf2_hmac("sha1", password, form["salt"], int(form["rounds"]), 20)
    return hmac.compare_digest(made, bytes.fromhex(form["key"].decode("ascii")))


def pbkdf2_problem(stored: bytes) -> str | None:
    """What is wrong with a PBKDF2 hash; None when nothing is."""
    form = _PBKDF2.fullmatch(stored)
    return "it is not of the form $1$salt$rounds$hex" if form is None else _too_many(form)


def verify_scram(algorithm: str, stored: bytes, password: bytes) -> bool:
    """Tell whether ``password`` gives both keys of ``rounds,salt,StoredKey,ServerKey``."""
    form = _SCRAM.fullmatch(stored)
    if form is None:
        return False
    try:
        salt, stored_key, server_key = (
            base64.b64decode(form[part], validate=True) for part in ("salt", "stored", "server")
        )
    except binascii.Error:
        return False
    salted = hashlib.pbkdf2_hmac(algorithm, password, salt, int(form["rounds"]))
    client = hashlib.new(algorithm, hmac.digest(salted, b"Client Key", algorithm)).digest()
    server = hmac.digest(salted, b"Server Key", algorithm)
    # Both are compared always, so that the time does not tell which one differs.
    return hmac.compare_digest(client, stored_key) & hmac.compare_digest(server, server_key)


def scram_problem(stored: bytes) -> str | None:
    """What is wrong with SCRAM credentials; None when nothing is."""
    form = _SCRAM.fullmatch(stored)
    return "it is not of the form rounds,salt,StoredKey,ServerKey" if form is None else _too_many(form)


def _too_many(form: re.Match[bytes]) -> str | None:
    return f"it costs too much: at most {MAX_ROUNDS} rounds" if int(form["rounds"]) > MAX_ROUNDS else None
