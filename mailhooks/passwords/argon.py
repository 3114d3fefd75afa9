"""Argon2: new hashes by passlib, checks by libsodium where it can, else by argon2-cffi.

libsodium checks 1.7 times as fast as argon2-cffi (measured, also against Dovecot, which uses it too) but knows only
version 19 of the algorithm; anything else goes to argon2-cffi. Both release the interpreter lock.

A hash takes memory, which may be lacking just when many log in. Both libraries tell that from a wrong password, each in
its own way.
"""

from __future__ import annotations

import errno
import functools
import re
from typing import Any

import nacl.exceptions
import nacl.pwhash
from nacl._sodium import ffi  # type: ignore[import-not-found] # for the errno of libsodium's last failure

from mailhooks.passwords.failure import NotComputed

# The first choice of OWASP's password storage sheet for argon2id: 19 MiB, two passes. A check takes about 20 ms of one
# CPU and 19 MiB, so that two CPUs serve about 100 logins a second and a pool of eight threads holds 152 MiB. Dovecot's
# own default (64 MiB, three passes) costs five times that and is kept when an admin brings it along.
MEMORY_KIB = 19_456
PASSES = 2
_LANES = 1

# A hash that an admin brings may cost at most this much, else one login would stop all others. To pass over
# 2 GiB takes one to two and a half seconds (measured); much more would be "try again" for ever on a busy machine, as a
# login ends after eight.
MAX_MEMORY_KIB = 1_048_576
MAX_PASSES = 64
MAX_KIB_PASSES = 2 * 1_048_576
_MAX_LANES = 64

_FORM = re.compile(
    rb"\$argon2(?:id|i)\$(?:v=(?P<version>16|19)\$)?m=(?P<memory>[0-9]{1,8}),t=(?P<passes>[0-9]{1,4}),p=(?P<lanes>[0-9]{1,3})"
    rb"\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{16,86}"
)
_LIBSODIUM_MAX_BYTES = 127  # crypto_pwhash_STRBYTES less the final NUL
# argon2_error_message() of ARGON2_MEMORY_ALLOCATION_ERROR and ARGON2_THREAD_FAIL.
_OUR_FAILURES = ("Memory allocation error", "Threading failure")

# No password has this hash: the digest is made up. It costs what a new hash costs.
DUMMY = f"$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={_LANES}$bWFpbGhvb2tzLWR1bW15IQ$" + "bm9ib2R5" * 5 + "bm8"


@functools.cache
def _passlib() -> Any:
    # Imported at need: the daemon hashes seldom, and passlib takes long to load.
    from passlib.hash import argon2  # noqa: PLC0415

    return argon2.using(type="ID", memory_cost=MEMORY_KIB, rounds=PASSES, parallelism=_LANES)


def make(password: bytes) -> str:
    """Make a new argon2id hash: $argon2id$v=19$m=…."""
    return str(_passlib().hash(password))


def verify(stored: bytes, password: bytes) -> bool:
    """Tell whether ``password`` has the hash ``stored``. Raises NotComputed."""
    form = _FORM.fullmatch(stored)
    if form is None:
        return False
    if form["version"] == b"19" and len(stored) <= _LIBSODIUM_MAX_BYTES:
        return _verify_with_libsodium(stored, password)
    return _verify_with_argon2_cffi(stored, password)


def _verify_with_libsodium(stored: bytes, password: bytes) -> bool:
    try:
        return nacl.pwhash.verify(stored, password)
    except nacl.exceptions.InvalidkeyError:  # whatever the failure was
        if ffi.errno == errno.ENOMEM:  # a password that is wrong leaves EINVAL (crypto_pwhash_argon2id_str_verify)
            raise NotComputed("no memory for an argon2 hash") from None
        return False


def _verify_with_argon2_cffi(stored: bytes, password: bytes) -> bool:
    # Imported at need, as passlib is.
    from argon2 import low_level  # noqa: PLC0415
    from argon2.exceptions import VerificationError  # noqa: PLC0415

    kind = low_level.Type.ID if stored.startswith(b"$argon2id$") else low_level.Type.I
    try:
        return low_level.verify_secret(stored, password, kind)
    except VerificationError as error:
        if str(error) in _OUR_FAILURES:
            raise NotComputed(f"argon2: {error}") from None
        return False


def problem(stored: bytes) -> str | None:
    """What is wrong with a hash that somebody brings along; None when nothing is."""
    form = _FORM.fullmatch(stored)
    if form is None:
        return "it is not of the form $argon2id$v=19$m=…,t=…,p=…$salt$hash"
    if int(form["memory"]) > MAX_MEMORY_KIB or int(form["passes"]) > MAX_PASSES or int(form["lanes"]) > _MAX_LANES:
        return f"it costs too much: at most m={MAX_MEMORY_KIB},t={MAX_PASSES},p={_MAX_LANES}"
    if int(form["memory"]) * int(form["passes"]) > MAX_KIB_PASSES:
        return f"it takes too long: at most {MAX_KIB_PASSES} for m (KiB of memory) times t (passes)"
    return None


def is_weaker(stored: bytes) -> bool:
    """Tell whether a new hash would cost a guesser more than ``stored`` does."""
    form = _FORM.fullmatch(stored)
    if form is None or not stored.startswith(b"$argon2id$v=19$"):
        return True
    return int(form["memory"]) * int(form["passes"]) < MEMORY_KIB * PASSES
