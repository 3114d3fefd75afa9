"""What all servers share, shown with the smallest protocol there is: lines that are echoed, some of them later."""

from __future__ import annotations

import pytest
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import globalLogPublisher
from zope.interface import implementer

from mailhooks.counters import HookCounters
from mailhooks.servers import base
from mailhooks.wire.errors import WireError
from mailhooks.wire.lines import LineParser


class EchoConnection(base.Connection):
    def __init__(self, server):
        super().__init__(server)
        self.parser = LineParser(20)
        self.later = []
        self.was_lost = False

    def greeting(self):
        return b"hello\n"

    def answer(self, value):
        if value == b"wrong":
            raise WireError("unknown_command", "wrong")
        if value == b"broken":
            raise RuntimeError("s3cret")
        if value.startswith(b"later"):
            self.begin()
            return b""
        return value + b"\n"

    def error_reply(self, kind):  # noqa: ARG002 - the base calls it with one
        return b"error\n"

    def lost(self):
        self.was_lost = True


class EchoServer(base.Server):
    def connection(self):
        return EchoConnection(self)


class Transport(StringTransport):
    """Knows when it was aborted."""

    aborted = False

    def abortConnection(self):  # noqa: N802 - Twisted's name
        self.aborted = True
        super().abortConnection()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def server(clock):
    return EchoServer("echo", clock, HookCounters())


@pytest.fixture
def events():
    seen = []
    globalLogPublisher.addObserver(seen.append)
    yield seen
    globalLogPublisher.removeObserver(seen.append)


def connect(server):
    protocol = server.buildProtocol(None)
    protocol.makeConnection(Transport())
    assert protocol.transport.value() == b"hello\n"
    protocol.transport.clear()
    return protocol


def writes(protocol):
    """Every write by itself."""
    seen = []
    protocol.transport.write = seen.append
    return seen


def test_all_requests_of_one_read_are_answered_by_one_write(server):
    protocol = connect(server)
    seen = writes(protocol)
    protocol.dataReceived(b"a\nb\nc\nd")
    assert seen == [b"a\nb\nc\n"]


def test_wrong_input_is_answered_after_the_good_before_it_and_then_the_connection_ends(server):
    protocol = connect(server)
    protocol.dataReceived(b"a\nwrong\nb\n")
    assert protocol.transport.value() == b"a\nerror\n"
    assert protocol.transport.disconnecting
    assert server.counters.protocol_errors == {"unknown_command": 1}


def test_oversized_input_is_answered_after_the_good_before_it(server):
    protocol = connect(server)
    protocol.dataReceived(b"a\n" + b"x" * 30)
    assert protocol.transport.value() == b"a\nerror\n"
    assert server.counters.protocol_errors == {"oversized": 1}


def test_a_client_that_asks_for_too_much_at_once_is_cut_off(server, monkeypatch):
    monkeypatch.setattr(base, "MAX_REPLIES_BYTES", 10)
    protocol = connect(server)
    protocol.dataReceived(b"1234\n5678\n")
    assert not protocol.transport.disconnecting
    protocol.transport.clear()
    protocol.dataReceived(b"1234\n5678\n9\nnever\n")
    assert protocol.transport.value() == b"1234\n5678\n9\nerror\n"
    assert protocol.transport.disconnecting
    assert server.counters.protocol_errors == {"oversized": 1}


def test_nothing_is_heard_from_a_connection_that_ends(server):
    protocol = connect(server)
    protocol.dataReceived(b"wrong\n")
    protocol.transport.clear()
    protocol.dataReceived(b"a\n")
    assert protocol.transport.value() == b""


def test_our_own_fault_ends_the_connection_and_is_logged_without_what_was_said(server, events):
    protocol = connect(server)
    protocol.dataReceived(b"broken\n")
    assert protocol.transport.value() == b""
    assert protocol.transport.disconnecting
    (event,) = [event for event in events if "internal error" in event["log_format"]]
    assert "RuntimeError" in event["fault"]
    assert "answer" in event["fault"]
    assert "s3cret" not in str(event)


def test_the_same_fault_is_logged_once_in_a_while(server, clock, events):
    for _ in range(5):
        connect(server).dataReceived(b"broken\n")
    clock.advance(base.SWEEP_SECONDS * 3)
    connect(server).dataReceived(b"broken\n")
    assert [event["held"] for event in events if "internal error" in event["log_format"]] == [0, 4]


def test_connections_are_counted(server):
    first, second = connect(server), connect(server)
    assert server.counters.connections == 2
    first.connectionLost()
    second.connectionLost()
    assert server.counters.connections == 0
    assert first.was_lost


def test_no_timer_is_left_when_nobody_is_connected(server, clock):
    connect(server).connectionLost()
    assert clock.getDelayedCalls() == []


def test_too_many_connections_are_refused_and_counted(server, monkeypatch):
    monkeypatch.setattr(base, "MAX_CONNECTIONS", 2)
    connect(server)
    connect(server)
    assert server.buildProtocol(None) is None
    assert server.counters.protocol_errors == {"connections": 1}


def test_an_idle_client_may_stay(server, clock):
    protocol = connect(server)
    protocol.dataReceived(b"a\n")
    clock.pump([base.SWEEP_SECONDS] * 720)  # an hour
    protocol.dataReceived(b"b\n")
    assert protocol.transport.value() == b"a\nb\n"


def test_a_silent_client_that_never_said_anything_may_stay(server, clock):
    protocols = [connect(server) for _ in range(1000)]
    clock.pump([base.SWEEP_SECONDS] * 200)
    assert not any(protocol.closing for protocol in protocols)


def test_half_a_request_must_become_whole(server, clock):
    protocol = connect(server)
    protocol.dataReceived(b"half")
    clock.pump([base.SWEEP_SECONDS] * 5)
    assert not protocol.closing
    clock.pump([base.SWEEP_SECONDS] * 2)
    assert protocol.transport.value() == b"error\n"
    assert protocol.transport.disconnecting
    assert server.counters.protocol_errors == {"half_request": 1}


def test_a_request_that_comes_byte_by_byte_has_no_more_time_for_it(server, clock):
    protocol = connect(server)
    for _ in range(8):
        protocol.dataReceived(b"x")
        clock.advance(base.SWEEP_SECONDS)
    assert protocol.transport.disconnecting


def test_a_busy_client_whose_reads_end_in_half_a_request_is_no_silent_one(server, clock):
    protocol = connect(server)
    for _ in range(20):
        protocol.dataReceived(b"a\nb")
        clock.advance(base.SWEEP_SECONDS)
        protocol.dataReceived(b"\nc")
        clock.advance(base.SWEEP_SECONDS)
        protocol.dataReceived(b"\n")
    assert not protocol.closing


def test_a_peer_that_does_not_read_is_not_read_either(server):
    protocol = connect(server)
    protocol.pauseProducing()
    assert protocol.transport.producerState == "paused"
    protocol.resumeProducing()
    assert protocol.transport.producerState == "producing"


def test_a_peer_that_never_reads_is_cut_off(server, clock):
    protocol = connect(server)
    protocol.pauseProducing()
    clock.pump([base.SWEEP_SECONDS] * int(base.STALLED_SECONDS / base.SWEEP_SECONDS + 1))
    assert protocol.transport.aborted
    assert server.counters.protocol_errors == {"stalled": 1}


def test_a_closing_connection_whose_peer_takes_nothing_is_cut_off(server, clock):
    protocol = connect(server)
    protocol.close()
    assert not protocol.transport.aborted
    clock.pump([base.SWEEP_SECONDS] * 3)
    assert protocol.transport.aborted


def test_too_many_unanswered_requests_pause_reading_until_half_are_answered(server):
    protocol = connect(server)
    protocol.dataReceived(b"later\n" * base.MAX_PENDING)
    assert protocol.transport.producerState == "paused"
    for _ in range(base.MAX_PENDING // 2 - 1):
        protocol.finish(b"x\n")
    assert protocol.transport.producerState == "paused"
    protocol.finish(b"x\n")
    assert protocol.transport.producerState == "producing"


def test_a_peer_that_does_not_read_stays_paused_though_requests_are_answered(server):
    protocol = connect(server)
    protocol.dataReceived(b"later\n" * base.MAX_PENDING)
    protocol.pauseProducing()
    for _ in range(base.MAX_PENDING):
        protocol.finish(b"x\n")
    assert protocol.transport.producerState == "paused"
    protocol.resumeProducing()
    assert protocol.transport.producerState == "producing"


def test_a_late_answer_to_a_client_that_is_gone_goes_nowhere(server):
    protocol = connect(server)
    protocol.dataReceived(b"later\n")
    protocol.connectionLost()
    protocol.finish(b"x\n")
    assert protocol.transport.value() == b""


def test_draining_closes_the_idle_now_and_the_busy_when_they_are_answered(server):
    idle, busy = connect(server), connect(server)
    busy.dataReceived(b"later\nlater\n")
    done = server.drain()
    assert idle.transport.disconnecting
    assert not busy.transport.disconnecting
    busy.finish(b"1\n")
    assert not busy.transport.disconnecting
    busy.finish(b"2\n")
    assert busy.transport.disconnecting
    assert busy.transport.value() == b"1\n2\n"
    idle.connectionLost()
    assert not done.called
    busy.connectionLost()
    assert done.called


@implementer(ISSLTransport)
class TlsTransport(Transport):
    """Behind TLS, whose handshake is not done yet."""


def test_who_never_shakes_hands_kept_his_place_for_ever(server, clock):
    never, slow = server.buildProtocol(None), server.buildProtocol(None)
    for protocol in (never, slow):
        protocol.makeConnection(TlsTransport())
    assert slow.transport.value() == b""
    slow.handshakeCompleted()
    assert slow.transport.value() == b"hello\n"
    clock.advance(base.HALF_REQUEST_SECONDS + base.SWEEP_SECONDS)
    assert never.closing
    assert not slow.closing


class LateTransport(Transport):
    """Has something to be read when it is asked, as a socket may."""

    def doRead(self):  # noqa: N802 - Twisted's name
        self.protocol.dataReceived(self.unread)


@pytest.mark.parametrize(("unread", "answered", "ended"), [(b"one\n", b"one\n", True), (b"later\n", b"", False)])
def test_what_was_asked_a_moment_before_the_end_is_answered(server, unread, answered, ended):
    """Dovecot 2.3 took the close for a wrong password."""
    protocol = server.buildProtocol(None)
    transport = LateTransport()
    transport.protocol, transport.unread = protocol, unread
    protocol.makeConnection(transport)
    transport.clear()
    server.drain()
    assert transport.value() == answered
    assert transport.disconnecting is ended


def test_nobody_is_let_in_while_draining(server):
    assert server.drain().called
    assert server.buildProtocol(None) is None


def test_the_end_is_the_end(server):
    protocol = connect(server)
    protocol.dataReceived(b"later\n")
    server.abort()
    assert protocol.transport.aborted
