"""Asks every hook of the daemon that runs here, from another process: ``/readyz`` where there is no HTTP port."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.selectreactor import SelectReactor
from twisted.python.failure import Failure

from mailhooks.config import Config, ConfigError
from mailhooks.endpoints import Listener
from mailhooks.servers import probes
from mailhooks.stack import sockets

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class _Port:
    """What a probe has to know of a listening port."""

    address: UNIXAddress | IPv4Address

    def getHost(self) -> UNIXAddress | IPv4Address:
        return self.address


def ask(config: Config) -> tuple[int, str]:
    """Return the status and the text of /readyz; the hooks themselves say when the store cannot answer.

    Raises ConfigError when there is no hook that could be asked from here.
    """
    reactor: Any = SelectReactor()  # of its own: nothing else here has one, and none is left behind
    listening = list(_listening(config))
    if not listening:
        raise ConfigError("[listen] names no socket that can be asked: give listen.http an address")
    answers: list[tuple[int, bytes] | Failure] = []

    def start() -> None:
        asked = [
            (name, Deferred.fromCoroutine(probes.ask(reactor, hook, port, talk=talk)))
            for name, hook, port, talk in listening
        ]
        report = Deferred.fromCoroutine(probes.report(asked, lambda: ""))
        report.addBoth(answers.append).addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(start)
    reactor.run(installSignalHandlers=False)
    (answer,) = answers
    if isinstance(answer, Failure):
        answer.raiseException()
    status, text = answer
    return status, text.decode().strip()


def _listening(config: Config) -> Iterator[tuple[str, str, Any, bool]]:
    """Yield what each hook is called, its kind, where it listens, and whether it takes a question without TLS."""
    texts = {(hook, ""): strings for hook, strings in vars(config.listen).items() if hook != "tcp_table"}
    texts |= {("tcp_table", table): strings for table, strings in config.listen.tcp_table.items()}
    for (hook, table), strings in texts.items():
        for text in strings:
            kind = Listener.parse(text).kind
            if kind not in ("unix", "tcp", "ssl"):
                continue  # a socket that only the daemon itself knows
            found = sockets.find_behind_tls(text, hook)
            host = UNIXAddress(found.path) if found.path else IPv4Address("TCP", found.host.strip("[]"), found.port)
            yield f"{hook} {table or text}", hook, _Port(host), kind != "ssl"
