"""SASL mechanisms, server side: what is said until the credentials are known.

An exchange is given the client's messages one by one and says after each what comes next: a ``Challenge`` for the
client, the ``Credentials`` to be checked, a ``Proof`` of the password from a mechanism that does not tell it
(``mailhooks.wire.scram``), or ``Rejected`` because the message is none of its mechanism. Whether somebody may log in is
not known here. A mechanism is one class and a word in ``MECHANISMS``.

Text is UTF-8 (RFC 4616) and taken as it is: what was hashed was not prepared either.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class Challenge:
    """What the client is asked next."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who logs in with which password, and as whom (empty: as oneself). Neither login nor password is empty."""

    login: str
    authzid: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Rejected:
    """The client's message does not keep to the mechanism; the reason is for a log and repeats nothing of it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Proof:
    """Who logs in, and whether the proof fits the keys that it was checked against."""

    login: str
    keys: str = field(repr=False)
    message: str = field(repr=False)  # the proof itself: no two logins have the same
    final: bytes | None = field(repr=False)  # what the server says last; None: the proof does not fit


@dataclass(frozen=True, slots=True)
class Undecided:
    """What the login is to be checked against cannot be looked up now."""

    login: str


Step = Challenge | Credentials | Proof | Rejected | Undecided


class Exchange(Protocol):
    """One login by one mechanism."""

    def step(self, data: bytes | None) -> Step:
        """Take the client's next message; None only at the beginning, when there is no initial response."""


@dataclass(frozen=True, slots=True)
class Mechanism:
    """What is offered to clients."""

    flags: tuple[str, ...]  # of the MECH line; ``plaintext`` keeps it off connections without encryption
    begin: Callable[[], Exchange]


class Plain:
    """PLAIN (RFC 4616): authorization identity, login and password in one message, NUL between them."""

    __slots__ = ()

    def step(self, data: bytes | None) -> Step:
        """Ask for the one message, then take it apart."""
        if data is None:
            return Challenge(b"")
        parts = data.split(b"\0")
        if len(parts) != 3:  # noqa: PLR2004 - the three of the docstring
            return Rejected("PLAIN without its three parts")
        return _credentials(parts[1], parts[2], authzid=parts[0])


class Login:
    """LOGIN (draft-murchison-sasl-login): login and password in a message each. An initial response is the login."""

    __slots__ = ("_login",)

    def __init__(self) -> None:
        self._login: bytes | None = None

    def step(self, data: bytes | None) -> Step:
        """Ask for the login, then for the password; the words are those that clients wait for."""
        if data is None:
            return Challenge(b"Username:")
        if self._login is None:
            self._login = data
            return Challenge(b"Password:")
        return _credentials(self._login, data)


MECHANISMS: Mapping[str, Mechanism] = {
    "PLAIN": Mechanism(("plaintext",), Plain),
    "LOGIN": Mechanism(("plaintext",), Login),
}


def begin(mechanism: str) -> Exchange:
    """Begin a login; KeyError for a mechanism that is not in ``MECHANISMS``."""
    return MECHANISMS[mechanism].begin()


def _credentials(login: bytes, password: bytes, *, authzid: bytes = b"") -> Credentials | Rejected:
    if not login or not password:
        return Rejected("an empty login or password")
    try:
        return Credentials(login.decode(), authzid.decode(), password.decode())
    except UnicodeDecodeError:
        return Rejected("a login or password that is not UTF-8")
