"""Dovecot's auth client protocol (auth-client-interface.h, version 1.2): SASL logins for Dovecot and Postfix.

The whole greeting goes out at connect, before the client has said anything and without a look at the store: a login
process without a greeting shows its clients nothing, and a Postfix smtpd without one dies. MECH stands before SPID,
DONE at the end. Many requests may be under way on a connection; each is answered by its id as soon as its answer is
there, so a wrong password, which is held back, holds back nobody else.

Two outages. Dovecot's login processes understand ``FAIL code=temp_fail``. Postfix takes every FAIL for a wrong
password; only a closed connection is temporary to it (xsasl_dovecot_server.c). Hence two sockets, two ``Outage``s.

SCRAM has a final message of the server: it comes with OK where the client takes that (``final-resp-ok``), else as one
more challenge, whose empty answer asks for the OK.

Never: ``resp=`` behind OK for mechanisms without a final message (2.4 would wait for the client), an OK without
``user=`` (Postfix refuses it), a reason that was not written for people.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from typing import TYPE_CHECKING, Any, Literal

from mailhooks.passdb import Accepted, Reason, Refused
from mailhooks.servers.attempt import TEMPORARY, Attempt
from mailhooks.servers.base import Connection, Server
from mailhooks.servers.check import Check
from mailhooks.servers.pending import Login, PendingLogins
from mailhooks.wire import auth as wire
from mailhooks.wire import sasl
from mailhooks.wire.auth.whole import plain_login
from mailhooks.wire.errors import WireError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twisted.internet.interfaces import IReactorTime

    from mailhooks.counters import Counters
    from mailhooks.servers.attempt import Outcome
    from mailhooks.servers.authenticator import Authenticator

MAX_UNDER_WAY = 1000  # requests of one connection; a login process serves as many clients (client_limit)
EXCHANGE_SECONDS = 150.0  # a client that has not answered its challenge by then may lose its place to another
MAX_NAME_LOGGED = 320  # characters of a login that a FAIL repeats for the peer's log

MINOR_CANCELLED = 4  # from this version on (Dovecot 2.4.4), CANCEL is answered; before, the answer is unknown

_BAD_INITIAL = "Invalid base64 data in initial response"
_IN_CLEAR = "Passwords are taken over TLS only: switch on SSL/TLS or STARTTLS in your mail program"
_BAD_CONTINUED = "Invalid base64 data in continued response"


class Outage(StrEnum):
    """What a client hears when it cannot be told yes or no."""

    TEMP_FAIL = "temp_fail"  # Dovecot: FAIL code=temp_fail
    CLOSE = "close"  # Postfix: the connection is closed


@dataclass(slots=True)
class UnderWay:
    """A request that is not answered: either the client's turn, or a check is running."""

    request: wire.AuthRequest
    exchange: sasl.Exchange
    since: float
    check: Check | None = None
    final: bytes | None = None  # what the server says last
    granted: Attempt | None = None  # the server has said it, and the client is to ask for its OK


class AuthClientConnection(Connection):
    """One login process of Dovecot, one smtpd of Postfix, or ``doveadm auth``."""

    server: AuthClientServer
    max_pending = MAX_UNDER_WAY  # never paused, so that CANCEL is heard; beyond it requests are answered at once

    def __init__(self, server: AuthClientServer, cuid: int) -> None:
        super().__init__(server)
        self.parser = wire.ClientParser()
        self._cuid = cuid
        self._cookie = secrets.token_hex(16)
        self._minor = 0
        self._name: bytes | None = None  # in the table of pending logins; known after CPID
        self._under_way: dict[int, UnderWay] = {}  # the oldest first
        self._grant = server.authenticator.quick.grant
        self._accepted = server.counters.request("", "accepted")

    def greeting(self) -> bytes:
        """All of the handshake's server side."""
        return wire.greeting(self.server.offers, self.server.spid, self._cuid, self._cookie)

    def lost(self) -> None:
        """Stop what is under way; granted logins that were not collected go with the client."""
        for under_way in self._under_way.values():
            if under_way.check is not None:
                under_way.check.cancel()
        self._under_way.clear()
        let_go = self.server.draining and self.closing_since is not None  # by us: what was granted will be collected
        if self._name is not None and not let_go:
            self.server.pending_logins.drop_connection(self._name)

    @property
    def busy(self) -> bool:
        """Whether a login is under way, also while it is the client's turn."""
        return bool(self._under_way)

    def give_up(self) -> None:
        """Answer "try again" to what is under way, and end."""
        replies = []
        for under_way in list(self._under_way.values()):
            if under_way.check is not None:
                under_way.check.cancel()
            replies.append(self._unanswered(under_way.request, ""))
        self._under_way.clear()
        self.send(b"".join(replies))
        self.close()

    def dataReceived(self, data: bytes) -> None:
        """Grant at once what is one whole line and plainly right; all else goes the general way, from its beginning."""
        if self.half_since is None and not self.closing and self._name is not None and (reply := self._quick(data)):
            self.transport.write(reply)
            if self.server.draining:
                self.close_if_drained()
        else:
            super().dataReceived(data)

    def answer(self, message: wire.ClientMessage) -> bytes:
        """Take one line of the client."""
        match message:
            case wire.AuthRequest():
                return self._begin(message)
            case wire.Continue():
                return self._continue(message)
            case wire.Cancel(number):
                return self._cancel(number)
            case wire.Version(_, minor):
                self._minor = minor
            case wire.Cpid(pid):
                self._name = self.server.pending_logins.connection(pid, self._cookie)
        return b""

    def _quick(self, data: bytes) -> bytes:
        server, under_way = self.server, self._under_way
        since = server.clock.seconds()
        asked = plain_login(data)
        if asked is None or (under_way and (int(asked[0]) in under_way or len(under_way) >= MAX_UNDER_WAY)):
            return b""
        user = self._grant(asked)
        if user is None:
            return b""
        number, service, nologin = asked[:3]
        now = server.clock.seconds()
        self._accepted.value += 1
        self.counters.seconds.observe(now - since)
        if self.counters.trace is not None:
            self.counters.trace("", "accepted", now - since, user)
        if not nologin and self._name is not None:
            server.pending_logins.add(self._name, int(number), Login(user, service), now)
        return f"OK\t{number}\tuser={user}\n".encode()

    def _begin(self, request: wire.AuthRequest) -> bytes:
        if self._name is None or request.id in self._under_way:
            raise WireError("order", "an AUTH before CPID, or with the id of another that is under way")
        mechanism = self.server.mechanisms.get(request.mechanism)
        if mechanism is None:
            raise WireError("field", "a mechanism that was not offered")
        if request.in_clear and self.server.outage is Outage.TEMP_FAIL:  # Postfix sees to TLS itself, and tells less
            self._count_invalid(request)
            return wire.failure(request.id, reason=_IN_CLEAR)
        if request.bad_base64:
            return self._rubbish(request, _BAD_INITIAL)
        now = self.server.clock.seconds()
        if len(self._under_way) >= MAX_UNDER_WAY and not self._forget_silent(now):
            return self._unanswered(request, "")
        under_way = UnderWay(request, mechanism.begin(), now)
        self._under_way[request.id] = under_way
        return self._step(under_way, request.resp)

    def _continue(self, message: wire.Continue) -> bytes:
        under_way = self._under_way.get(message.id)
        if under_way is None:
            return wire.failure(message.id, reason="Authentication request timed out")
        if under_way.check is not None:
            raise WireError("order", "a CONT that nobody asked for")
        if message.bad_base64:
            del self._under_way[message.id]
            return self._rubbish(under_way.request, _BAD_CONTINUED)
        if under_way.granted is not None:
            return self._last(under_way, under_way.granted, message.data)
        return self._step(under_way, message.data)

    def _rubbish(self, request: wire.AuthRequest, reason: str) -> bytes:
        """What is no base64: in the words of the stock server."""
        self._count_invalid(request)
        return wire.failure(request.id, code="invalid_base64", reason=reason)

    def _step(self, under_way: UnderWay, data: bytes | None) -> bytes:
        request = under_way.request
        step = under_way.exchange.step(data)
        if isinstance(step, sasl.Challenge):
            return wire.challenge(request.id, step.data)
        if isinstance(step, sasl.Rejected):
            del self._under_way[request.id]
            self._count_invalid(request)
            return wire.failure(request.id)
        if isinstance(step, sasl.Undecided):
            attempt = _attempt(request, step.login, "")
            return self._reply(under_way, attempt, self.server.authenticator.count(attempt, TEMPORARY))
        if isinstance(step, sasl.Proof):
            under_way.final = step.final
            attempt = _attempt(request, step.login, step.message, keys=step.keys, proven=step.final is not None)
        else:
            attempt = _attempt(request, step.login, step.password, authzid=step.authzid)
        outcome = self.server.authenticator.check(attempt, lambda outcome: self._later(under_way, attempt, outcome))
        if isinstance(outcome, Check):
            under_way.check = outcome
            self.begin()
            return b""
        return self._reply(under_way, attempt, outcome)

    def _later(self, under_way: UnderWay, attempt: Attempt, outcome: Outcome) -> None:
        self.finish(self._reply(under_way, attempt, outcome))

    def _reply(self, under_way: UnderWay, attempt: Attempt, outcome: Outcome) -> bytes:
        """Say what became of a request, and keep a granted login until it is collected."""
        request, final = under_way.request, under_way.final
        if isinstance(outcome, Accepted) and final is not None and not request.final_resp_ok:
            under_way.check, under_way.final, under_way.granted = None, None, attempt
            return wire.challenge(request.id, final)
        del self._under_way[request.id]
        now = self.server.clock.seconds()
        self.counters.answered("", type(outcome).__name__.lower(), now - under_way.since, attempt.login)
        if isinstance(outcome, Accepted):
            if self._name is not None and not request.nologin:
                login = Login(outcome.user, request.service)
                self.server.pending_logins.add(self._name, request.id, login, now)
            return wire.success(request.id, outcome.user, resp=final, **_other_names(outcome))
        login_tried = _for_log(attempt.login)
        if isinstance(outcome, Refused):
            return _refusal(request.id, login_tried, outcome)
        return self._unanswered(request, login_tried)

    def _last(self, under_way: UnderWay, attempt: Attempt, data: bytes) -> bytes:
        """Take the answer to the server's final message: the account may have been closed since that was said."""
        if data:
            del self._under_way[under_way.request.id]
            self._count_invalid(under_way.request)
            return wire.failure(under_way.request.id)
        return self._reply(under_way, attempt, self.server.authenticator.confirm(attempt))

    def _unanswered(self, request: wire.AuthRequest, login: str) -> bytes:
        if self.server.outage is Outage.CLOSE:
            self.close()
            return b""
        return wire.failure(request.id, user=login or None, code="temp_fail")

    def _cancel(self, number: int) -> bytes:
        under_way = self._under_way.pop(number, None)
        if under_way is not None and under_way.check is not None:
            under_way.check.cancel()
            self.pending -= 1  # no more: what this read has to say must not be cut off by the end of the server
        if self._name is not None:
            self.server.pending_logins.drop(self._name, number)
        return wire.cancelled(number) if self._minor >= MINOR_CANCELLED else b""

    def _forget_silent(self, now: float) -> bool:
        """Make room by forgetting an exchange whose client does not answer."""
        for number, under_way in self._under_way.items():
            if under_way.check is None and now - under_way.since >= EXCHANGE_SECONDS:
                del self._under_way[number]
                return True
        return False

    def _count_invalid(self, request: wire.AuthRequest) -> None:
        self.counters.answered("", "invalid", 0.0)
        self.server.authenticator.count_invalid(request.service, request.mechanism)


# What Dovecot tells its client about a right password that does not help; Postfix says the same for every FAIL.
_CODES: Mapping[Reason, Literal["authz_fail", "user_disabled"]] = {
    Reason.SERVICE: "authz_fail",
    Reason.STATE: "user_disabled",
}


def _refusal(number: int, login: str, refused: Refused) -> bytes:
    if refused.text:  # with a code beside it, Dovecot would not show the text
        return wire.failure(number, user=login, reason=refused.text)
    return wire.failure(number, user=login, code=_CODES.get(refused.reason))


def _attempt(request: wire.AuthRequest, login: str, password: str, **more: Any) -> Attempt:
    return Attempt(
        login=login,
        password=password,
        service=request.service,
        network=request.parameters.get("rip"),
        mechanism=request.mechanism,
        **more,
    )


def _other_names(accepted: Accepted) -> dict[str, str]:
    """The fields of OK that say by which name, and by whose password, somebody logged in as ``user=``."""
    names = {"original_user": accepted.login, "auth_user": accepted.master}
    return {name: value for name, value in names.items() if value}


def _for_log(login: str) -> str:
    """A login as the peer may log it: Postfix does not unescape, so nothing that needs escaping."""
    return "".join(character if character.isprintable() else "?" for character in login[:MAX_NAME_LOGGED])


class AuthClientServer(Server):
    """An auth client hook: ``login`` for Dovecot's processes, ``postfix_auth`` for Postfix's."""

    def __init__(
        self,
        hook: str,
        clock: IReactorTime,
        counters: Counters,
        *,
        authenticator: Authenticator,
        pending: PendingLogins,
        spid: int,
        outage: Outage,
        mechanisms: Mapping[str, sasl.Mechanism] = sasl.MECHANISMS,
    ) -> None:
        super().__init__(hook, clock, counters.hooks[hook])
        self.authenticator = authenticator
        self.pending_logins = pending
        self.spid = spid
        self.outage = outage
        self.mechanisms = mechanisms
        # "plaintext" makes login processes offer a mechanism on protected connections only.
        self.offers = [(name, *mechanism.flags) for name, mechanism in mechanisms.items()]
        self._cuids = count(1)

    def connection(self) -> AuthClientConnection:
        """Make the protocol of a new connection."""
        return AuthClientConnection(self, next(self._cuids))


def new_spid() -> int:
    """The name of this start of the auth server: the same on all its sockets, another after the next start.

    Not the process's own id: in a container that would be the same each time.
    """
    return secrets.randbelow(2**31 - 1) + 1
