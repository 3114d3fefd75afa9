"""Runs one process: log, signals, readiness; everything else is in ``service`` and ``lifecycle``.

SIGTERM and SIGINT end it in order, a second one at once. SIGHUP reads the configuration again and keeps the old one
when the new one is bad. Signals only schedule: nothing is done inside a handler.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger, globalLogBeginner

from mailhooks.config import ConfigError
from mailhooks.log import Observer
from mailhooks.reactor import install
from mailhooks.service import make_service

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from twisted.python.failure import Failure

    from mailhooks.config import Config
    from mailhooks.lifecycle import Service

LAST_SECONDS = 5.0  # after SIGTERM: then the process ends, whatever is not done

log = Logger()


def run(load: Callable[[], Config], only: Collection[str] | None = None) -> int:
    """Serve until a signal ends it; return the exit code. ``load`` reads the configuration, now and at SIGHUP.

    Raises ConfigError and EndpointError when it cannot start.
    """
    reactor: Any = install()
    config = load()
    observer = Observer(sys.stdout, config.log.format, config.log.level)
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
    raise_file_limit()
    service = make_service(config, reactor, only)
    service.start()
    gc.collect()
    gc.freeze()  # what was made until now stays: the collector need not go through it again and again
    Process(reactor, service, observer, load).install()
    reactor.callWhenRunning(notify, "READY=1")
    reactor.run(installSignalHandlers=False)
    service.store.close()
    return 0


class Process:
    """The signals of a process."""

    def __init__(self, reactor: Any, service: Service, observer: Observer, load: Callable[[], Config]) -> None:
        self._reactor = reactor
        self._service = service
        self._observer = observer
        self._load = load
        self._ending = False

    def install(self) -> None:
        """Take over SIGTERM, SIGINT and SIGHUP."""
        for number, react in ((signal.SIGTERM, self.end), (signal.SIGINT, self.end), (signal.SIGHUP, self.reload)):
            signal.signal(number, self._soon(react))

    def _soon(self, react: Callable[[], None]) -> Callable[[int, Any], None]:
        return lambda _number, _frame: self._reactor.callFromThread(react)

    def reload(self) -> None:
        """Take a new configuration, or say why not."""
        if self._ending:
            return
        try:
            config = self._load()
            self._service.reload(config)
        except ConfigError as error:
            log.error("the configuration is bad, the old one stays: {why}", why=str(error))
            return
        self._observer.configure(config.log.format, config.log.level)

    def end(self) -> None:
        """End in order; the second time at once."""
        if self._ending:
            self._stop()
            return
        self._ending = True
        notify("STOPPING=1")
        log.info("ending")
        self._reactor.callLater(LAST_SECONDS, self._stop)
        Deferred.fromCoroutine(self._service.stop()).addErrback(self._not_stopped).addBoth(lambda _: self._stop())

    def _not_stopped(self, failure: Failure) -> None:
        log.failure("could not end in order", failure)

    def _stop(self) -> None:
        if self._reactor.running:
            self._reactor.stop()


def raise_file_limit() -> None:
    """Allow as many open files as the machine lets us: one for each connection."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def notify(state: str) -> None:
    """Tell a service manager, if there is one (sd_notify(3))."""
    name = os.environ.get("NOTIFY_SOCKET", "")
    if not name:
        return
    address = "\0" + name[1:] if name.startswith("@") else name
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.sendto(state.encode(), address)
    except OSError:
        log.warn("the service manager does not hear us")
