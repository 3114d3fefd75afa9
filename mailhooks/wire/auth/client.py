"""The auth client protocol: Dovecot's login processes, Postfix and ``doveadm auth`` ask whether a login is good.

Sources: src/lib-auth/auth-client-interface.h and auth-client-request.c of Dovecot, src/auth/auth-client-connection.c
for the stock server, src/xsasl/xsasl_dovecot_server.c of Postfix.

Rules
    The server may say its whole greeting at once: VERSION, at least one MECH *before* SPID, CUID, COOKIE, DONE last. A
    word that the client does not know ends the handshake, so there are no others.
    ``resp=`` is the initial response in base64; present but empty is the same as absent. Base64 that is none is no
    fault of the protocol, the stock server answers it with FAIL: such messages come marked ``bad_base64``.
    Challenges always have their third field, empty or not. Of FAIL, Dovecot understands ``code=`` and Postfix nothing.

What it does not do: SASL itself (``mailhooks.wire.sasl``), channel binding, ``auth-legacy`` listeners.
"""

from __future__ import annotations

from base64 import b64encode
from binascii import a2b_base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from mailhooks.wire import tabs
from mailhooks.wire.auth.shared import (
    MAX_LINE,
    Commands,
    Generation,
    Version,
    generation,
    identifier,
    in_clear_from_here,
    message,
    parameters,
    service,
    version,
)
from mailhooks.wire.errors import WireError
from mailhooks.wire.lines import MessageParser
from mailhooks.wire.sentence import clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MINOR = 2  # Dovecot 2.3's; from 3 on, clients of 2.4 would expect to be asked about channel binding
COOKIE_DIGITS = 32  # hexadecimal: AUTH_CLIENT_COOKIE_SIZE is 16 bytes, a shorter one arrives as zeros

Code = Literal["temp_fail", "authz_fail", "user_disabled", "pass_expired", "invalid_base64"]


@dataclass(frozen=True, slots=True)
class Cpid:
    """Who the client is: the process id of a login process, which names its pending logins."""

    pid: int


@dataclass(frozen=True, slots=True)
class AuthRequest:
    """The beginning of a login. ``parameters`` are as sent but for ``resp``, flags with an empty value."""

    id: int
    mechanism: str
    service: str
    parameters: dict[str, str]
    resp: bytes | None = field(default=None, repr=False)
    bad_base64: bool = False

    @property
    def secured(self) -> bool:
        """Plaintext mechanisms may be used: TLS, or a connection that the client trusts."""
        return "secured" in self.parameters

    @property
    def tls(self) -> bool:
        """The connection is encrypted for certain; Postfix never says so."""
        return self.parameters.get("secured") == "tls"

    @property
    def in_clear(self) -> bool:
        """A password in it has passed the network unprotected, though Dovecot holds the connection for a local one."""
        return self.mechanism in {"PLAIN", "LOGIN"} and in_clear_from_here(self.parameters)

    @property
    def nologin(self) -> bool:
        """Nobody will collect the login on the master socket."""
        return "nologin" in self.parameters

    @property
    def final_resp_ok(self) -> bool:
        """The last message of a mechanism (SCRAM) may come with OK, in ``resp=``."""
        return "final-resp-ok" in self.parameters

    @property
    def generation(self) -> Generation:
        """Which Dovecot asks; Postfix speaks as 2.3."""
        return generation(self.parameters)


@dataclass(frozen=True, slots=True)
class Continue:
    """The client's answer to a challenge."""

    id: int
    data: bytes = field(repr=False)
    bad_base64: bool = False


@dataclass(frozen=True, slots=True)
class Cancel:
    """The client is not interested any more."""

    id: int


ClientMessage = Version | Cpid | AuthRequest | Continue | Cancel


class ClientParser(MessageParser[ClientMessage]):
    """Cuts a stream into what an auth client says."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(MAX_LINE, parse_client_line)


def parse_client_line(line: bytes) -> ClientMessage:
    """Parse one line without its LF."""
    return message(_COMMANDS, line)


def greeting(mechanisms: Iterable[Sequence[str]], spid: int, cuid: int, cookie: str) -> bytes:
    """Make the server's side of the handshake; each mechanism is its name and its flags (``plaintext``, …).

    ``spid`` is the same on all sockets of one run and another at the next, ``cuid`` another for each connection.
    """
    offers = [tabs.join("MECH", *mechanism) for mechanism in mechanisms]
    if not offers or spid <= 0 or len(cookie) != COOKIE_DIGITS:
        raise ValueError("a greeting has a mechanism, a positive SPID and a cookie of 32 digits")
    return b"".join(
        [
            tabs.join("VERSION", "1", str(MINOR)),
            *offers,
            tabs.join("SPID", str(spid)),
            tabs.join("CUID", str(cuid)),
            tabs.join("COOKIE", cookie),
            tabs.join("DONE"),
        ]
    )


def challenge(number: int, data: bytes) -> bytes:
    """Make the reply that asks for more."""
    return _line("CONT", str(number), b64encode(data).decode("ascii"))


def success(number: int, user: str, *, resp: bytes | None = None, **fields: str) -> bytes:
    """Make the reply for a good login; ``resp`` only where the mechanism has a last message and the client takes it.

    Postfix unescapes nothing: a user for it must need no escaping.
    """
    extra = [f"{name}={value}" for name, value in fields.items()]
    if resp is not None:
        extra.append(f"resp={b64encode(resp).decode('ascii')}")
    return _line("OK", str(number), f"user={user}", *extra)


def failure(number: int, *, user: str | None = None, code: Code | None = None, reason: str | None = None) -> bytes:
    """Make the reply for a login that is not good; the reason is shown to the user."""
    fields = []
    if user:
        fields.append(f"user={user}")
    if code:
        fields.append(f"code={code}")
    if reason:
        fields.append(f"reason={clean(reason, 'refused')}")
    return _line("FAIL", str(number), *fields)


def cancelled(number: int) -> bytes:
    """Make the reply to CANCEL, for clients of minor version 4 and later only: older ones do not know the word."""
    return _line("CANCELLED", str(number))


def _line(*fields: str) -> bytes:
    line = tabs.join(*fields)
    if len(line) > MAX_LINE:
        raise WireError("oversized", f"a reply is longer than {MAX_LINE} bytes")
    return line


def _cpid(fields: list[str]) -> Cpid:
    return Cpid(identifier(fields))


def _auth(fields: list[str]) -> AuthRequest:
    number = identifier(fields)
    mechanism = fields[2].upper() if len(fields) > 2 else ""  # noqa: PLR2004 - AUTH, id, mechanism
    given = parameters(fields[3:])
    encoded = given.pop("resp", "")
    resp = _decode(encoded) if encoded else None
    return AuthRequest(number, mechanism, service(given), given, resp, bad_base64=bool(encoded) and resp is None)


def _continue(fields: list[str]) -> Continue:
    number = identifier(fields)
    if len(fields) < 3:  # noqa: PLR2004 - CONT, id, data; what 2.4 adds about channel binding is not asked for
        raise WireError("field", "CONT without its data")
    data = _decode(fields[2])
    return Continue(number, data or b"", bad_base64=data is None)


def _cancel(fields: list[str]) -> Cancel:
    return Cancel(identifier(fields))


def _decode(encoded: str) -> bytes | None:
    """Return what the base64 stands for, None when it is none."""
    if len(encoded) % 4:  # strict mode forgives one = too many
        return None
    try:
        return a2b_base64(encoded, strict_mode=True)
    except ValueError:
        return None


_COMMANDS: Commands[ClientMessage] = {
    "VERSION": version,
    "CPID": _cpid,
    "AUTH": _auth,
    "CONT": _continue,
    "CANCEL": _cancel,
}
