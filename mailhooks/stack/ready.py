"""Waits until a program listens, and where its protocol greets, until the greeting is complete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, UNIXClientEndpoint
from twisted.internet.protocol import Factory, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IStreamClientEndpoint

    from mailhooks.stack.children import Probe

PAUSE = 0.05  # seconds between two tries: a start is waited for by people
TRY_SECONDS = 2.0  # a handshake that takes longer would also fail an smtpd
MAX_GREETING = 16384  # bytes, the auth protocol's own limit of a line


class Waiter:
    """Tries until something answers."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    async def wait(self, probe: Probe, given_up: Callable[[], bool]) -> bool:
        """Tell whether the program became ready in its time."""
        deadline = self._reactor.seconds() + probe.seconds
        while not given_up():
            if await self._answers(probe):
                return True
            if self._reactor.seconds() >= deadline:
                return False
            await self._pause()
        return False

    async def _answers(self, probe: Probe) -> bool:
        answered: Deferred[bool] = Deferred()
        factory = Factory.forProtocol(lambda: _Greeted(probe, answered))
        try:
            protocol = await self._endpoint(probe).connect(factory)
        except Exception:  # noqa: BLE001 - refused, missing, no permission: not ready yet
            return False
        assert isinstance(protocol, _Greeted)  # noqa: S101 - for the type checker
        late = self._reactor.callLater(TRY_SECONDS, protocol.drop)
        try:
            return await answered
        finally:
            if late.active():
                late.cancel()

    def _endpoint(self, probe: Probe) -> IStreamClientEndpoint:
        address = probe.address
        if address.path:
            return UNIXClientEndpoint(self._reactor, address.path, timeout=TRY_SECONDS)  # type: ignore[no-untyped-call]
        kind = TCP6ClientEndpoint if ":" in address.host else TCP4ClientEndpoint
        return kind(self._reactor, address.host.strip("[]"), address.port, timeout=TRY_SECONDS)

    def _pause(self) -> Deferred[None]:
        passed: Deferred[None] = Deferred()
        self._reactor.callLater(PAUSE, passed.callback, None)
        return passed


class _Greeted(Protocol):
    """Reads until the greeting's end."""

    def __init__(self, probe: Probe, answered: Deferred[bool]) -> None:
        self._sends, self._ends = probe.sends, probe.ends
        self._answered = answered
        self._read = b""

    def connectionMade(self) -> None:
        if self._sends and self.transport is not None:
            self.transport.write(self._sends)
        if not self._ends:
            self._tell(True)

    def dataReceived(self, data: bytes) -> None:
        self._read = (self._read + data)[-MAX_GREETING:]
        if self._read.endswith(self._ends):
            self._tell(True)

    def connectionLost(self, reason: Any = None) -> None:  # noqa: ARG002 - Twisted's signature
        if not self._answered.called:
            self._answered.callback(False)

    def drop(self) -> None:
        """Hang up."""
        if self.transport is not None:
            self.transport.loseConnection()

    def _tell(self, ready: bool) -> None:
        if not self._answered.called:
            self._answered.callback(ready)
            self.drop()
