"""Dovecot's auth master protocol (lib-auth/auth-master.c, version 1.1): userdb for lmtp, doveadm, imap and the rest.

VERSION and SPID go out at connect; the SPID is that of the auth client sockets. REQUEST collects a login that was
granted there (``pending``), USER and LIST tell who lives here, PASS whether somebody could log in, CACHE-FLUSH forgets
verified credentials. Ids are echoed as they came.

NOTFOUND is a positive answer: lmtp bounces mail for it. Whatever cannot be answered is FAIL. Who may ask: PASS and
LIST only root, USER and CACHE-FLUSH root and the configured users, by the credentials of the unix socket; REQUEST
whoever knows the cookie. PASS never hands out a hash: nobody who keeps to topology 3.A needs one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailhooks import passdb, userdb
from mailhooks.address import fold
from mailhooks.servers.base import Server
from mailhooks.servers.in_order import InOrder
from mailhooks.store import Unavailable
from mailhooks.wire import auth as wire
from mailhooks.wire.errors import WireError

if TYPE_CHECKING:
    from collections.abc import Collection

    from twisted.internet.interfaces import IReactorTime

    from mailhooks.counters import Counters
    from mailhooks.passwords import VerifiedCache
    from mailhooks.servers.pending import PendingLogins
    from mailhooks.store import Store

ROOT = 0
MINOR_24 = 3  # what Dovecot 2.4 says in VERSION; 2.3 says 0 or 1

Lookup = wire.LoginRequest | wire.UserRequest | wire.PassRequest | wire.CacheFlush
_COMMANDS = {  # as they are counted
    wire.LoginRequest: "request",
    wire.UserRequest: "user",
    wire.PassRequest: "pass",
    wire.CacheFlush: "cache-flush",
}

Answer = tuple[str, bytes]  # the result as it is counted, and the reply


class AuthMasterConnection(InOrder):
    """One lmtp, imap, pop3, managesieve, quota-status or doveadm."""

    server: AuthMasterServer

    def __init__(self, server: AuthMasterServer) -> None:
        super().__init__(server)
        self.parser = wire.MasterParser()
        self._minor: int | None = None

    def greeting(self) -> bytes:
        """VERSION, without which imap aborts, and SPID."""
        return wire.master_greeting(self.server.spid)

    def take(self, message: wire.MasterMessage) -> bytes:
        """Answer one command."""
        if isinstance(message, wire.Version):
            self._minor = message.minor
            return b""
        if self._minor is None:
            raise WireError("order", "a command before VERSION")
        return self._list(message) if isinstance(message, wire.ListRequest) else self._at_hand(message)

    def _at_hand(self, asked: Lookup) -> bytes:
        """Answer and count; FAIL for whatever keeps us from answering."""
        began = self.server.clock.seconds()
        try:
            result, reply = self._find(asked)
        except Unavailable:
            result, reply = "temporary", wire.fail(asked.id)
        except Exception:  # noqa: BLE001 - our own fault must not bounce mail, nor end the session that asked
            self.server.fault("FAIL answered")
            result, reply = "temporary", wire.fail(asked.id)
        about = getattr(asked, "user", "") if self.counters.trace is not None else ""
        self.counters.answered(_COMMANDS[type(asked)], result, self.server.clock.seconds() - began, about)
        return reply

    def _find(self, asked: Lookup) -> Answer:
        match asked:
            case wire.LoginRequest():
                return self._collect(asked)
            case wire.UserRequest():
                return self._user(asked)
            case wire.PassRequest():
                return self._pass(asked)
            case wire.CacheFlush():
                return self._flush(asked)

    def _collect(self, asked: wire.LoginRequest) -> Answer:
        pending = self.server.pending_logins
        login = pending.take(pending.connection(asked.cpid, asked.cookie), asked.auth_id, self.server.clock.seconds())
        if login is None:  # as the stock server says it: never granted, collected before, or too late
            return "refused", wire.fail(asked.id)
        mailbox = self.server.store.mailbox(login.user)
        if mailbox is not None and passdb.refusal_of(mailbox, passdb.service_of(login.service)):  # closed just now
            return "refused", wire.fail(asked.id)
        return self._fields(asked.id, login.user, login.service, self._generation("2.3"))

    def _user(self, asked: wire.UserRequest) -> Answer:
        if not self._may(self.server.uids):
            return "refused", wire.fail(asked.id)
        return self._fields(asked.id, asked.user, asked.service, self._generation(asked.generation))

    def _fields(self, number: int, user: str, service: str, generation: userdb.Generation) -> Answer:
        fields = userdb.fields(self.server.store, user, self.server.mail, generation, service=service)
        if fields is None:
            return "notfound", wire.not_found(number)
        return "found", wire.user_reply(number, fold(user) or user, fields)

    def _pass(self, asked: wire.PassRequest) -> Answer:
        if not self._may(()):
            return "refused", wire.fail(asked.id)
        user = fold(asked.user)
        mailbox = self.server.store.mailbox(user) if user else None
        if mailbox is None or passdb.refusal_of(mailbox, passdb.service_of(asked.service)):
            return "notfound", wire.not_found(asked.id)
        return "found", wire.pass_reply(asked.id, mailbox.address, {})

    def _flush(self, asked: wire.CacheFlush) -> Answer:
        if not self._may(self.server.uids):
            return "refused", wire.fail(asked.id)
        users = [fold(user) or user for user in asked.users]
        return "ok", wire.flushed(asked.id, self.server.cache.flush(users))

    def _list(self, asked: wire.ListRequest) -> bytes:
        if not self._may(()):
            self.counters.answered("list", "refused", 0.0)
            return wire.list_done(asked.id, ok=False)
        began = self.server.clock.seconds()

        def last(error: Exception | None) -> bytes:
            if error is not None and not isinstance(error, Unavailable):
                self.server.fault("LIST ended with fail")
            seconds = self.server.clock.seconds() - began
            self.counters.answered("list", "temporary" if error else "found", seconds)
            return wire.list_done(asked.id, ok=error is None)

        users = userdb.users(self.server.store, asked.mask)
        self.stream((wire.list_item(asked.id, user) for user in users), last)
        return b""

    def _generation(self, asked: userdb.Generation) -> userdb.Generation:
        """The Dovecot that asks: 2.4 says ``protocol=``, or a higher version where it has no such parameter."""
        return "2.4" if self._minor is not None and self._minor >= MINOR_24 else asked

    def _may(self, uids: Collection[int | None]) -> bool:
        """Whether the peer is root or one of these."""
        uid = self.peer_uid
        return uid == ROOT or uid in uids


class AuthMasterServer(Server):
    """An auth master hook: ``auth_master`` for REQUEST, ``auth_userdb`` for the rest; both answer everything."""

    def __init__(
        self,
        hook: str,
        clock: IReactorTime,
        counters: Counters,
        *,
        store: Store,
        pending: PendingLogins,
        cache: VerifiedCache,
        spid: int,
        mail: userdb.MailSettings,
        uids: Collection[int] = (),
    ) -> None:
        super().__init__(hook, clock, counters.hooks[hook])
        self.store = store
        self.pending_logins = pending
        self.cache = cache
        self.spid = spid
        self.mail = mail
        self.uids = {*uids, None}  # besides root; None: behind TLS, which has checked the client's certificate

    def connection(self) -> AuthMasterConnection:
        """Make the protocol of a new connection."""
        return AuthMasterConnection(self)
