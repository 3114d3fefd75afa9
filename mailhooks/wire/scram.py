"""SCRAM-SHA-1 and SCRAM-SHA-256, server side (RFC 5802, RFC 7677): the grammar and the sums are those of ``scramp``.

The client names itself, is told a salt and a number of rounds, and proves that it knows the password; the server's last
message proves that the server knows the keys. Whether that message comes with OK or as a challenge of its own is the
auth protocol's business (``final-resp-ok``). A proof that does not fit is a ``Proof``, too: what the client hears, and
when, is decided where wrong passwords are.

What it does not do: channel binding (``-PLUS``), an authorization identity (scramp knows none), extensions.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Mapping
from functools import partial

from scramp import ScramException, ScramMechanism

from mailhooks.wire.sasl import Challenge, Mechanism, Proof, Rejected, Step, Undecided

# The keys of a login for a mechanism, ``iterations,salt,StoredKey,ServerKey``; None when they cannot be looked up now.
Keys = Callable[[str, str], str | None]

NAMES = ("SCRAM-SHA-256", "SCRAM-SHA-1")  # the stronger first, as clients are to find them
FLAGS = ("mutual-auth",)
MAX_MESSAGE = 8192  # bytes: as long as Dovecot's login processes take; the nonce comes back in a line of 16,384

_STRANGE = "a message that is no SCRAM of ours"


def mechanisms(keys: Keys) -> Mapping[str, Mechanism]:
    """Return what to offer where ``keys(mechanism, login)`` knows the accounts' keys."""
    return {name: Mechanism(FLAGS, partial(Scram, name, keys)) for name in NAMES}


class Scram:
    """One login by SCRAM."""

    __slots__ = ("_keys", "_login", "_lookup", "_name", "_server")

    def __init__(self, name: str, keys: Keys, *, nonce: str | None = None) -> None:
        """Begin; ``nonce`` is the server's part of the nonce, which only a test chooses."""
        self._name = name
        self._lookup = keys
        self._login: str | None = None
        self._keys: str | None = None
        self._server = ScramMechanism(name).make_server(self._found, s_nonce=nonce)

    def step(self, data: bytes | None) -> Step:
        """Take the client's first message, then its proof."""
        if data is None:
            return Challenge(b"")
        if len(data) > MAX_MESSAGE:
            return Rejected("a SCRAM message that is too long")
        try:
            message = data.decode()
        except UnicodeDecodeError:
            return Rejected("a SCRAM message that is not UTF-8")
        return self._first(message) if self._login is None else self._final(message, self._login)

    def _first(self, message: str) -> Step:
        try:
            self._server.set_client_first(message)
            return Challenge(self._server.get_server_first().encode())
        except ScramException:
            if self._login is not None and self._keys is None:
                return Undecided(self._login)
            return Rejected(_STRANGE)

    def _final(self, message: str, login: str) -> Step:
        keys = self._keys or ""
        try:
            self._server.set_client_final(message)
        except ScramException as error:
            if error.server_error is None or error.server_error.value != "invalid-proof":
                return Rejected(_STRANGE)
            return Proof(login, keys, message, None)
        return Proof(login, keys, message, self._server.get_server_final().encode())

    def _found(self, login: str) -> tuple[bytes, bytes, bytes, int] | None:
        self._login = login
        self._keys = self._lookup(self._name, login)
        if self._keys is None:
            return None
        iterations, *keys = self._keys.split(",")
        salt, stored, server = map(b64decode, keys)
        return salt, stored, server, int(iterations)
