"""Keys for SCRAM (RFC 5802, RFC 7677): what a login that never tells its password is checked against.

Keys are text, ``iterations,salt,StoredKey,ServerKey`` with the last three in base64: the body of Dovecot's
{SCRAM-SHA-1} and {SCRAM-SHA-256}. From them no password can be read, but they are a faster thing to guess against than
argon2id, and who has them and overhears a login can log in.

The password is prepared by SASLprep (RFC 4013), as the clients do; what that refuses, or leaves empty, has no keys and
logs in by PLAIN only. An account without keys, and a name without an account, are given keys that nothing fits: always
the same for the same name, so that the first message of a login tells nothing about who exists.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import b64encode
from typing import Final

SHA_1: Final = "SCRAM-SHA-1"
SHA_256: Final = "SCRAM-SHA-256"
DIGESTS: Final = {SHA_256: "sha256", SHA_1: "sha1"}

# One number for all: an account whose number differs would be told from a name without one. As many rounds as Cyrus
# SASL computes at most; about 20 ms for a client, which is what a telephone bears.
ITERATIONS: Final = 65_536
SALT_BYTES: Final = 16  # as Dovecot and PostgreSQL take


def make(password: str, salts: dict[str, bytes]) -> dict[str, str]:
    """Make the keys of a password for each mechanism in ``salts``; none when SASLprep refuses the password.

    Takes about as long as an argon2id hash; the interpreter lock is free meanwhile.
    """
    from scramp import ScramException, ScramMechanism  # noqa: PLC0415 - loads ASN.1, for password changes only
    from scramp.utils import saslprep  # noqa: PLC0415 - the same

    made = {}
    try:
        for mechanism, salt in salts.items() if saslprep(password) else ():
            _, stored, server, _ = ScramMechanism(mechanism).make_auth_info(password, ITERATIONS, salt)
            made[mechanism] = _text(salt, stored, server)
    except ScramException:
        return {}
    return made


def salts() -> dict[str, bytes]:
    """Make a new salt for each mechanism."""
    return {mechanism: secrets.token_bytes(SALT_BYTES) for mechanism in DIGESTS}


def fake(seed: bytes, mechanism: str, user: str) -> str:
    """Make the keys that an account without any is asked with; no proof fits them."""
    size = hashlib.new(DIGESTS[mechanism]).digest_size
    salt, stored, server = (
        hmac.digest(seed, f"{mechanism} {part} {user}".encode("utf-8", "surrogatepass"), "sha256")
        for part in ("salt", "stored", "server")
    )
    return _text(salt[:SALT_BYTES], stored[:size], server[:size])


def _text(salt: bytes, stored: bytes, server: bytes) -> str:
    return ",".join([str(ITERATIONS), *(b64encode(each).decode("ascii") for each in (salt, stored, server))])
