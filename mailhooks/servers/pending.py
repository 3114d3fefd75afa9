"""Logins that were granted and wait to be collected.

A Dovecot login process hears OK on the auth client socket and hands its connection to imap, pop3 or managesieve. That
process collects the user on the auth master socket with REQUEST, which names the login process (CPID), the id of its
AUTH command and the cookie of its auth client connection (Dovecot: lib-master/master-login-auth.c,
auth/auth-request-handler.c). This is the table between the two sockets.

A login is collected once. It is dropped when the login process cancels it, when its connection ends, and after
``LIFETIME``. The table knows no sockets, and time is an argument.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

LIFETIME = 150.0  # seconds; as long as Dovecot's own processes wait (lib-master/master-interface.h)
MAX_PENDING = 20_000  # logins; one lives for milliseconds, so beyond this the oldest is surely dead


@dataclass(frozen=True, slots=True)
class Login:
    """A granted login: the canonical user and the service it was granted for."""

    user: str
    service: str


class PendingLogins:
    """Granted logins by connection and request id; the oldest stands first."""

    def __init__(self, limit: int = MAX_PENDING) -> None:
        self._limit = limit
        self._key = secrets.token_bytes(32)
        self._logins: dict[tuple[bytes, int], tuple[float, Login]] = {}
        self._ids: dict[bytes, set[int]] = {}

    def __len__(self) -> int:
        return len(self._logins)

    def connection(self, cpid: int, cookie: str) -> bytes:
        """Name the auth client connection of a process.

        A keyed digest, so that how long the table takes to find a name or not tells nothing about a cookie: this is
        what makes the comparison of cookies constant in time.
        """
        return hashlib.blake2b(f"{cpid} {cookie}".encode(), key=self._key, digest_size=16).digest()

    def add(self, connection: bytes, auth_id: int, login: Login, now: float) -> None:
        """Keep a granted login until it is collected; an older one of the same id is forgotten."""
        self.drop(connection, auth_id)
        self._expire(now, self._limit - 1)
        self._logins[connection, auth_id] = (now + LIFETIME, login)
        self._ids.setdefault(connection, set()).add(auth_id)

    def take(self, connection: bytes, auth_id: int, now: float) -> Login | None:
        """Collect a login: the first time the login itself, None ever after."""
        self._expire(now, self._limit)
        return self.drop(connection, auth_id)

    def drop(self, connection: bytes, auth_id: int) -> Login | None:
        """Forget one login; return it if it was there."""
        entry = self._logins.pop((connection, auth_id), None)
        if entry is None:
            return None
        ids = self._ids[connection]
        ids.discard(auth_id)
        if not ids:
            del self._ids[connection]
        return entry[1]

    def drop_connection(self, connection: bytes) -> None:
        """Forget every login of a connection that ended."""
        for auth_id in self._ids.pop(connection, ()):
            del self._logins[connection, auth_id]

    def _expire(self, now: float, keep: int) -> None:
        while self._logins:
            key = next(iter(self._logins))
            if self._logins[key][0] > now and len(self._logins) <= keep:
                return
            self.drop(*key)
