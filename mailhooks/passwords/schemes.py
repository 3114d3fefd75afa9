"""The names of Dovecot's password schemes: how each encodes its hash, and which function checks it.

Sources: Dovecot src/auth/password-scheme.c (table, password_decode). Left out, because they
are no password check or were removed from Dovecot itself: OTP (a sequence), SKEY, RPA, NTLM, LANMAN.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

from mailhooks.passwords import argon, derived, digests, libcrypt

MAX_STORED_CHARACTERS = 2_048  # the longest real one, {CRYPT.HEX} of SHA512-CRYPT, has 240

# Stored hashes that stay taken apart. One slow login asks five times about the same: is it quick, what is its scheme, …
HASHES_AT_HAND = 64

# The encoding of a stored hash when no suffix names one.
TEXT, HEX, BASE64 = "text", "hex", "base64"
_SUFFIXES = {"HEX": HEX, "B64": BASE64, "BASE64": BASE64}

_NAMED = re.compile(r"\{([A-Za-z0-9-]{1,32})(?:\.([A-Za-z0-9]{1,8}))?\}(.*)", re.DOTALL)

# crypt(5): what a setting of each kind looks like, and the named cost in it.
_BLOWFISH = re.compile(rb"\$2[abxy]\$(?P<log_rounds>[0-9]{2})\$[./A-Za-z0-9]{53}")
_SHA_CRYPT = re.compile(
    rb"\$[56]\$(?:rounds=(?P<rounds>[0-9]{1,9})\$)?[^$:\n\0]{0,16}\$(?:[./A-Za-z0-9]{43}|[./A-Za-z0-9]{86})"
)
_MD5_CRYPT = re.compile(rb"\$1\$[^$:\n\0]{0,8}\$[./A-Za-z0-9]{22}")
_DES_CRYPT = re.compile(rb"[./A-Za-z0-9]{13}")
_OTHER_CRYPT = re.compile(rb"\$(?:y|gy|7|sha1|md5)[$,][^:\n\0]{20,300}|_[./A-Za-z0-9]{19}")
_MAX_BLOWFISH_LOG_ROUNDS = 16  # about five seconds; each more doubles it

Verify = Callable[[bytes, bytes], bool]
VerifyUser = Callable[[bytes, bytes, str], bool]
Problem = Callable[[bytes], str | None]


@dataclass(frozen=True, slots=True)
class Scheme:
    """One way to store a password."""

    name: str  # the first of its names; a metric's label
    verify: Verify | VerifyUser
    encoding: str = TEXT
    size: int = 0  # bytes of the decoded hash, when hex can be told from base64 by its length
    quick: bool = False  # microseconds: may run on the reactor thread
    with_user: bool = False  # ``verify`` wants the user's name too
    problem: Problem | None = None  # what is wrong with a decoded hash, in words


@dataclass(frozen=True, slots=True)
class Parsed:
    """A stored hash taken apart."""

    scheme: Scheme
    raw: bytes

    def verify(self, password: bytes, user: str) -> bool:
        """Tell whether ``password`` of ``user`` has this hash."""
        if self.scheme.with_user:
            return self.scheme.verify(self.raw, password, user)  # type: ignore[call-arg]
        return self.scheme.verify(self.raw, password)  # type: ignore[call-arg]


class HashError(ValueError):
    """A stored hash cannot be used; the text names the cure and never holds the hash."""


@lru_cache(maxsize=HASHES_AT_HAND)
def parse(stored: str) -> Parsed:
    """Take a stored hash apart; without {SCHEME} it is {CRYPT}, Dovecot's default. Raises HashError."""
    if len(stored) > MAX_STORED_CHARACTERS:
        raise HashError(f"the hash has more than {MAX_STORED_CHARACTERS} characters")
    form = _NAMED.fullmatch(stored)
    if form is None and stored.startswith("{"):
        raise HashError("the scheme's name is not closed: write {SCHEME} before the hash")
    name, suffix, body = (form[1].upper(), form[2], form[3]) if form else ("CRYPT", None, stored)
    scheme = SCHEMES.get(name)
    if scheme is None:
        raise HashError(
            f"scheme {{{name}}} is not known; make a hash with `doveadm pw -s ARGON2ID` or set a new password"
        )
    encoding = scheme.encoding
    if suffix is not None:
        if suffix.upper() not in _SUFFIXES:
            raise HashError(f"the suffix of {{{name}.{suffix}}} is not known: HEX, B64 and BASE64 are")
        encoding = _SUFFIXES[suffix.upper()]
    elif encoding != TEXT:
        # password_decode() tells hex by its length, and takes anything else as base64.
        encoding = HEX if scheme.size and len(body) == 2 * scheme.size else BASE64
    try:
        raw = _DECODE[encoding](body)
    except ValueError:  # also binascii.Error and UnicodeError
        raise HashError(f"the hash of {{{name}}} is not valid {encoding}") from None
    return Parsed(_crypt_kind(raw) if scheme is _CRYPT else scheme, raw)


def _text(body: str) -> bytes:
    return body.encode()


def _base64(body: str) -> bytes:
    return base64.b64decode(body.encode("ascii"), validate=True)


def _hex(body: str) -> bytes:
    return binascii.unhexlify(body)


_DECODE = {TEXT: _text, HEX: _hex, BASE64: _base64}


def check(parsed: Parsed) -> None:
    """Refuse a hash that can never verify or that would cost too much. Raises HashError."""
    scheme = parsed.scheme
    if not parsed.raw:
        raise HashError(f"the hash of {{{scheme.name}}} is empty")
    if b"\0" in parsed.raw and scheme.encoding == TEXT:
        raise HashError(f"the hash of {{{scheme.name}}} contains a NUL")
    if scheme.size and len(parsed.raw) != scheme.size:
        raise HashError(f"the hash of {{{scheme.name}}} has {len(parsed.raw)} bytes where {scheme.size} are right")
    if scheme.problem is not None and (problem := scheme.problem(parsed.raw)):
        raise HashError(f"the hash of {{{scheme.name}}} cannot be used: {problem}")


def _crypt_problem(raw: bytes) -> str | None:
    if raw[:1] in (b"!", b"*"):
        return "it marks a locked password; use a state of the account for that"
    if form := _BLOWFISH.fullmatch(raw):
        too_much = int(form["log_rounds"]) > _MAX_BLOWFISH_LOG_ROUNDS
        return f"it costs too much: at most 2^{_MAX_BLOWFISH_LOG_ROUNDS} rounds" if too_much else None
    if form := _SHA_CRYPT.fullmatch(raw):
        too_much = int(form["rounds"] or 0) > derived.MAX_ROUNDS
        return f"it costs too much: at most {derived.MAX_ROUNDS} rounds" if too_much else None
    if any(kind.fullmatch(raw) for kind in (_MD5_CRYPT, _DES_CRYPT, _OTHER_CRYPT)):
        return None
    return "crypt(5) knows no such hash"


def _salted_problem(size: int, raw: bytes) -> str | None:
    return "the salt is missing" if len(raw) <= size else None


def _truncated_problem(raw: bytes) -> str | None:
    return None if re.match(rb"[1-9][0-9]{0,8}-.", raw, re.DOTALL) else "it is not of the form length-text"


def _verify_crypt(raw: bytes, password: bytes) -> bool:
    return libcrypt.verify(password, raw)


def _verify_blowfish(raw: bytes, password: bytes) -> bool:
    return raw.startswith(b"$2") and libcrypt.verify(password, raw)


_MD5_BYTES = 16


def _verify_md5_crypt(raw: bytes, password: bytes) -> bool:
    """{MD5}: md5_crypt, or the plain digest in hex as very old sites have it (md5_verify())."""
    if raw.startswith(b"$1$"):
        return libcrypt.verify(password, raw)
    return _is_hex_md5(raw) and digests.verify_digest("md5", binascii.unhexlify(raw), password)


def _md5_crypt_problem(raw: bytes) -> str | None:
    if _MD5_CRYPT.fullmatch(raw) or _is_hex_md5(raw):
        return None
    return "it is not of the form $1$salt$hash ({MD5} is crypt's; the plain digest in base64 is {LDAP-MD5})"


def _is_hex_md5(raw: bytes) -> bool:
    return re.fullmatch(rb"[0-9A-Fa-f]{32}", raw) is not None


def _crypt(name: str) -> Scheme:
    return Scheme(name, _verify_crypt, problem=_crypt_problem)


def _digest(name: str, algorithm: str, size: int) -> Scheme:
    return Scheme(name, partial(digests.verify_digest, algorithm), BASE64, size, quick=True)


def _salted(name: str) -> Scheme:
    algorithm, size = _SALTED[name]
    return Scheme(name, digests.salted(algorithm, size), BASE64, quick=True, problem=partial(_salted_problem, size))


def _plain(name: str) -> Scheme:
    return Scheme(name, digests.verify_plain, quick=True)


_SALTED = {"SMD5": ("md5", _MD5_BYTES), "SSHA": ("sha1", 20), "SSHA256": ("sha256", 32), "SSHA512": ("sha512", 64)}

_CRYPT = _crypt("CRYPT")
_MD5_CRYPT_SCHEME = Scheme("MD5-CRYPT", _verify_md5_crypt, problem=_md5_crypt_problem)
_BLF_CRYPT = Scheme("BLF-CRYPT", _verify_blowfish, problem=_crypt_problem)
_CRAM_MD5 = Scheme("CRAM-MD5", digests.verify_cram_md5, HEX, 32)
_ARGON2I = Scheme("ARGON2I", argon.verify, problem=argon.problem)
_ARGON2ID = Scheme("ARGON2ID", argon.verify, problem=argon.problem)
_SHA1 = _digest("SHA1", "sha1", 20)
_PLAIN = _plain("PLAIN")

SCHEMES: dict[str, Scheme] = {
    "ARGON2": _ARGON2ID,
    "ARGON2I": _ARGON2I,
    "ARGON2ID": _ARGON2ID,
    "BLF-CRYPT": _BLF_CRYPT,
    "CLEAR": _PLAIN,
    "CLEARTEXT": _PLAIN,
    "CRAM-MD5": _CRAM_MD5,
    "CRYPT": _CRYPT,
    "DES-CRYPT": _crypt("DES-CRYPT"),
    "DIGEST-MD5": Scheme("DIGEST-MD5", digests.verify_digest_md5, HEX, 16, quick=True, with_user=True),
    "HMAC-MD5": _CRAM_MD5,
    "LDAP-MD5": _digest("LDAP-MD5", "md5", _MD5_BYTES),
    "MD5": _MD5_CRYPT_SCHEME,
    "MD5-CRYPT": _MD5_CRYPT_SCHEME,
    "PBKDF2": Scheme("PBKDF2", derived.verify_pbkdf2, problem=derived.pbkdf2_problem),
    "PLAIN": _PLAIN,
    "PLAIN-MD4": Scheme("PLAIN-MD4", digests.verify_md4, HEX, 16),
    "PLAIN-MD5": Scheme("PLAIN-MD5", partial(digests.verify_digest, "md5"), HEX, _MD5_BYTES, quick=True),
    "PLAIN-TRUNC": Scheme("PLAIN-TRUNC", digests.verify_truncated, quick=True, problem=_truncated_problem),
    "SCRAM-SHA-1": Scheme("SCRAM-SHA-1", partial(derived.verify_scram, "sha1"), problem=derived.scram_problem),
    "SCRAM-SHA-256": Scheme("SCRAM-SHA-256", partial(derived.verify_scram, "sha256"), problem=derived.scram_problem),
    "SHA": _SHA1,
    "SHA1": _SHA1,
    "SHA256": _digest("SHA256", "sha256", 32),
    "SHA256-CRYPT": _crypt("SHA256-CRYPT"),
    "SHA512": _digest("SHA512", "sha512", 64),
    "SHA512-CRYPT": _crypt("SHA512-CRYPT"),
    "SMD5": _salted("SMD5"),
    "SSHA": _salted("SSHA"),
    "SSHA256": _salted("SSHA256"),
    "SSHA512": _salted("SSHA512"),
}

# The salted digests by what usually stands before "}": where accounts have them, one is checked at every login, and
# ``parse`` takes longer than the digest.
SALTED: dict[str, Callable[[bytes, bytes], bool]] = {
    f"{{{name}": digests.salted(algorithm, size) for name, (algorithm, size) in _SALTED.items()
}

# {CRYPT} says only "whatever crypt(3) made": the hash itself tells what it costs and how it is counted.
_CRYPT_KINDS = (
    (b"$6$", SCHEMES["SHA512-CRYPT"]),
    (b"$5$", SCHEMES["SHA256-CRYPT"]),
    (b"$2", _BLF_CRYPT),
    (b"$1$", _MD5_CRYPT_SCHEME),
    (b"$y$", _crypt("YESCRYPT")),
)


def _crypt_kind(raw: bytes) -> Scheme:
    return next((scheme for start, scheme in _CRYPT_KINDS if raw.startswith(start)), _CRYPT)
