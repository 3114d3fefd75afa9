"""Puts one process together: the store, the workers, a server for each hook, and the sockets they listen on.

Nothing here answers anything. ``make_service`` checks the whole configuration and builds everything without touching a
socket or the store, so that a wrong configuration is one clear error; ``Service.start`` listens. What only some hooks
need is imported only for them: a process of lookups starts fast and stays small.
"""

# ruff: noqa: PLC0415 - imports for some hooks only, see above

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from mailhooks import userdb
from mailhooks.config import ConfigError
from mailhooks.hooks import AUTH, AUTH_CLIENTS, default_group, enabled
from mailhooks.lifecycle import Binding, Service, policy_settings, read_token
from mailhooks.logins import LoginRules
from mailhooks.policy import UnknownRule
from mailhooks.refresh import Refresher
from mailhooks.renewal import Renewal
from mailhooks.servers.policy import PolicyServer
from mailhooks.servers.rules import Rules
from mailhooks.servers.socketmap import SocketmapServer
from mailhooks.servers.tcp_table import TcpTableServer
from mailhooks.store import Refused, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from mailhooks.config import Config
    from mailhooks.endpoints import Listener
    from mailhooks.hooks import Listeners
    from mailhooks.servers.base import Server
    from mailhooks.servers.throttling import Throttling
    from mailhooks.workers import Writer

METRICS = b"text/plain; version=0.0.4; charset=utf-8"
# How long the reactor thread waits for a store that another process has locked whole; its writers wait elsewhere.
READ_SECONDS = 0.02


def make_service(config: Config, reactor: Any, only: Collection[str] | None = None) -> Service:
    """Build a process for the enabled hooks, or those of them in ``only``. Raises ConfigError, EndpointError."""
    hooks = enabled(config, only, token=bool(read_token(config)))
    open_store = partial(
        Store,
        config.store.url,
        key_file=Path(config.store.key_file),
        delimiter=config.mail.recipient_delimiter,
    )
    try:
        store = open_store(busy_seconds=READ_SECONDS)
    except Refused as error:
        raise ConfigError(f"store.url: {error}") from error
    service = Service(config, reactor, store, Renewal(store, reactor))
    builder = _Builder(service, hooks, open_store)
    builder.lookups()
    builder.policy()
    builder.auth()
    builder.dict()
    if only is None or "policy" in only:  # of several processes exactly one serves policy
        preferences = Path(config.spam.preferences)
        service.refresher = Refresher(reactor, open_store, service.renewal, preferences)
    builder.http()
    return service


class _Builder:
    """A step for each kind of hook."""

    def __init__(self, service: Service, hooks: Listeners, open_store: partial[Store]) -> None:
        self._service = service
        self._config = service.config
        self._reactor = service.reactor
        self._hooks = hooks
        self._open_store = open_store
        self._counters = service.counters
        self._oldest_transaction: Callable[[], float] = float  # 0 without a dict

    def lookups(self) -> None:
        """Socketmap and tcp_table."""
        counters, lookups = self._counters.hooks, self._service.lookups
        # One server for listeners that may hand out relay passwords, one for the others.
        listeners = self._hooks.get(("socketmap", ""), [])
        for private in sorted({listener.private for listener in listeners}):
            server = SocketmapServer(
                self._reactor,
                counters["socketmap"],
                tables=lookups,
                private=private,
            )
            self._service.renewal.on_change(server.replies.clear)
            self._serve("socketmap", server, [listener for listener in listeners if listener.private is private])
        for (hook, table), listeners in self._hooks.items():
            if hook == "tcp_table":
                one = TcpTableServer(self._reactor, counters[hook], table=table, lookup=lookups[table])
                self._serve(hook, one, listeners, table)

    def policy(self) -> None:
        """The policy rules."""
        if ("policy", "") not in self._hooks:
            return
        service = self._service
        try:
            service.rules = Rules(policy_settings(self._config), service.store, self._counters, writer=self._writer())
        except UnknownRule as error:
            raise ConfigError(f"[policy]: {error}") from error
        server = PolicyServer(self._reactor, self._counters.hooks["policy"], decide=service.rules.decide)
        self._serve("policy", server, self._hooks["policy", ""])

    def auth(self) -> None:
        """The auth client and auth master hooks, which share what is under way."""
        hooks = {hook: listeners for (hook, _), listeners in self._hooks.items() if hook in AUTH}
        if not hooks:
            return
        from mailhooks.passwords import VerifiedCache
        from mailhooks.servers.auth_client import AuthClientServer, Outage, new_spid
        from mailhooks.servers.auth_master import AuthMasterServer
        from mailhooks.servers.authenticator import Authenticator, AuthSettings
        from mailhooks.servers.pending import PendingLogins
        from mailhooks.wire import sasl
        from mailhooks.workers import HashPool

        service, settings, mail = self._service, self._config.auth, self._mail()
        service.pool = HashPool(self._reactor, settings.workers or os.cpu_count() or 1, settings.queue)
        service.pending = PendingLogins()
        service.throttling = self._throttling()
        cache = VerifiedCache(settings.cache_entries, settings.cache_seconds)
        authenticator = Authenticator(
            self._reactor,
            self._counters,
            store=service.store,
            pool=service.pool,
            writer=self._writer(),
            cache=cache,
            settings=AuthSettings(settings.failure_delay, rehash=settings.rehash, rules=self._logins()),
            throttling=service.throttling,
        )
        if service.rules is not None:
            authenticator.tell_policy = service.rules.memory.logged_in
        mechanisms = sasl.MECHANISMS
        if settings.scram:
            from mailhooks.wire import scram

            mechanisms = {**mechanisms, **scram.mechanisms(authenticator.keys)}
        spid = new_spid()
        for hook, listeners in hooks.items():
            server: Server
            if hook in AUTH_CLIENTS:
                server = AuthClientServer(
                    hook,
                    self._reactor,
                    self._counters,
                    authenticator=authenticator,
                    pending=service.pending,
                    spid=spid,
                    outage=Outage.CLOSE if hook == "postfix_auth" else Outage.TEMP_FAIL,
                    mechanisms=mechanisms,
                )
            else:
                server = AuthMasterServer(
                    hook,
                    self._reactor,
                    self._counters,
                    store=service.store,
                    pending=service.pending,
                    cache=cache,
                    spid=spid,
                    mail=mail,
                    uids=(os.geteuid(), mail.uid),
                )
            self._serve(hook, server, listeners)

    def _throttling(self) -> Throttling | None:
        """What stops guessing. Raises ConfigError."""
        from mailhooks.own_addresses import shared
        from mailhooks.servers.throttling import Throttling
        from mailhooks.throttle import Settings

        given = self._config.throttle
        if not given.enabled:
            return None
        try:
            throttling = Throttling(
                self._reactor,
                self._counters,
                store=self._service.store,
                writer=self._writer(),
                settings=Settings(
                    pair_guesses=given.pair_guesses,
                    network_guesses=given.network_guesses,
                    account_guesses=given.account_guesses,
                ),
                allow=given.allow,
                shared=partial(shared, given.shared_networks),
                now=time.time,
            )
        except ValueError as error:
            raise ConfigError(f"[throttle]: {error}") from error
        self._service.renewal.on_change(throttling.renewed)
        return throttling

    def dict(self) -> None:
        """Dovecot's dict."""
        if ("dict", "") not in self._hooks:
            return
        from mailhooks import dicts
        from mailhooks.servers.dict import DictServer

        settings, mail = self._config.dict, self._mail()
        try:
            namespaces = dicts.chosen(("quota", *settings.names), mail)  # quota: readiness asks for it
        except ValueError as error:
            raise ConfigError(f"dict.names: {error}") from error
        server = DictServer(
            self._reactor,
            self._counters,
            store=self._service.store,
            writer=self._writer(),
            namespaces=namespaces,
            uids=(os.geteuid(), mail.uid),
            private_uids=settings.passdb_uids,
        )
        self._oldest_transaction = server.oldest_transaction
        self._serve("dict", server, self._hooks["dict", ""])

    def http(self) -> None:
        """Metrics and health."""
        if ("http", "") not in self._hooks:
            return
        from mailhooks.metrics import Metrics, Sources
        from mailhooks.servers.http import HttpFactory, Page
        from mailhooks.stack import logtap, paths, queue

        service, where = self._service, paths.layout(self._config)
        sources = Sources(
            counters=self._counters,
            renewal=service.renewal,
            objects=lambda: service.refresher.objects if service.refresher else {},
            pool=service.pool,
            oldest_transaction=self._oldest_transaction,
            certificates=dict(self._certificates(where.chain)),
            extra=(partial(queue.metrics, where.queue_counts), partial(logtap.metrics, where.log_counts)),
        )
        metrics = Metrics(sources)
        pages = {
            b"metrics": Page(lambda: (200, metrics.page()), METRICS, token=lambda: service.token),
            b"healthz": Page(lambda: (200, b"alive\n")),
            b"readyz": Page(self._readiness, token=lambda: service.token),
        }
        service.web = HttpFactory(pages, self._counters.hooks["http"], self._reactor)
        for listener in self._hooks["http", ""]:
            service.bindings.append(Binding("http", "", listener, service.web, None))

    def _readiness(self) -> Deferred[tuple[int, bytes]]:
        from mailhooks.servers import probes

        asked = [
            (
                f"{binding.hook} {binding.table or binding.listener.text}",
                Deferred.fromCoroutine(
                    probes.ask(self._reactor, binding.hook, port, talk=binding.listener.kind != "ssl")
                ),
            )
            for binding, port in self._service.listening
            if binding.hook != "http"
        ]
        store = self._service.store
        return Deferred.fromCoroutine(probes.report(asked, lambda: "" if store.available else store.reason))

    def _certificates(self, presented: Path) -> Iterable[tuple[Path, Path]]:
        """Yield the configured files, each with the one to read: ``up`` leaves what the daemons present."""
        configured = Path(self._config.server.certificate)
        yield configured, presented if presented.exists() else configured
        for listeners in self._hooks.values():
            for listener in listeners:
                if listener.kind == "ssl":
                    arguments = listener.arguments
                    path = Path(arguments.get("certKey") or arguments.get("privateKey", "server.pem"))
                    yield path, path

    def _mail(self) -> userdb.MailSettings:
        mail = self._config.mail
        try:
            return userdb.MailSettings(mail.uid, mail.gid, mail.home)
        except ValueError as error:
            raise ConfigError(str(error)) from error

    def _logins(self) -> LoginRules:
        try:
            return LoginRules.of(self._config.auth, self._config.mail.recipient_delimiter)
        except ValueError as error:
            raise ConfigError(str(error)) from error

    def _writer(self) -> Writer:
        service = self._service
        if service.writer is None:
            from mailhooks.workers import Writer

            service.writer = Writer(self._reactor, self._open_store, service.renewal)
        return service.writer

    def _serve(self, hook: str, server: Server, listeners: Iterable[Listener], table: str = "") -> None:
        group = default_group(self._config, hook)
        self._service.servers.append(server)
        for listener in listeners:
            self._service.bindings.append(Binding(hook, table, listener, server, group))
