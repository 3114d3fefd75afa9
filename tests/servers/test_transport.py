"""The transports over real socket pairs; the reactor is a list of who wants to read and write."""

from __future__ import annotations

import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Protocol
from twisted.internet.testing import MemoryReactor
from twisted.python.failure import Failure

from mailhooks.servers.transport import FIRST_BYTES, TCPTransport, UNIXTransport, peer_uid

SMALL = 4096  # of a socket's buffer; the kernel doubles it


class Recorder(Protocol):
    def __init__(self):
        self.events = []

    def dataReceived(self, data):  # noqa: N802 - Twisted's name
        self.events.append(data)

    def connectionLost(self, reason):  # noqa: N802 - Twisted's name
        self.events.append(reason.type)

    def pauseProducing(self):  # noqa: N802 - Twisted's name
        self.events.append("pause")

    def resumeProducing(self):  # noqa: N802 - Twisted's name
        self.events.append("resume")

    def stopProducing(self):  # noqa: N802 - Twisted's name
        self.events.append("stop")


class Pair:
    """A transport and the bare socket at its other end."""

    def __init__(self, kind=UNIXTransport, family=socket.AF_UNIX):
        if family == socket.AF_UNIX:
            ours, self.peer = socket.socketpair()
        else:
            with socket.socket(family) as listening:
                listening.bind(("127.0.0.1", 0))
                listening.listen()
                self.peer = socket.create_connection(listening.getsockname())
                ours, _ = listening.accept()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)
        self.peer.setblocking(False)
        self.reactor = MemoryReactor()
        self.protocol = Recorder()
        client = "" if family == socket.AF_UNIX else ("127.0.0.1", 0)
        self.transport = kind(ours, self.protocol, client, None, 0, self.reactor)
        self.protocol.makeConnection(self.transport)

    @property
    def writing(self):
        return self.transport in self.reactor.getWriters()

    @property
    def reading(self):
        return self.transport in self.reactor.getReaders()

    def take(self, limit=1 << 20):
        try:
            return self.peer.recv(limit)
        except BlockingIOError:
            return b""

    def flush(self):
        """What the reactor does while the peer reads everything."""
        taken = self.take()
        while self.writing:
            assert self.transport.doWrite() is None
            taken += self.take()
        while more := self.take():
            taken += more
        return taken

    def close(self):
        self.peer.close()
        if hasattr(self.transport, "socket"):
            self.transport.socket.close()


@pytest.fixture(params=[(UNIXTransport, socket.AF_UNIX), (TCPTransport, socket.AF_INET)], ids=["unix", "tcp"])
def pair(request):
    made = Pair(*request.param)
    yield made
    made.close()


def blob(size):
    return bytes(number * 7 % 251 for number in range(size))


def receive(pair, data):
    pair.peer.send(data)
    assert pair.transport.doRead() is None


def test_a_reply_is_sent_before_write_returns(pair):
    pair.transport.write(b"4:OK x,")
    assert pair.take() == b"4:OK x,"
    assert not pair.writing


def test_what_the_kernel_does_not_take_is_sent_by_the_reactor(pair):
    data = blob(300_000)
    pair.transport.write(data)
    assert pair.writing
    assert pair.flush() == data
    assert not pair.writing


def test_what_comes_behind_a_partial_send_waits_for_its_turn(pair):
    data = blob(300_000)
    pair.transport.write(data)
    pair.take(1000)  # now there is room, and b"last" would fit
    pair.transport.write(b"last")
    assert pair.flush() == data[1000:] + b"last"


def test_after_a_partial_send_it_sends_at_once_again(pair):
    pair.transport.write(blob(300_000))
    pair.flush()
    pair.transport.write(b"again")
    assert pair.take() == b"again"
    assert not pair.writing


@given(writes=st.lists(st.tuples(st.integers(0, 60_000), st.integers(0, 30_000)), max_size=12))
def test_the_stream_arrives_whole_and_in_order(writes):
    pair = Pair()
    sent = taken = b""
    for number, (size, read) in enumerate(writes):
        data = bytes([number]) * size
        pair.transport.write(data)
        sent += data
        taken += pair.take(read) if read else b""
        if number % 3 == 0 and pair.writing:
            pair.transport.doWrite()
    assert taken + pair.flush() == sent
    pair.close()


def test_a_peer_that_does_not_read_pauses_the_producer_until_it_does(pair):
    pair.transport.registerProducer(pair.protocol, True)
    data = blob(300_000)
    pair.transport.write(data)
    assert pair.protocol.events == ["pause"]
    assert pair.flush() == data
    assert pair.protocol.events == ["pause", "resume"]


def test_a_little_that_waits_pauses_nobody(pair):
    pair.transport.registerProducer(pair.protocol, True)
    while not pair.writing:
        pair.transport.write(blob(1000))
    assert pair.protocol.events == []


def test_a_peer_that_is_gone_raises_nothing_in_write_and_is_lost_by_the_reactor(pair):
    pair.peer.close()
    pair.transport.write(b"first")
    while not pair.writing:  # TCP takes what comes before the reset
        pair.transport.write(b"more")
    assert pair.protocol.events == []
    reason = pair.transport.doWrite()
    assert isinstance(reason, ConnectionLost)


def test_a_write_after_the_loss_does_nothing(pair):
    pair.transport.connectionLost(Failure(ConnectionDone()))
    pair.transport.write(b"late")
    assert pair.protocol.events == [ConnectionDone]
    assert not pair.writing


def test_closing_sends_the_rest_first(pair):
    data = blob(300_000)
    pair.transport.write(data)
    pair.transport.loseConnection()
    taken, reason = b"", None
    while reason is None:
        taken += pair.take()
        reason = pair.transport.doWrite()
    assert isinstance(reason, ConnectionDone)
    assert taken + pair.take() == data


def test_it_reads_what_there_is_and_survives_a_false_alarm(pair):
    receive(pair, b"one")
    assert pair.transport.doRead() is None
    assert pair.protocol.events == [b"one"]


@pytest.mark.parametrize("size", [FIRST_BYTES - 1, FIRST_BYTES, FIRST_BYTES + 1, 40_000])
def test_much_is_handed_over_as_one(size):
    pair = Pair()
    pair.peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    assert pair.peer.send(blob(size)) == size
    assert pair.transport.doRead() is None
    assert pair.protocol.events == [blob(size)]
    pair.close()


def test_what_came_before_the_end_is_handed_over_first():
    pair = Pair()
    assert pair.peer.send(blob(FIRST_BYTES)) == FIRST_BYTES
    pair.peer.close()
    assert pair.transport.doRead() is None
    assert pair.protocol.events == [blob(FIRST_BYTES)]
    assert isinstance(pair.transport.doRead(), ConnectionDone)
    pair.close()


def test_the_end_of_the_stream_is_the_end_of_the_connection(pair):
    pair.peer.close()
    assert isinstance(pair.transport.doRead(), ConnectionDone)


def test_a_reset_is_a_loss(pair):
    pair.transport.socket.close()
    assert isinstance(pair.transport.doRead(), ConnectionLost)


def test_the_peer_of_a_unix_socket_is_known():
    pair = Pair()
    assert peer_uid(pair.transport) == os.geteuid()
    pair.close()


def test_the_peer_of_a_tcp_socket_is_nobody():
    pair = Pair(TCPTransport, socket.AF_INET)
    assert peer_uid(pair.transport) is None
    assert pair.transport.getTcpNoDelay()
    assert pair.transport.getTcpKeepAlive()
    pair.close()


def test_something_without_a_socket_has_no_peer():
    assert peer_uid(None) is None
