"""The HTTP pages over the real twisted.web, on StringTransports."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure

from mailhooks.counters import HookCounters
from mailhooks.servers import http
from mailhooks.servers.http import HttpFactory, Page

GONE = Failure(ConnectionDone())


class Scene:
    def __init__(self):
        self.token = ""
        self.later = Deferred()
        self.counters = HookCounters()
        self.factory = HttpFactory(
            {
                b"metrics": Page(lambda: (200, b"numbers\n"), b"text/plain; version=0.0.4", token=lambda: self.token),
                b"healthz": Page(lambda: (200, b"alive\n")),
                b"readyz": Page(lambda: self.later, token=lambda: self.token),
            },
            self.counters,
            Clock(),
        )

    def connect(self):
        protocol = self.factory.buildProtocol(None)
        transport = StringTransport()
        transport.protocol = protocol
        protocol.makeConnection(transport)
        return transport

    def ask(self, path, *headers, method="GET"):
        transport = self.connect()
        lines = [f"{method} {path} HTTP/1.1", "Host: x", "Connection: close", *headers, "", ""]
        transport.protocol.dataReceived("\r\n".join(lines).encode())
        return transport


@pytest.fixture
def scene():
    return Scene()


def status(transport):
    return int(transport.value().split()[1])


def body(transport):
    return transport.value().partition(b"\r\n\r\n")[2]


def test_pages_are_served_with_their_type(scene):
    metrics = scene.ask("/metrics")
    assert status(metrics) == 200
    assert body(metrics) == b"numbers\n"
    assert b"content-type: text/plain; version=0.0.4" in metrics.value().lower()
    assert body(scene.ask("/healthz")) == b"alive\n"


def test_there_is_nothing_else(scene):
    assert status(scene.ask("/")) == 404
    assert status(scene.ask("/metrics/more")) == 404
    assert status(scene.ask("/healthz", method="POST")) == 405


@pytest.mark.parametrize(
    "given", [[], ["Authorization: Bearer wrong"], ["Authorization: Basic s3cret"], ["Authorization: s3cret"]]
)
def test_with_a_token_only_its_bearer_is_served(scene, given):
    scene.token = "s3cret"
    refused = scene.ask("/metrics", *given)
    assert status(refused) == 401
    assert b"numbers" not in refused.value()
    assert b"s3cret" not in refused.value()
    assert status(scene.ask("/readyz", *given)) == 401
    assert status(scene.ask("/metrics", "Authorization: Bearer s3cret")) == 200
    assert status(scene.ask("/healthz", *given)) == 200


def test_readiness_is_said_when_it_is_known(scene):
    transport = scene.ask("/readyz")
    assert transport.value() == b""
    scene.later.callback((503, b"policy: answers that it cannot answer now\n"))
    assert status(transport) == 503
    assert b"policy: answers" in transport.value()


def test_an_asker_that_went_away_is_no_error(scene):
    transport = scene.ask("/readyz")
    transport.protocol.connectionLost(GONE)
    seen = []
    globalLogPublisher.addObserver(seen.append)
    scene.later.callback((200, b"ready\n"))
    globalLogPublisher.removeObserver(seen.append)
    assert seen == []
    assert transport.value() == b""


def test_our_own_fault_is_an_error_without_details(scene):
    transport = scene.ask("/readyz")
    scene.later.errback(ValueError("s3cret"))
    assert status(transport) == 500
    assert b"s3cret" not in transport.value()


def test_connections_are_counted_and_limited(scene, monkeypatch):
    monkeypatch.setattr(http, "MAX_CONNECTIONS", 2)
    first, _ = scene.connect(), scene.connect()
    assert scene.counters.connections == 2
    assert scene.factory.buildProtocol(None) is None
    assert scene.counters.protocol_errors == {"connections": 1}
    first.protocol.connectionLost(GONE)
    assert scene.counters.connections == 1
