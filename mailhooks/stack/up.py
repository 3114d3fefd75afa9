"""``mailhooks up``: from a configuration to a running mail server.

Everything that can be wrong with the configuration or the machine is found before the first program starts, and is one
line with its cure. Then the supervisor has the word.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import signal
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger, globalLogBeginner

from mailhooks import verbosity
from mailhooks.config import Config, ConfigError
from mailhooks.log import Observer
from mailhooks.stack import (
    announcement,
    certificate,
    children,
    directories,
    files,
    generation,
    holding,
    http_token,
    judge,
    listening,
    paths,
    render,
    tls,
)
from mailhooks.stack.changes import Changes
from mailhooks.stack.logpipe import LogPipe, Watch
from mailhooks.stack.queue import QueueCounter
from mailhooks.stack.ready import Waiter
from mailhooks.stack.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from twisted.python.failure import Failure

log = Logger()

OPEN_FILES = 65_536  # for Dovecot's anvil and 1,000s of connections; never above the hard limit


@dataclass(frozen=True)
class Instance:
    """What ``up`` runs."""

    load: Callable[[], Config]  # reads the configuration again; raises ConfigError
    config_path: Path | None
    environment: dict[str, str]  # for ``serve``
    make_store: Callable[[], None]
    upgrade: Callable[[], None] = lambda: None  # brings an older store to this version
    check: Callable[[Config], None] = lambda _config: None  # what else must fit; raises ConfigError
    fulfil: Callable[[Config], None] = lambda _config: None  # makes in the store what the environment asks for


def run(instance: Instance) -> int:
    """Start the server, run it until a signal ends it, and return the exit code. Raises ConfigError before that."""
    if os.geteuid() != 0:
        raise ConfigError("up needs root: Postfix and Dovecot bind their ports and change users; run it with sudo")
    config = instance.load()
    instance.check(config)
    verbosity.check(config.log)
    observer = Observer(sys.stdout, config.log.format, config.log.level)
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
    os.umask(0o022)
    _append_to_log()
    _raise_open_files()
    first = is_first_start(config)
    prepare(config)
    if first:
        instance.make_store()
        say("this is the first start: made an empty store")
    else:
        instance.upgrade()
    instance.fulfil(config)
    held = holding.make(config, token=bool(http_token.read(config)))
    try:
        return _supervise(config, instance, held)
    finally:
        held.close()


def is_first_start(config: Config) -> bool:
    """Tell whether nothing was ever stored here: only then may ``up`` make a store.

    Where a store was and is not now, an empty one would bounce everybody's mail; that is an outage instead.
    """
    where = paths.layout(config)
    ours = {where.bayes, where.spam_rules, where.preferences.parent}
    return not where.state.exists() or all(entry in ours for entry in where.state.iterdir())


def prepare(config: Config) -> None:
    """Make directories, certificate and configuration files, and let the daemons judge them. Raises ConfigError."""
    try:
        found = generation.find()
    except generation.MissingBinaryError as error:
        raise ConfigError(str(error)) from error
    directories.check_interpreter(directories.service_account(config))
    directories.make(config)
    listening.check(config, os.environ, token=copy_token(config))
    children.refuse_running(config)
    certificate.ensure(config, render.hostname(config), datetime.now(UTC))
    try:
        tls.take(config)
    except tls.BadPair as error:
        raise ConfigError(f"server.certificate and server.key: {error}") from error
    if certificate.is_ours(tls.together(*certificate.pair(config))):
        wanted = config.server.certificate
        announcement.say(f"no TLS certificate at {wanted} but a self-signed one, which no client trusts", config.log)
    write(config, found)


def copy_token(config: Config) -> bool:
    """Give the daemon a token file of its own; tell whether there is a token. Raises ConfigError."""
    token = http_token.read(config)
    if token:
        files.replace(paths.layout(config).http_token, token.encode(), directories.service_account(config), 0o400)
    return bool(token)


def write(config: Config, found: generation.Generation) -> set[render.Daemon]:
    """Render every daemon's files, and put them in place when they are judged good. Raises ConfigError.

    Tells whose files changed.
    """
    judged = judge.judged(config, found)
    changed = {daemon for daemon, rendered in judged.items() if render.write(rendered)}
    judge.compile_scripts(paths.layout(config).dovecot_config)
    return changed


def stages(config: Config, instance: Instance, pipe: LogPipe | None, held: holding.Held) -> list[list[children.Child]]:
    """Return what starts when: no smtpd may start before the auth socket answers.

    ``held`` are the sockets on which ``serve`` is served.
    With a ``pipe`` the stock daemons write into it, and who reads it starts first and ends last.
    """
    environment = dict(instance.environment)
    if config.http.token_file:
        environment["HTTP_TOKEN_FILE"] = str(paths.layout(config).http_token)
    serve = children.serve(config, instance.config_path, environment, held)
    neighbours = [children.dovecot(config)]
    if config.server.spam_filter:
        neighbours.append(children.spamd(config))
    daemons = [neighbours, [children.postfix(config)]]
    if pipe is None:
        return [[serve], *daemons]
    return [[pipe.tap()], [serve], *([replace(child, stdout=pipe.writes) for child in stage] for stage in daemons)]


def say(text: str) -> None:
    """Write one line of ours between those of the daemons."""
    log.info("{text}", text=text)


def _supervise(config: Config, instance: Instance, held: holding.Held) -> int:
    from twisted.internet import reactor as global_reactor  # noqa: PLC0415 - importing it installs it

    reactor: Any = global_reactor
    pipe = LogPipe(config) if config.log.count_lines else None
    supervisor = Supervisor(reactor, stages(config, instance, pipe, held), Waiter(reactor), say)
    where = paths.layout(config)
    counter = QueueCounter(reactor, where)
    changes = Changes(reactor, config, supervisor, load=instance.load, write=write)
    codes: list[int] = []

    def finished(code: int) -> None:
        codes.append(code)
        changes.stop()
        reactor.stop()

    def broken(failure: Failure) -> None:
        say(f"cannot start: {failure.getErrorMessage()}")
        supervisor.fail()

    def verbose() -> None:
        if pid := supervisor.pid("serve"):
            with contextlib.suppress(ProcessLookupError):  # its end is on the way to us
                os.kill(pid, signal.SIGUSR1)

    def started() -> None:
        for number, react in (
            (signal.SIGTERM, supervisor.stop),
            (signal.SIGINT, supervisor.stop),
            (signal.SIGHUP, changes.reload),
            (signal.SIGUSR1, verbose),
        ):
            signal.signal(number, lambda *_, react=react: reactor.callFromThread(react))
        counter.start()
        changes.start()
        if pipe is not None:
            Watch(reactor, pipe, lambda: supervisor.pid("logtap"), say).start()
        Deferred.fromCoroutine(supervisor.start()).addErrback(broken)

    supervisor.finished.addCallback(finished)
    reactor.callWhenRunning(started)
    reactor.run()
    return codes[0] if codes else 1


def _append_to_log() -> None:
    """Where standard output is a file, write at its end: Postfix opens /dev/stdout anew, with an offset of its own."""
    flags = fcntl.fcntl(1, fcntl.F_GETFL)
    fcntl.fcntl(1, fcntl.F_SETFL, flags | os.O_APPEND)


def _raise_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
