"""A real lookup through each hook's own socket: what /readyz says is what Postfix and Dovecot would hear.

Every probe asks for a name that cannot exist (RFC 2606), so that a ready hook says a positive "no": an answer that
needs the store. The auth client hooks are asked for a login as the service "readiness", which is refused at once
(``attempt.READINESS``). A listener with TLS is asked for a handshake only: it may want a certificate.
"""

from __future__ import annotations

import os
import re
from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, UNIXClientEndpoint, connectProtocol
from twisted.internet.interfaces import IHandshakeListener, ISSLTransport
from twisted.internet.protocol import Protocol
from zope.interface import implementer

from mailhooks.servers.attempt import READINESS
from mailhooks.wire import policy, socketmap, tcp_table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.internet.interfaces import IListeningPort
    from twisted.python.failure import Failure

LIMIT_SECONDS = 5.0  # for one probe, connecting and answer: the time limit of a lookup; all are asked at once
MAX_REPLY_BYTES = 4096  # every answer to a probe is short

NOBODY = "readiness@mailhooks.invalid"
DOMAIN = "mailhooks.invalid"


@dataclass(frozen=True)
class Probe:
    """What is sent to a hook, when its answer is whole, and what a ready one says in it."""

    request: bytes
    whole: re.Pattern[bytes] | None
    ready: bytes


NO_TALK = Probe(b"", None, b"")  # to be let in is all
_LINE = re.compile(rb"\n\Z")
_USER = Probe(
    f"VERSION\t1\t1\nUSER\t4711\t{NOBODY}\tservice=readiness\n".encode(),
    re.compile(rb"\t4711(\t[^\n]*)?\n\Z"),
    b"NOTFOUND\t4711\n",
)
_LOGIN = Probe(
    b"VERSION\t1\t2\nCPID\t1\n"
    b"AUTH\t4711\tPLAIN\tservice=%b\tsecured\tresp=%b\n"
    % (READINESS.encode(), b64encode(f"\0{NOBODY}\0readiness".encode())),
    re.compile(rb"^(FAIL|OK)\t4711[^\n]*\n\Z", re.MULTILINE),
    f"FAIL\t4711\tuser={NOBODY}\n".encode(),
)
PROBES = {
    "socketmap": Probe(socketmap.request("virtual_mailbox_domains", DOMAIN), re.compile(rb",\Z"), socketmap.NOT_FOUND),
    "tcp_table": Probe(tcp_table.request(NOBODY), _LINE, b"500 "),
    "policy": Probe(
        policy.render_request(
            policy.Request.of({"request": "smtpd_access_policy", "protocol_state": "RCPT", "recipient": NOBODY})
        ),
        re.compile(rb"\n\n\Z"),
        b"action=DUNNO",
    ),
    "postfix_auth": _LOGIN,
    "login": _LOGIN,
    "auth_master": _USER,
    "auth_userdb": _USER,
    "dict": Probe(f"H3\t2\t0\t{NOBODY}\tquota\nLpriv/quota/storage\t{NOBODY}\n".encode(), _LINE, b"N"),
    "http": NO_TALK,
}


@implementer(IHandshakeListener)
class _Asking(Protocol):
    """Asks one probe; ``answer`` fires with "" (ready) or what is wrong."""

    def __init__(self, probe: Probe) -> None:
        self.answer: Deferred[str] = Deferred(lambda _: self._stop())
        self._probe = probe
        self._said = b""

    def handshakeCompleted(self) -> None:
        """Hear that TLS is there."""
        self._finish("")

    def connectionMade(self) -> None:
        """Ask."""
        if self._probe.whole is None:
            if not ISSLTransport.providedBy(self.transport):
                self._finish("")
        elif self._probe.request and self.transport is not None:
            self.transport.write(self._probe.request)

    def dataReceived(self, data: bytes) -> None:
        """Listen until the answer is whole."""
        self._said += data
        if self._probe.whole is not None and self._probe.whole.search(self._said):
            self._finish("" if self._probe.ready in self._said else "answers that it cannot answer now")
        elif len(self._said) > MAX_REPLY_BYTES:
            self._finish("answers nonsense")

    def connectionLost(self, reason: Failure | None = None) -> None:  # noqa: ARG002 - Twisted gives it
        """Too early, unless the answer is there."""
        self._finish("closes the connection")

    def _finish(self, result: str) -> None:
        if not self.answer.called:
            self.answer.callback(result)
            self._stop()

    def _stop(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()


async def ask(reactor: Any, hook: str, port: IListeningPort, *, talk: bool = True) -> str:
    """Ask one listening port of ``hook``; "" when it is ready, else what is wrong. Never raises.

    Not ``talk``: it speaks TLS, and is asked for a handshake.
    """
    until = reactor.seconds() + LIMIT_SECONDS
    asking = _Asking(PROBES[hook] if talk else NO_TALK)
    host: Any = port.getHost()
    if isinstance(host, UNIXAddress):
        endpoint: Any = UNIXClientEndpoint(reactor, host.name, timeout=LIMIT_SECONDS)
    else:
        kind = TCP6ClientEndpoint if ":" in host.host else TCP4ClientEndpoint
        # Whoever listens on every address listens on loopback.
        address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host.host, host.host)  # noqa: S104 - compared only
        endpoint = kind(reactor, address, host.port, timeout=LIMIT_SECONDS)
    if not talk:
        from mailhooks.tls import any_server  # noqa: PLC0415 - only for ssl: endpoints

        endpoint = any_server(endpoint)
    try:
        await connectProtocol(endpoint, asking)
        return await asking.answer.addTimeout(max(0.0, until - reactor.seconds()), reactor)
    except TimeoutError:
        return f"does not answer within {LIMIT_SECONDS:g} s"
    except Exception as error:  # noqa: BLE001 - whatever it is, the hook is not ready
        return f"cannot be asked: {_cause(error)}"


def _cause(error: Exception) -> str:
    number = getattr(error, "osError", None)  # of Twisted's ConnectError
    return os.strerror(number) if isinstance(number, int) else type(error).__name__


async def report(asked: Sequence[tuple[str, Deferred[str]]], store: Callable[[], str]) -> tuple[int, bytes]:
    """Status and text of /readyz, from what each hook said, and why the ``store`` does not answer ("": it does)."""
    lines, ready = [], True
    for name, answer in asked:
        problem = await answer
        ready = ready and not problem
        lines.append(f"{name}: {problem or 'ready'}\n")
    if problem := store():  # behind the others: it may have gone away while they were asked
        lines.insert(0, f"store: {problem}\n")
        ready = False
    return (200 if ready else 503), "".join(lines).encode()
