"""The reactor's short way from an event to its transport, with real sockets and no installed reactor."""

from __future__ import annotations

import socket

import pytest
from twisted.internet.main import CONNECTION_DONE
from twisted.logger import globalLogPublisher

from mailhooks.reactor import Reactor


class Reader:
    """Reads from one end of a pair, and does what a test says then."""

    def __init__(self, reactor, then=lambda: None):
        self.socket, self.peer = socket.socketpair()
        self.then = then
        self.seen = []
        reactor.addReader(self)
        self.peer.send(b"x")

    def fileno(self):
        return self.socket.fileno()

    def logPrefix(self):  # noqa: N802 - Twisted's name
        pytest.fail("the logging context was entered")

    def doRead(self):  # noqa: N802 - Twisted's name
        self.seen.append(self.socket.recv(10))
        return self.then()

    def connectionLost(self, reason):  # noqa: N802 - Twisted's name
        self.seen.append(reason.type)
        raise RuntimeError("a fault of ours")

    def close(self):
        self.socket.close()
        self.peer.close()


@pytest.fixture
def reactor():
    reactor = Reactor()
    yield reactor
    for each in reactor.removeAll():
        if isinstance(each, Reader):
            each.close()
    for waker in reactor._internalReaders:
        waker.connectionLost(None)
    reactor._poller.close()


@pytest.fixture
def events():
    seen = []
    globalLogPublisher.addObserver(seen.append)
    yield seen
    globalLogPublisher.removeObserver(seen.append)


def test_serves_everybody_who_is_ready(reactor):
    readers = [Reader(reactor) for _ in range(3)]
    reactor.doIteration(0)
    assert [reader.seen for reader in readers] == [[b"x"]] * 3


def test_passes_over_who_left_while_others_were_served(reactor):
    readers = []
    readers += [Reader(reactor, then=lambda: reactor.removeReader(readers[1])) for _ in range(2)]
    readers[1].then = lambda: reactor.removeReader(readers[0])
    reactor.doIteration(0)
    assert sorted(len(reader.seen) for reader in readers) == [0, 1]
    reactor.removeAll()
    for reader in readers:
        reader.close()


def test_a_connection_that_fails_at_its_end_is_logged_and_holds_up_nobody(reactor, events):
    failing = [Reader(reactor, then=lambda: CONNECTION_DONE) for _ in range(2)]
    reactor.doIteration(0)
    assert [len(reader.seen) for reader in failing] == [2, 2]
    faults = [event["log_failure"].type for event in events if "log_failure" in event]
    assert faults == [RuntimeError, RuntimeError]
    for reader in failing:
        reader.close()


def test_waits_no_longer_than_asked(reactor):
    reactor.doIteration(0.001)
    assert not reactor.removeAll()


def test_a_transport_that_fails_while_reading_ends_and_holds_up_nobody(reactor, events):
    failing, sound = Reader(reactor, then=lambda: 1 / 0), Reader(reactor)
    reactor.doIteration(0)
    assert failing.seen == [b"x", ZeroDivisionError]
    assert sound.seen == [b"x"]
    faults = [event["log_failure"].type for event in events if "log_failure" in event]
    assert ZeroDivisionError in faults
    assert failing not in reactor.getReaders()
    failing.close()
