"""Runs one process: log, signals, readiness; everything else is in ``service`` and ``lifecycle``.

SIGTERM and SIGINT end it in order, a second one at once. SIGHUP reads the configuration again and keeps the old one
when the new one is bad. SIGUSR1 has everything told in the log, or no more. Signals only schedule: nothing is done
inside a handler.
"""

from __future__ import annotations

import gc
import resource
import signal
import sys
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger, globalLogBeginner

from mailhooks import notify, verbosity
from mailhooks.config import ConfigError
from mailhooks.log import Observer
from mailhooks.reactor import install
from mailhooks.service import make_service
from mailhooks.verbosity import Verbosity

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
    levels = Verbosity(config.log, observer, service.counters, service.renewal.forget)
    service.start()
    gc.collect()
    gc.freeze()  # what was made until now stays: the collector need not go through it again and again
    Process(reactor, service, levels, load).install()
    reactor.callWhenRunning(notify.tell, "READY=1")
    reactor.callWhenRunning(notify.Heartbeat(reactor, service.status).start)
    reactor.run(installSignalHandlers=False)
    service.store.close()
    return 0


class Process:
    """The signals of a process."""

    def __init__(self, reactor: Any, service: Service, levels: Verbosity, load: Callable[[], Config]) -> None:
        self._reactor = reactor
        self._service = service
        self._levels = levels
        self._load = load
        self._ending = False

    def install(self) -> None:
        """Take over SIGTERM, SIGINT, SIGHUP and SIGUSR1."""
        for number, react in (
            (signal.SIGTERM, self.end),
            (signal.SIGINT, self.end),
            (signal.SIGHUP, self.reload),
            (signal.SIGUSR1, self._levels.toggle),
        ):
            signal.signal(number, self._soon(react))

    def _soon(self, react: Callable[[], None]) -> Callable[[int, Any], None]:
        return lambda _number, _frame: self._reactor.callFromThread(react)

    def reload(self) -> None:
        """Take a new configuration, or say why not."""
        if self._ending:
            return
        notify.reloading()
        try:
            config = self._load()
            verbosity.check(config.log)
            self._service.reload(config)
            self._levels.configure(config.log)
        except ConfigError as error:
            log.error("the configuration is bad, the old one stays: {why}", why=str(error))
        finally:
            notify.tell("READY=1")

    def end(self) -> None:
        """End in order; the second time at once."""
        if self._ending:
            self._stop()
            return
        self._ending = True
        notify.tell("STOPPING=1")
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
