"""What all protocol servers share: limits, pausing, counting, errors and the orderly end.

A protocol is a subclass of Connection with a parser of ``mailhooks.wire`` and an ``answer`` to each value, and a
subclass of Server that makes such connections. All replies that are at hand after one read are one write. What it
answers later it announces with ``begin`` and answers with ``finish``; while too many are outstanding, or the peer does
not read, nothing more is read from it.

Wrong input ends the connection, after the error reply where the protocol has one. The peer never hears what an
exception said. Replies are not put in order here: a protocol without ids answers at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHandshakeListener, IPushProducer, ISSLTransport
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mailhooks.log import Limited, describe
from mailhooks.servers.transport import peer_uid
from mailhooks.wire.errors import WireError

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress, IReactorTime

    from mailhooks.counters import HookCounters

MAX_CONNECTIONS = 5000  # per hook; Postfix and Dovecot open one per process, 1,000 are common on a big machine
MAX_PENDING = 100  # requests of one connection that wait for a worker; then it is not read until half are answered
# Replies to what came in one read of 64 KB: Postfix has one request under way, Dovecot a few short ones.
MAX_REPLIES_BYTES = 4 * 1024 * 1024
HALF_REQUEST_SECONDS = 30.0  # a request that has begun must be whole by then; an idle connection may stay for ever
STALLED_SECONDS = 60.0  # a peer that takes none of our replies for so long is gone
CLOSING_SECONDS = 10.0  # the last replies of a closing connection must be taken by then
SWEEP_SECONDS = 5.0  # how often the three limits above are looked at: one timer per hook, none per connection

log = Logger()


@implementer(IPushProducer, IHandshakeListener)
class Connection(Protocol):
    """One client. Subclasses have a ``parser`` and ``answer``, and what they need of greeting, error_reply, lost."""

    transport: Any = None  # ours, Twisted's TLS over ours, or StringTransport: no interface of Twisted's covers them

    max_pending = MAX_PENDING  # a protocol whose requests wait for more than work has another measure

    parser: Any = None  # feed(data) -> values, incomplete -> bool: one of ``mailhooks.wire``

    def __init__(self, server: Server) -> None:
        self.server = server
        self.counters = server.counters
        self.pending = 0  # requests begun and not finished
        self.closing = False  # nothing more is read or answered
        self.half_since: float | None = None  # when the request began that is not whole yet
        self.stalled_since: float | None = None  # since when the peer does not take our replies
        self.closing_since: float | None = None  # since when we end it
        self._progress = False  # a request was completed in this read

    # What a protocol says

    def received(self, data: bytes) -> bytes:
        """Take what was read; return the replies that are at hand. WireError ends the connection.

        As it stands: ``parser`` cuts the bytes into values, each is answered by ``answer``, and what was asked in
        good order before a mistake is answered before the connection ends.
        """
        replies: list[bytes] = []
        try:
            try:
                values = self.parser.feed(data)
            except WireError as error:
                replies += map(self.answer, error.completed)
                raise
            if len(values) == 1:  # nearly always
                return self.answer(values[0])
            size = 0
            for value in values:
                replies.append(self.answer(value))
                size += len(replies[-1])
                if size > MAX_REPLIES_BYTES:
                    raise WireError("oversized", "too much is asked at once")  # noqa: TRY301 - as the parser does
        except WireError:
            self.send(b"".join(replies))
            raise
        return b"".join(replies)

    def answer(self, value: Any) -> bytes:
        """Return the reply to one value of the parser, b"" when it comes later or is none."""
        raise NotImplementedError

    def incomplete(self) -> bool:
        """Whether a request has begun that is not whole yet."""
        return bool(self.parser.incomplete)

    def greeting(self) -> bytes:
        """What is said to a new client before it says anything."""
        return b""

    def error_reply(self, kind: str) -> bytes:  # noqa: ARG002 - for those that need it
        """What is said before closing because of wrong input, for protocols that have a word for it."""
        return b""

    def lost(self) -> None:
        """The client is gone: forget what was being done for it. ``finish`` does nothing from now on."""

    # What a protocol uses

    def begin(self) -> None:
        """A request was read that will be answered later."""
        self.pending += 1
        self._progress = True
        if self.pending == self.max_pending:
            self._read(False)

    def finish(self, reply: bytes) -> None:
        """Answer a request that ``begin`` announced; nothing happens when the client is gone."""
        self.pending -= 1
        self.send(reply)
        if self.pending == self.max_pending // 2 and self.stalled_since is None:
            self._read(True)
        self.close_if_drained()

    def send(self, data: bytes) -> None:
        """Write unless the connection is ending."""
        if data and not self.closing and self.transport is not None:
            self.transport.write(data)

    @property
    def busy(self) -> bool:
        """Whether something was asked that is not answered."""
        return self.pending > 0

    def drain(self) -> None:
        """End the connection when all is answered; what was asked a moment ago, too.

        Dovecot 2.3 takes a close for a wrong password.
        """
        read = getattr(self.transport, "doRead", None)  # a transport of the tests may have none
        if read is not None and not self.busy and not self.closing:
            read()
        self.close_if_drained()

    def close_if_drained(self) -> None:
        """End the connection when the server ends and nothing is left to be answered."""
        if self.server.draining and not self.busy:
            self.close()

    def give_up(self) -> None:
        """End the connection although something is not answered; a protocol that has a word for it says it."""
        self.close()

    def refuse(self, kind: str) -> None:
        """End the connection because of wrong input, with the error reply of the protocol; counted by ``kind``."""
        if self.closing:
            return
        self.counters.protocol_errors[kind] += 1
        held = self.server.limited.passes(f"protocol {kind}")
        if held is not None:
            log.warn(
                "{hook}: connection closed, protocol error {kind} ({held} more since the last report)",
                hook=self.server.hook,
                kind=kind,
                held=held,
            )
        self.send(self.error_reply(kind))
        self.close()

    def close(self) -> None:
        """End the connection when what was written is sent, CLOSING_SECONDS at most."""
        if self.closing or self.transport is None:
            return
        self.closing = True
        self.closing_since = self.server.clock.seconds()
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def abort(self) -> None:
        """End the connection now; what was not sent is lost."""
        self.closing = True
        if self.transport is not None:
            self.transport.abortConnection()

    @property
    def peer_uid(self) -> int | None:
        """The user at the other end of a unix socket, else None."""
        return peer_uid(self.transport)

    # What Twisted calls

    def connectionMade(self) -> None:
        """Enter the server's books and greet; behind TLS later."""
        self.server.enter(self)
        if ISSLTransport.providedBy(self.transport):
            self.half_since = self.server.clock.seconds()  # a handshake has its time, as a request has
        else:
            self._greet()

    def handshakeCompleted(self) -> None:
        """TLS is there: greet.

        A greeting before would wait for the handshake, and Twisted would read nothing, no handshake either, until that
        greeting is sent.
        """
        self.half_since = None
        self._greet()

    def _greet(self) -> None:
        if not self.closing:
            self.transport.registerProducer(self, True)
            self.send(self.greeting())

    def dataReceived(self, data: bytes) -> None:
        """Let the protocol take the bytes, write its replies, keep its limits."""
        if self.closing:
            return
        self._progress = False
        try:
            replies = self.received(data)
        except WireError as error:
            self.refuse(error.kind)
            return
        except Exception:  # noqa: BLE001 - our own fault must reach the log, never the peer
            self.server.fault("connection closed")
            self.close()
            return
        if replies:
            self._progress = True
            self.send(replies)
        self.note_half()
        if self.server.draining:
            self.close_if_drained()

    def note_half(self) -> None:
        """Take note of since when a request has begun that is not whole yet; after each that was."""
        if not self.incomplete():
            self.half_since = None
        elif self.half_since is None or self._progress:
            self.half_since = self.server.clock.seconds()

    def connectionLost(self, reason: Failure | None = None) -> None:  # noqa: ARG002 - Twisted gives it
        """Leave the server's books."""
        self.closing = True
        self.server.leave(self)
        self.lost()

    def pauseProducing(self) -> None:
        """The peer does not read: take no more requests from it."""
        self.stalled_since = self.server.clock.seconds()
        self._read(False)

    def resumeProducing(self) -> None:
        """The peer has read all: go on."""
        self.stalled_since = None
        if self.pending < self.max_pending:
            self._read(True)

    def stopProducing(self) -> None:
        """The connection is lost; connectionLost does the rest."""

    def _read(self, more: bool) -> None:
        if self.closing or self.transport is None:
            return
        if more:
            self.transport.resumeProducing()
        else:
            self.transport.pauseProducing()


class Server(Factory):
    """The connections of one hook. Subclasses implement ``connection``."""

    noisy = False

    def __init__(
        self, hook: str, clock: IReactorTime, counters: HookCounters, *, limited: Limited | None = None
    ) -> None:
        self.hook = hook
        self.clock = clock
        self.counters = counters
        self.limited = limited or Limited(clock.seconds)
        self.connections: set[Connection] = set()
        self.draining = False
        self._drained: list[Deferred[None]] = []
        self._sweeper = LoopingCall(self._sweep)
        self._sweeper.clock = clock

    def connection(self) -> Connection:
        """Make the protocol of a new connection."""
        raise NotImplementedError

    def buildProtocol(self, addr: IAddress | None) -> Connection | None:  # noqa: ARG002 - Twisted gives it
        """Make a connection, or close it at once (None) beyond the limit and while ending."""
        if self.draining:
            return None
        if len(self.connections) >= MAX_CONNECTIONS:
            self.counters.protocol_errors["connections"] += 1
            return None
        return self.connection()

    def enter(self, connection: Connection) -> None:
        """Keep account of a new connection."""
        self.connections.add(connection)
        self.counters.connections += 1
        if not self._sweeper.running:
            self._sweeper.start(SWEEP_SECONDS, now=False)

    def leave(self, connection: Connection) -> None:
        """Forget a connection that has ended."""
        self.connections.discard(connection)
        self.counters.connections -= 1
        if self.connections:
            return
        if self._sweeper.running:
            self._sweeper.stop()
        waiting, self._drained = self._drained, []
        for deferred in waiting:
            deferred.callback(None)

    def fault(self, consequence: str, failure: Failure | None = None) -> None:
        """Log the exception being handled (or ``failure``), and what the client hears instead; the same not too often.

        Only the kind of exception and the places in the code are logged: its text might repeat what the client sent.
        """
        failure = failure or Failure()  # type: ignore[no-untyped-call]
        held = self.limited.passes(f"fault {consequence} {failure.type}")
        if held is None:
            return
        log.error(
            "{hook}: internal error, {consequence}: {fault} ({held} more since the last report)",
            hook=self.hook,
            consequence=consequence,
            fault=describe(failure),
            held=held,
        )

    @property
    def pending(self) -> int:
        """Requests that wait for their answer."""
        return sum(connection.pending for connection in self.connections)

    def drain(self) -> Deferred[None]:
        """Close the idle now and the busy when they are answered; fires when none is left."""
        self.draining = True
        done: Deferred[None] = Deferred()
        if not self.connections:
            done.callback(None)
            return done
        self._drained.append(done)
        for connection in list(self.connections):
            connection.drain()
        return done

    def give_up(self) -> None:
        """End all connections; whoever still waits hears "try again" where the protocol has that."""
        for connection in list(self.connections):
            connection.give_up()

    def abort(self) -> None:
        """End all connections now."""
        self.draining = True
        for connection in list(self.connections):
            connection.abort()

    def _sweep(self) -> None:
        now = self.clock.seconds()
        for connection in list(self.connections):
            if connection.closing:
                if connection.closing_since is not None and now - connection.closing_since >= CLOSING_SECONDS:
                    connection.abort()
            elif connection.stalled_since is not None and now - connection.stalled_since >= STALLED_SECONDS:
                self.counters.protocol_errors["stalled"] += 1
                connection.abort()
            elif connection.half_since is not None and now - connection.half_since >= HALF_REQUEST_SECONDS:
                connection.refuse("half_request")
