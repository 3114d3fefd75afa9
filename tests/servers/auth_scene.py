"""A process in small: a clock that is set by hand, real worker threads, real store, servers on StringTransports."""

from __future__ import annotations

import queue
import threading
import time
from base64 import b64encode
from contextlib import contextmanager

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from mailhooks.counters import Counters
from mailhooks.passwords import VerifiedCache
from mailhooks.servers.auth_client import AuthClientServer, Outage
from mailhooks.servers.auth_master import AuthMasterServer
from mailhooks.servers.authenticator import Authenticator, AuthSettings
from mailhooks.servers.dict import DictServer
from mailhooks.servers.pending import PendingLogins
from mailhooks.servers.throttling import Throttling
from mailhooks.store import Store
from mailhooks.throttle import LOOPBACK
from mailhooks.userdb import MailSettings
from mailhooks.workers import HashPool, Writer

SPID = 14949
ADAM, BOB, CAROL = "adam@example1.com", "bob@example1.com", "carol@example1.com"
HELLO = "VERSION\t1\t2\nCPID\t10662\n"
QUICK = "{PLAIN}secret"


class ThreadClock(Clock):
    """Time by hand; what threads hand over is taken when the test waits for it."""

    def __init__(self):
        super().__init__()
        self._handed = queue.Queue()

    def callFromThread(self, function, *args):  # noqa: N802 - the reactor's name
        self._handed.put((function, args))

    def wait(self, times=1):
        for _ in range(times):
            function, args = self._handed.get(timeout=20)
            function(*args)

    def wait_until(self, condition):
        while not condition():
            self.wait()


class Client:
    """The other end of a connection."""

    def __init__(self, server):
        self.protocol = server.buildProtocol(None)
        self.transport = StringTransport()
        self.protocol.makeConnection(self.transport)

    def say(self, text):
        self.protocol.dataReceived(text if isinstance(text, bytes) else text.encode())
        return self.heard()

    def heard(self):
        data = self.transport.value()
        self.transport.clear()
        return data.decode()

    @property
    def closed(self):
        return self.transport.disconnecting or self.transport.disconnected

    def leave(self):
        self.protocol.connectionLost(None)


class Scene:
    """All auth servers and the dict over one store."""

    def __init__(self, store, store_url, key_file, *, threads=1, queue_limit=10, throttle=None, **settings):
        self.store = store
        self.clock = ThreadClock()
        self.counters = Counters()
        self.pool = HashPool(self.clock, threads, queue_limit)
        self.writer = Writer(self.clock, lambda: Store(store_url, key_file=key_file), store)
        self.pending = PendingLogins()
        self.cache = VerifiedCache(100, 300.0)
        self.throttling = throttle and Throttling(
            self.clock,
            self.counters,
            store=store,
            writer=self.writer,
            settings=throttle,
            allow=["198.18.0.0/15"],
            shared=lambda: LOOPBACK,
            now=self.now,
        )
        self.authenticator = Authenticator(
            self.clock,
            self.counters,
            store=store,
            pool=self.pool,
            writer=self.writer,
            cache=self.cache,
            settings=AuthSettings(**{"rehash": False, **settings}),
            throttling=self.throttling,
            now=self.now,
        )
        self.login = self._auth("login", Outage.TEMP_FAIL)
        self.postfix = self._auth("postfix_auth", Outage.CLOSE)
        self.master = AuthMasterServer(
            "auth_master",
            self.clock,
            self.counters,
            store=store,
            pending=self.pending,
            cache=self.cache,
            spid=SPID,
            mail=MailSettings(5000, 5000, "/var/mail/%d/%n"),
            uids=(5000,),
        )
        self.dict = DictServer(self.clock, self.counters, store=store, writer=self.writer)

    def now(self):
        return time.time() + self.clock.seconds()

    def _auth(self, hook, outage):
        return AuthClientServer(
            hook,
            self.clock,
            self.counters,
            authenticator=self.authenticator,
            pending=self.pending,
            spid=SPID,
            outage=outage,
        )

    def add(self, *addresses, reason="", **fields):
        with self.store.change("test") as change:
            for name in sorted({address.partition("@")[2] for address in addresses}):
                if self.store.domain(name) is None:
                    change.add_domain(name)
            for address in addresses:
                change.add_mailbox(address, **fields)
                if reason:
                    change.set_mailbox(address, reason=reason)
        self.store.renew()

    def workers_have_begun(self):
        """Wait until no work is left in the queue."""
        deadline = time.monotonic() + 20
        while self.pool.depth:
            assert time.monotonic() < deadline

    @contextmanager
    def busy_worker(self):
        """Keep the only worker at work."""
        gate = threading.Event()
        work = self.pool.run(gate.wait, 20)
        self.workers_have_begun()
        try:
            yield
        finally:
            gate.set()
            self.clock.wait_until(lambda: work.called)

    def workers_are_done(self):
        """Wait until the workers have nothing left to do."""
        last = self.pool.run(str)
        self.clock.wait_until(lambda: last.called)

    def end(self):
        ended = [self.pool.stop(), self.writer.stop()]
        self.clock.wait_until(lambda: all(deferred.called for deferred in ended))


def plain(login, password, authzid=""):
    return b64encode(f"{authzid}\0{login}\0{password}".encode()).decode()


def b64(text):
    return b64encode(text.encode()).decode()


def auth(number, login=ADAM, password="secret", *, service="imap", more=""):
    """Spell a request for PLAIN."""
    return f"AUTH\t{number}\tPLAIN\tservice={service}{more}\tresp={plain(login, password)}\n"
