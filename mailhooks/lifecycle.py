"""One running process: it starts, takes another configuration, and ends in order.

The end (SIGTERM) is what keeps a restart unseen: logins that are under way come first. A Dovecot login process hears OK
on its auth client socket, and moments later imap collects the user on auth-master; so the client sockets stop
accepting, what they were asked is answered and they are closed, so that nothing more is granted, and auth-master goes
on until every granted login is collected. Then everybody else is answered and closed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import gatherResults
from twisted.internet.task import deferLater
from twisted.logger import Logger

from mailhooks import tables
from mailhooks.config import ConfigError
from mailhooks.counters import Counters
from mailhooks.endpoints import EndpointError
from mailhooks.hooks import AUTH_CLIENTS
from mailhooks.policy import Settings, UnknownRule
from mailhooks.store import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from twisted.internet.interfaces import IListeningPort

    from mailhooks.config import Config
    from mailhooks.endpoints import Listener
    from mailhooks.refresh import Refresher
    from mailhooks.renewal import Renewal
    from mailhooks.servers.base import Server
    from mailhooks.servers.http import HttpFactory
    from mailhooks.servers.pending import PendingLogins
    from mailhooks.servers.rules import Rules
    from mailhooks.servers.throttling import Throttling
    from mailhooks.store import Store
    from mailhooks.workers import HashPool, Writer

LOGINS_SECONDS = 3.0  # at the end: how long granted logins may wait to be collected
END_SECONDS = 4.5  # at the end: then whatever is left is cut off, so that the process is gone within 5 s
LOOK_SECONDS = 0.02  # at the end: how often it is looked whether the logins are collected

# What a reload changes while running, and what ``serve`` does not read; every other key needs a restart.
LIVE = ("policy", "log", "mail.recipient_delimiter", "http.token_file")
NOT_READ = ("server",)

log = Logger()


@dataclass(frozen=True)
class Binding:
    """One socket: whose it is, what listens on it, and which group a unix socket is given to."""

    hook: str
    table: str  # of tcp_table, else ""
    listener: Listener
    factory: Any
    group: str | int | None


class Service:
    """Holds what ``make_service`` built."""

    def __init__(self, config: Config, reactor: Any, store: Store, renewal: Renewal) -> None:
        self.config = config
        self.reactor = reactor
        self.store = store
        self.renewal = renewal
        self.counters = Counters()
        self.token = read_token(config)
        self.delimiter = config.mail.recipient_delimiter
        self.lookups = {name: self._lookup(table) for name, table in tables.TABLES.items()}
        self.bindings: list[Binding] = []
        self.listening: list[tuple[Binding, IListeningPort]] = []
        self.servers: list[Server] = []
        self.web: HttpFactory | None = None
        self.pool: HashPool | None = None
        self.writer: Writer | None = None
        self.pending: PendingLogins | None = None
        self.rules: Rules | None = None
        self.refresher: Refresher | None = None
        self.throttling: Throttling | None = None
        self._key_problem = ""
        renewal.on_change(self._check_key)

    def start(self) -> None:
        """Listen on everything or on nothing, and read the store, if it is there. Raises EndpointError."""
        try:
            for binding in self.bindings:
                port = binding.listener.listen(binding.factory, self.reactor, binding.group)
                self.listening.append((binding, port))
        except EndpointError:
            self._close(self.listening)
            raise
        self.renewal.start()
        if self.rules is not None:
            self.rules.start(self.reactor)
        if self.refresher is not None:
            self.refresher.start()
        if self.throttling is not None:
            self.throttling.start()
        log.info("serving {hooks}", hooks=", ".join(dict.fromkeys(binding.hook for binding in self.bindings)))

    def reload(self, config: Config) -> None:
        """Take what of a new configuration can change while running. Raises ConfigError, and nothing has changed."""
        token = read_token(config)
        if self.rules is not None:
            try:
                self.rules.configure(policy_settings(config))
            except UnknownRule as error:
                raise ConfigError(f"[policy]: {error}") from error
        later = [key for key in differences(self.config, config) if not _is_below(key, LIVE + NOT_READ)]
        self.token = token
        self.delimiter = config.mail.recipient_delimiter
        self.config = config
        self.renewal.forget()
        if later:
            log.warn("configuration read again; a restart is needed for {keys}", keys=", ".join(later))
        else:
            log.info("configuration read again")

    def status(self) -> str:
        """Return one line about how it goes, for people (``systemctl status``)."""
        hooks = list(dict.fromkeys(binding.hook for binding in self.bindings))
        serving = f"{len(hooks)} hook{'' if len(hooks) == 1 else 's'} ({', '.join(hooks)})"
        if self.store.available:
            return f"serving {serving}; the store is at change {self.store.change_number}"
        return f"the store cannot answer, every client is told to try again: {self.store.reason}"

    async def stop(self) -> None:
        """End within END_SECONDS, logins that are under way first."""
        deadline = self.reactor.callLater(END_SECONDS, self.abort)
        await self._end_logins([server for server in self.servers if server.hook in AUTH_CLIENTS])
        self._close(self.listening)
        await deferLater(self.reactor, LOOK_SECONDS)  # as with logins
        if self.web is not None:
            self.web.abort()
        await gatherResults([server.drain() for server in self.servers])
        if self.refresher is not None:
            self.refresher.stop()
        if self.throttling is not None:
            self.throttling.stop()
        if self.rules is not None:
            await self.rules.stop()
        if self.writer is not None:
            await self.writer.stop()
        if self.pool is not None:
            self.pool.stop()
        self.renewal.stop()
        if deadline.active():
            deadline.cancel()

    async def _end_logins(self, clients: Collection[Server]) -> None:
        """Let nobody new log in, answer who is about to, and wait until the granted logins are collected."""
        self._close([each for each in self.listening if each[0].hook in AUTH_CLIENTS])
        give_up = self.reactor.seconds() + LOGINS_SECONDS
        await deferLater(self.reactor, LOOK_SECONDS)  # who was let in a moment ago is heard before the idle are closed
        for server in clients:
            server.drain()
        while (self.pending or any(server.connections for server in clients)) and self.reactor.seconds() < give_up:
            await deferLater(self.reactor, LOOK_SECONDS)
        for server in clients:
            server.give_up()

    def abort(self) -> None:
        """Cut off every connection."""
        for server in self.servers:
            server.abort()

    def _lookup(self, table: Callable[[Store, str, str], str | None]) -> Callable[[str], str | None]:
        return lambda key: table(self.store, key, self.delimiter)

    def _check_key(self) -> None:
        """Say once when the relay passwords in the store cannot be read with this key file."""
        problem = ""
        try:
            if self.store.available and self.store.key_fits() is False:
                problem = f"the store was written with another key than {self.config.store.key_file}"
        except Unavailable as error:
            problem = str(error)
        if problem and problem != self._key_problem:
            log.error("relay passwords cannot be read: {problem}", problem=problem)
        self._key_problem = problem

    def _close(self, listening: Iterable[tuple[Binding, IListeningPort]]) -> None:
        for entry in list(listening):
            entry[1].stopListening()
            self.listening.remove(entry)


def policy_settings(config: Config) -> Settings:
    """What the policy rules need of the configuration."""
    return Settings.of(config.policy, delimiter=config.mail.recipient_delimiter)


def read_token(config: Config) -> str:
    """The bearer token of the HTTP port, "" for none. Raises ConfigError."""
    name = config.http.token_file
    if not name:
        return ""
    try:
        token = Path(name).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"http.token_file: {name} cannot be read as ASCII text") from error
    if not token:
        raise ConfigError(f"http.token_file: {name} is empty")
    return token


def differences(old: object, new: object, where: str = "") -> list[str]:
    """Name the keys in which two configurations differ."""
    result: list[str] = []
    for name, before in vars(old).items():
        after = getattr(new, name)
        if before == after:
            continue
        if hasattr(before, "__dataclass_fields__"):
            result += differences(before, after, f"{where}{name}.")
        else:
            result.append(f"{where}{name}")
    return result


def _is_below(key: str, tops: Collection[str]) -> bool:
    return any(key == top or key.startswith(f"{top}.") for top in tops)
