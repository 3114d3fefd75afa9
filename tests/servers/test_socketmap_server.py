"""The socketmap server over a real store, from raw bytes to raw bytes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from mailhooks import tables
from mailhooks.counters import Count, Counters
from mailhooks.renewal import Renewal
from mailhooks.servers import replies
from mailhooks.servers.replies import ReplyCache
from mailhooks.servers.socketmap import SocketmapServer
from mailhooks.store import Unavailable, open_store
from mailhooks.wire import socketmap
from mailhooks.wire.netstring import encode

ADAM = b"40:virtual_mailbox_maps Adam+w@Example1.com,"
FOUND = b"20:OK adam@example1.com,"
MISSING = b"9:NOTFOUND ,"


class Scene:
    """A store, the server over it, and a client; ``asked`` are the lookups that reached the store."""

    def __init__(self, store, *, private=True):
        self.store = store
        self.asked = []
        self.clock = Clock()
        self.counters = Counters().hooks["socketmap"]
        self.server = SocketmapServer(
            self.clock,
            self.counters,
            tables={name: self.bound(name) for name in tables.TABLES},
            private=private,
        )
        self.renewal = Renewal(store, self.clock)
        self.renewal.on_change(self.server.replies.clear)
        self.renewal.renew()
        self.client = self.connect()

    def bound(self, name):
        def lookup(key):
            self.asked.append((name, key))
            return tables.TABLES[name](self.store, key, "+")

        return lookup

    def connect(self):
        protocol = self.server.buildProtocol(None)
        protocol.makeConnection(StringTransport())
        return protocol

    def say(self, data, client=None):
        client = client or self.client
        client.dataReceived(data)
        heard = client.transport.value()
        client.transport.clear()
        return heard

    def ask(self, table, key):
        return self.say(socketmap.request(table, key))


@pytest.fixture
def scene(store):
    with store.change("test") as change:
        change.add_domain("example1.com")
        change.add_mailbox("adam@example1.com")
    return Scene(store)


@pytest.fixture
def cached(scene):
    """ADAM's answer is remembered."""
    for _ in range(3):
        assert scene.say(ADAM) == FOUND
    assert len(scene.asked) == 2
    return scene


def fake(answer, *, private=True):
    """A server whose one table answers by ``answer``."""
    server = SocketmapServer(
        Clock(), Counters().hooks["socketmap"], tables={"t": answer, "smtp_sasl_password_maps": answer}, private=private
    )
    protocol = server.buildProtocol(None)
    protocol.makeConnection(StringTransport())
    return server, protocol


def test_found_and_not_found(scene):
    assert scene.say(ADAM) == FOUND
    assert scene.ask("virtual_mailbox_maps", "eve@example1.com") == MISSING
    assert scene.ask("virtual_mailbox_domains", "EXAMPLE1.com") == b"15:OK example1.com,"
    results = {key: count.value for key, count in scene.counters.requests.items() if count.value}
    assert results == {
        ("virtual_mailbox_maps", "found"): 1,
        ("virtual_mailbox_maps", "notfound"): 1,
        ("virtual_mailbox_domains", "found"): 1,
    }


@pytest.mark.parametrize(
    "key", ["*", "<>", '"<>"', '""', "a b@example1.com", '"a b"@example1.com', "jörg@exämple1.com", ""]
)
def test_every_odd_key_has_an_answer(scene, key):
    for table in tables.TABLES:
        assert scene.ask(table, key) == MISSING


def test_a_remembered_answer_is_counted_and_timed_like_any_other(cached):
    assert cached.counters.requests["virtual_mailbox_maps", "found"].value == 3
    assert sum(cached.counters.seconds.counts) == 3


def test_a_change_is_seen_by_the_next_request(cached):
    with cached.store.change("test") as change:
        change.remove_mailbox("adam@example1.com")
    cached.renewal.renew()
    assert cached.say(ADAM) == MISSING


def test_a_change_is_seen_on_connections_that_are_open_and_new(cached):
    other = cached.connect()
    assert cached.say(ADAM, other) == FOUND
    with cached.store.change("test") as change:
        change.remove_mailbox("adam@example1.com")
    cached.renewal.renew()
    assert cached.say(ADAM, other) == cached.say(ADAM, cached.connect()) == MISSING


def test_renewal_without_a_change_forgets_nothing(cached):
    cached.renewal.renew()
    cached.say(ADAM)
    assert len(cached.asked) == 2


def test_an_outage_is_temporary_though_the_answer_was_remembered(cached, tmp_path):
    (tmp_path / "mailhooks.db").rename(tmp_path / "away.db")
    cached.renewal.renew()
    for _ in range(3):
        assert cached.say(ADAM) == socketmap.temporary("the account store cannot answer now")
    assert cached.counters.requests["virtual_mailbox_maps", "temporary"].value == 3


def test_another_store_in_the_place_of_the_first_answers_for_itself(cached, tmp_path):
    other = open_store(f"sqlite:///{tmp_path}/other/mailhooks.db", key_file=tmp_path / "key", create=True)
    while other.change_number < cached.store.change_number:
        with other.change("test") as change:
            change.set_setting("x", str(other.change_number))
        other.renew()
    other.close()
    (tmp_path / "other" / "mailhooks.db").replace(tmp_path / "mailhooks.db")
    for _ in range(3):
        cached.renewal.renew()
        cached.clock.advance(1)
    assert cached.say(ADAM) != FOUND


def test_temporary_answers_are_never_remembered():
    answers = iter([Unavailable("away"), ValueError("broken"), Unavailable("away"), "x", "x"])

    def answer(_key):
        each = next(answers)
        if isinstance(each, Exception):
            raise each
        return each

    _, protocol = fake(answer)
    for _ in range(5):
        protocol.dataReceived(b"3:t k,")
    heard = protocol.transport.value()
    assert heard.count(b"TEMP ") == 3
    assert heard.endswith(b"4:OK x,4:OK x,")


def test_our_own_fault_is_temporary_and_keeps_the_connection():
    def answer(key):
        raise KeyError(key)

    server, protocol = fake(answer)
    protocol.dataReceived(b"8:t s3cret,")
    assert protocol.transport.value() == b"19:TEMP internal error,"
    assert not protocol.transport.disconnecting
    assert server.counters.requests["t", "temporary"].value == 1


@pytest.mark.parametrize("value", ["", " ", "x" * socketmap.MAX_REPLY])
def test_a_value_that_postfix_would_misread_is_temporary_and_asked_again(value):
    server, protocol = fake(lambda _key: value)
    for _ in range(3):
        protocol.dataReceived(b"3:t k,")
    assert protocol.transport.value().count(b":TEMP ") == 3
    assert server.counters.requests["t", "temporary"].value == 3
    assert server.counters.requests["t", "found"].value == 0
    assert not server.replies.young


def test_an_unknown_table_is_temporary_and_counted_under_no_name_of_the_client(scene):
    assert scene.ask("nonsense", "adam@example1.com") == socketmap.temporary("there is no such table on this listener")
    assert scene.counters.requests["unknown", "temporary"].value == 1
    assert ("nonsense", "temporary") not in scene.counters.requests


def test_relay_passwords_are_served_on_private_listeners_only_and_never_remembered():
    server, protocol = fake(lambda _key: "user:password")
    for _ in range(3):
        protocol.dataReceived(socketmap.request("smtp_sasl_password_maps", "[relay.example.net]:587"))
    assert protocol.transport.value().count(b"OK user:password") == 3
    assert not server.replies.young
    _, public = fake(lambda _key: "user:password", private=False)
    public.dataReceived(socketmap.request("smtp_sasl_password_maps", "[relay.example.net]:587"))
    assert public.transport.value().startswith(b"44:TEMP ")


def test_requests_cut_anywhere_are_answered_the_same(scene):
    conversation = ADAM + b"25:virtual_alias_domains x.y," + ADAM
    expected = FOUND + MISSING + FOUND
    for size in (1, 2, 7, len(ADAM), len(ADAM) + 3, len(conversation)):
        heard = b"".join(scene.say(conversation[at : at + size]) for at in range(0, len(conversation), size))
        assert heard == expected


def test_bytes_that_look_like_a_remembered_request_inside_another_are_none(cached):
    inside = b"virtual_alias_maps " + ADAM
    frame = encode(inside)
    start = frame.index(ADAM)
    assert cached.say(frame[:start]) == b""
    assert cached.say(ADAM) == b""
    assert cached.say(frame[start + len(ADAM) :]) == MISSING


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"hello\n", "framing"),
        (b"get x\n", "framing"),
        (b"5:hello;", "framing"),
        (b"05:hello,", "framing"),
        (b":x,", "framing"),
        (b"-1:x,", "framing"),
        (b"3:abcdefg,", "framing"),
        (b"99999999999999999999:", "oversized"),
        (b"16385:", "oversized"),
        (b"5:hello,", "field"),
        (b"0:,", "field"),
        (b"3: kk,", "field"),
        (b"4:t \xff\xfe,", "encoding"),
        (b"\0\0\0\0", "framing"),
    ],
)
def test_malformed_input_is_temporary_and_ends_the_connection(scene, data, kind):
    assert scene.say(data) == b"22:TEMP malformed request,"
    assert scene.client.transport.disconnecting
    assert scene.counters.protocol_errors == {kind: 1}
    assert scene.say(ADAM) == b""


@given(data=st.lists(st.binary(max_size=40), max_size=8))
def test_no_rubbish_breaks_the_server_or_is_taken_for_an_answer(data):
    server, protocol = fake(lambda _key: None)
    for piece in data:
        protocol.dataReceived(piece)
    heard = protocol.transport.value()
    assert heard.replace(MISSING, b"").replace(socketmap.temporary("malformed request"), b"").count(b"OK") == 0
    assert protocol.transport.disconnecting == bool(server.counters.protocol_errors)


def entry(text):
    return text.encode(), Count()


def test_what_is_asked_once_is_not_kept():
    cache = ReplyCache()
    cache.add(b"a", entry("1"))
    assert cache.young == {}
    cache.add(b"a", entry("1"))
    assert cache.young.keys() == {b"a"}


def test_the_cache_is_bounded_and_keeps_what_is_asked_for(monkeypatch):
    monkeypatch.setattr(replies, "MAX_GENERATION_BYTES", 50 * replies.ENTRY_OVERHEAD)
    cache = ReplyCache()
    often = b"often", entry("x")
    for _ in range(2):
        cache.add(*often)
    for number in range(500):
        for _ in range(2):
            cache.add(b"%d" % number, entry("x"))
        if often[0] not in cache.young:
            assert cache.find(often[0]) is often[1]
        assert len(cache.young) + len(cache.old) <= 100


def test_a_large_reply_is_not_kept():
    cache = ReplyCache()
    for _ in range(3):
        cache.add(b"list", entry("x" * replies.MAX_ENTRY_BYTES))
    assert cache.young == {}


def test_clear_empties_both_generations_and_keeps_the_dict_that_connections_hold():
    cache = ReplyCache()
    young = cache.young
    for _ in range(2):
        cache.add(b"a", entry("1"))
    cache.old = {b"b": entry("2")}
    cache.clear()
    assert young is cache.young
    assert cache.young == cache.old == {}
    assert cache.find(b"b") is None


def reader(**values):
    return SimpleNamespace(
        **({"available": True, "generation": 1, "change_number": 1, "next_change_at": None, "reason": ""} | values),
        renew=lambda: None,
    )


@pytest.mark.parametrize(
    ("name", "value"), [("available", False), ("generation", 2), ("change_number", 2), ("next_change_at", 17.0)]
)
def test_whatever_changes_answers_makes_the_caches_forget_once(name, value):
    store = reader()
    renewal, forgotten = Renewal(store, Clock()), []
    renewal.on_change(lambda: forgotten.append(1))
    renewal.renew()
    forgotten.clear()
    setattr(store, name, value)
    renewal.renew()
    renewal.renew()
    assert forgotten == [1]


def test_an_outage_is_counted_once():
    store = reader()
    renewal = Renewal(store, Clock())
    for available in (True, False, False, True, False):
        store.available = available
        renewal.renew()
    assert renewal.store_errors == 2


def test_the_timer_renews_every_20_ms_and_measures_how_late_it_was():
    clock, renewed = Clock(), []
    store = reader()
    store.renew = lambda: renewed.append(clock.seconds())
    renewal = Renewal(store, clock)
    renewal.start()
    clock.pump([0.02] * 50)
    assert len(renewed) == 51
    assert renewal.lag == pytest.approx(0.0)
    clock.advance(0.52)
    assert renewal.lag == pytest.approx(0.5)
    clock.pump([1.0] * 40)
    clock.pump([0.02] * 1600)
    assert renewal.lag < 0.1
    renewal.stop()
    assert clock.getDelayedCalls() == []
