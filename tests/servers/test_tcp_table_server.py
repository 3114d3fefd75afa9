from __future__ import annotations

import pytest
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from mailhooks import tables
from mailhooks.counters import HookCounters
from mailhooks.servers.tcp_table import TcpTableServer
from mailhooks.store import Unavailable


def connect(lookup):
    server = TcpTableServer(Clock(), HookCounters(), table="virtual_alias_maps", lookup=lookup)
    protocol = server.buildProtocol(None)
    protocol.makeConnection(StringTransport())
    return server, protocol


def say(protocol, data):
    protocol.dataReceived(data)
    heard = protocol.transport.value()
    protocol.transport.clear()
    return heard


@pytest.fixture
def scene(store):
    with store.change("test") as change:
        change.add_domain("example1.com")
        change.add_mailbox("adam@example1.com")
        change.add_mailbox("jörg@example1.com")
        change.add_alias("sales@example1.com", ["adam@example1.com", "jörg@example1.com"])
    store.renew()
    return connect(lambda key: tables.virtual_alias_maps(store, key, "+"))


def test_found_not_found_and_percent_signs_both_ways(scene):
    server, protocol = scene
    assert say(protocol, b"get Sales@Example1.com\n") == b"200 adam@example1.com,j%C3%B6rg@example1.com\n"
    assert say(protocol, b"get %73ales@example1.com\n").startswith(b"200 ")
    assert say(protocol, b"get nobody@example1.com\n").startswith(b"500 ")
    assert {key: count.value for key, count in server.counters.requests.items()} == {
        ("virtual_alias_maps", "found"): 2,
        ("virtual_alias_maps", "notfound"): 1,
    }
    assert sum(server.counters.seconds.counts) == 3


def test_requests_cut_anywhere_are_answered_the_same(scene):
    _, protocol = scene
    conversation = b"get sales@example1.com\nget a%20b\n"
    whole = say(protocol, conversation)
    assert whole.count(b"\n") == 2
    assert b"".join(say(protocol, bytes([byte])) for byte in conversation) == whole


@pytest.mark.parametrize("error", [Unavailable("away"), ValueError("s3cret")])
def test_an_outage_and_our_own_fault_are_temporary_and_keep_the_connection(error):
    def lookup(_key):
        raise error

    server, protocol = connect(lookup)
    heard = say(protocol, b"get x@y\n")
    assert heard.startswith(b"400 ")
    assert b"s3cret" not in heard
    assert not protocol.transport.disconnecting
    assert server.counters.requests["virtual_alias_maps", "temporary"].value == 1


def test_a_value_longer_than_a_line_is_temporary_not_found_or_cut():
    server, protocol = connect(lambda _key: "ö" * 2000)
    assert say(protocol, b"get x@y\n").startswith(b"400 ")
    assert server.counters.requests["virtual_alias_maps", "temporary"].value == 1


@pytest.mark.parametrize(
    "data", [b"put x y\n", b"get\n", b"get %zz\n", b"get %ff\n", b"\n", b"x" * 5000, b"get " + b"x" * 5000 + b"\n"]
)
def test_malformed_input_is_temporary_and_ends_the_connection(scene, data):
    server, protocol = scene
    assert say(protocol, data) == b"400 malformed%20request\n"
    assert protocol.transport.disconnecting
    assert sum(server.counters.protocol_errors.values()) == 1
