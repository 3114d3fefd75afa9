"""crypt_r(3) of the system's libcrypt, called so that other threads run meanwhile.

The standard library's crypt module holds the interpreter lock (and is gone in Python 3.13), and so do the pure-Python
hashes of passlib: one such check would stall every lookup for its whole duration. ctypes releases the lock around the
call. libxcrypt serves $1$, $5$, $6$, $2a$/$2b$/$2y$, $y$, $gy$, $7$ and DES; what this machine's libcrypt does not know
is left to passlib.

yescrypt and scrypt take memory. Where it is lacking, libcrypt says what it says to a setting that it does not
understand (EINVAL, crypt-yescrypt.c); to a hash of their form that is our own failure, never a wrong password.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import hmac
import re
import threading
from collections.abc import Callable

from mailhooks.passwords.failure import NotComputed

# struct crypt_data has 32,768 bytes in libxcrypt and 131,232 in glibc's old libcrypt: the larger one serves both.
_CRYPT_DATA_BYTES = 131_232

# crypt(5): yescrypt and gost-yescrypt with parameters, salt and digest; scrypt with eleven characters of parameters.
_TAKES_MEMORY = re.compile(
    rb"\$(?:g?y\$[./A-Za-z0-9]+\$[./A-Za-z0-9]{0,86}|7\$[./A-Za-z0-9]{11}[^$:\n\0]{0,86})\$[./A-Za-z0-9]{43}"
)

_CryptR = Callable[[bytes, bytes, object], bytes | None]


class _Scratch(threading.local):
    """The struct crypt_data of a thread, made once: else 128 KB would be zeroed for every hash."""

    def __init__(self) -> None:
        self.data = ctypes.create_string_buffer(_CRYPT_DATA_BYTES)


_scratch = _Scratch()


@functools.cache
def _crypt_r() -> _CryptR | None:
    for name in ("libcrypt.so.1", "libcrypt.so.2", ctypes.util.find_library("crypt")):
        if name is None:
            continue
        try:
            function = ctypes.CDLL(name).crypt_r
        except (OSError, AttributeError):
            continue
        function.restype = ctypes.c_char_p
        function.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)
        return function
    return None


def crypt(password: bytes, setting: bytes) -> bytes | None:
    """Hash ``password`` as ``setting`` (salt or whole hash) says; None when libcrypt cannot."""
    function = _crypt_r()
    if function is None:
        return None
    made = function(password, setting, _scratch.data)
    # A setting that libcrypt does not understand gives NULL or a text starting with "*" (crypt(5), FAILURE TOKENS).
    return None if made is None or made.startswith(b"*") else made


def verify(password: bytes, stored: bytes) -> bool:
    """Tell whether ``password`` has the crypt(5) hash ``stored``. Raises NotComputed."""
    if b"\0" in stored or not stored:
        return False
    made = crypt(password, stored)
    if made is None:
        if _crypt_r() is not None and _TAKES_MEMORY.fullmatch(stored):
            raise NotComputed("libcrypt made no hash: it lacks memory, or cannot compute this kind")
        return _verify_with_passlib(password, stored)
    return hmac.compare_digest(made, stored)


@functools.cache
def _passlib_context() -> object:
    # Imported at need: with a libcrypt that knows all of them this never runs.
    from passlib.context import CryptContext  # noqa: PLC0415

    return CryptContext(["sha512_crypt", "sha256_crypt", "bcrypt", "md5_crypt", "des_crypt"])


_BCRYPT_MAX_BYTES = 72  # bcrypt reads no more; bcrypt 5 raises instead of cutting


def _verify_with_passlib(password: bytes, stored: bytes) -> bool:
    if stored.startswith(b"$2"):
        password = password[:_BCRYPT_MAX_BYTES]
    try:
        return bool(_passlib_context().verify(password, stored.decode("ascii")))  # type: ignore[attr-defined]
    except (ValueError, TypeError):  # not a hash that passlib knows, or a password it cannot take
        return False
