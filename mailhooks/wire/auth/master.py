"""The auth master protocol: Dovecot's mail processes, lmtp and doveadm ask who a user is.

Sources: src/lib-auth/auth-master.c and src/lib-master/master-login-auth.c of Dovecot, and
src/auth/auth-master-connection.c for the stock server.

Rules
    The server says VERSION and SPID at once; without VERSION imap aborts, with CUID it is taken for the other socket.
    A line of the server is at most 8,192 bytes with its LF, else the client drops it and mail waits.
    FAIL is for what cannot be said now, NOTFOUND bounces the mail. A reason of FAIL is shown to the user.

What it does not do: the anvil penalty, ``auth_token`` for sessions of others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mailhooks.wire import tabs
from mailhooks.wire.auth.shared import (
    MAX_LINE,
    Commands,
    Generation,
    Version,
    generation,
    identifier,
    message,
    parameters,
    service,
    version,
)
from mailhooks.wire.errors import WireError
from mailhooks.wire.integers import unsigned
from mailhooks.wire.lines import MessageParser
from mailhooks.wire.sentence import clean

if TYPE_CHECKING:
    from collections.abc import Mapping

MINOR = 1  # Dovecot 2.3's
MAX_REPLY_LINE = 8191  # bytes with the LF: AUTH_MASTER_MAX_LINE_LENGTH less the NUL that ends it in the client


@dataclass(frozen=True, slots=True)
class UserRequest:
    """Who is this user? (userdb)"""  # noqa: D400, D415 - the question

    id: int
    user: str
    service: str
    generation: Generation
    parameters: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PassRequest:
    """What are this user's credentials? (passdb)"""  # noqa: D400, D415 - the question

    id: int
    user: str
    service: str
    generation: Generation
    parameters: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ListRequest:
    """Which users match the mask, in which ``*`` and ``?`` stand for others?"""  # noqa: D400 - the question

    id: int
    mask: str
    service: str


@dataclass(frozen=True, slots=True)
class CacheFlush:
    """Forget what is remembered of these users, of all when there are none."""

    id: int
    users: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LoginRequest:
    """A mail process collects a login that was granted to the login process ``cpid`` as ``auth_id``."""

    id: int
    cpid: int
    auth_id: int
    cookie: str = field(repr=False)
    session_pid: int | None = None
    auth_token: bool = False


MasterMessage = Version | UserRequest | PassRequest | ListRequest | CacheFlush | LoginRequest


class MasterParser(MessageParser[MasterMessage]):
    """Cuts a stream into what an auth master client says."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(MAX_LINE, parse_master_line)


def parse_master_line(line: bytes) -> MasterMessage:
    """Parse one line without its LF."""
    return message(_COMMANDS, line)


def master_greeting(spid: int) -> bytes:
    """Make the server's side of the handshake."""
    if spid <= 0:
        raise ValueError("a greeting has a positive SPID")
    return tabs.join("VERSION", "1", str(MINOR)) + tabs.join("SPID", str(spid))


def user_reply(number: int, user: str, fields: Mapping[str, str]) -> bytes:
    """Make the reply with a user's fields; ``WireError`` when the client would not take so long a line."""
    return _line("USER", str(number), user, *(f"{name}={value}" for name, value in fields.items()))


def pass_reply(number: int, user: str, fields: Mapping[str, str]) -> bytes:
    """Make the reply with a user's credentials."""
    return _line("PASS", str(number), f"user={user}", *(f"{name}={value}" for name, value in fields.items()))


def not_found(number: int) -> bytes:
    """Make the reply for a user who positively does not exist."""
    return _line("NOTFOUND", str(number))


def fail(number: int, reason: str | None = None) -> bytes:
    """Make the reply for what cannot be answered, or not to this peer."""
    return _line("FAIL", str(number), *([f"reason={clean(reason, 'refused')}"] if reason else []))


def list_item(number: int, user: str) -> bytes:
    """Make one row of the reply to LIST."""
    return _line("LIST", str(number), user)


def list_done(number: int, ok: bool = True) -> bytes:
    """Make the end of the reply to LIST; the third field is there in any case."""
    return _line("DONE", str(number), "" if ok else "fail")


def flushed(number: int, count: int) -> bytes:
    """Make the reply to CACHE-FLUSH."""
    return _line("OK", str(number), str(count))


def _line(*fields: str) -> bytes:
    line = tabs.join(*fields)
    if len(line) > MAX_REPLY_LINE:
        raise WireError("oversized", f"a reply is longer than {MAX_REPLY_LINE} bytes")
    return line


def _user(fields: list[str]) -> UserRequest:
    return UserRequest(*_lookup(fields))


def _pass(fields: list[str]) -> PassRequest:
    return PassRequest(*_lookup(fields))


def _lookup(fields: list[str]) -> tuple[int, str, str, Generation, dict[str, str]]:
    number = identifier(fields)
    user = fields[2] if len(fields) > 2 else ""  # noqa: PLR2004 - USER, id, user
    if not user:
        raise WireError("field", "a lookup without a user")
    given = parameters(fields[3:])
    return number, user, service(given), generation(given), given


def _list(fields: list[str]) -> ListRequest:
    given = parameters(fields[2:])
    return ListRequest(identifier(fields), given.get("user") or "*", given.get("protocol") or given.get("service", ""))


def _cache_flush(fields: list[str]) -> CacheFlush:
    return CacheFlush(identifier(fields), tuple(fields[2:]))


def _request(fields: list[str]) -> LoginRequest:
    if len(fields) < 5:  # noqa: PLR2004 - REQUEST, id, cpid, auth id, cookie
        raise WireError("field", "REQUEST without its four fields")
    given = parameters(fields[5:])
    return LoginRequest(
        identifier(fields),
        cpid=unsigned(fields[2]),
        auth_id=unsigned(fields[3]),
        cookie=fields[4],
        session_pid=unsigned(given["session_pid"]) if "session_pid" in given else None,
        auth_token="request_auth_token" in given,
    )


_COMMANDS: Commands[MasterMessage] = {
    "VERSION": version,
    "USER": _user,
    "PASS": _pass,
    "LIST": _list,
    "CACHE-FLUSH": _cache_flush,
    "REQUEST": _request,
}
