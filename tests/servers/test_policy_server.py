"""The policy server with real rules over a real store, and with rules that fail."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import globalLogPublisher

from mailhooks.counters import Counters
from mailhooks.policy import Settings, UnknownRule
from mailhooks.servers.policy import PolicyServer
from mailhooks.servers.rules import Rules
from mailhooks.store import Unavailable
from mailhooks.wire.policy import Dunno, Reject

REQUEST = (
    "request=smtpd_access_policy\nprotocol_state=RCPT\nsender={sender}\nrecipient={recipient}\nsize=100\n"
    "instance=1.2.3\nsasl_username={login}\npolicy_context={context}\n\n"
)
DUNNO = b"action=DUNNO\n\n"


def request(sender="", recipient="", login="", context=""):
    return REQUEST.format(sender=sender, recipient=recipient, login=login, context=context).encode()


def connect(decide, counters=None):
    server = PolicyServer(Clock(), (counters or Counters()).hooks["policy"], decide=decide)
    protocol = server.buildProtocol(None)
    protocol.makeConnection(StringTransport())
    return server, protocol


def say(protocol, data):
    protocol.dataReceived(data)
    heard = protocol.transport.value()
    protocol.transport.clear()
    return heard


@pytest.fixture
def counters():
    return Counters()


@pytest.fixture
def full(store):
    """Adam's mailbox is full."""
    with store.change("test") as change:
        change.add_domain("example1.com")
        change.add_mailbox("adam@example1.com", quota=1000)
        change.add_mailbox("bob@example1.com")
    with store.batch() as batch:
        batch.set_usage("adam@example1.com", storage=2000, messages=3)
    store.renew()
    return store


def test_real_rules_decide_and_are_counted(full, counters):
    rules = Rules(Settings(), full, counters)
    server, protocol = connect(rules.decide, counters)
    assert say(protocol, request(recipient="bob@example1.com")) == DUNNO
    assert say(protocol, request(recipient="adam@example1.com")).startswith(b"action=552 5.2.2 ")
    stranger = request(sender="bob@example1.com", login="adam@example1.com", context="submission")
    assert say(protocol, stranger).startswith(b"action=553 5.7.1 ")
    assert counters.policy == {
        ("none", "dunno", "enforce"): 1,
        ("quota", "reject", "enforce"): 1,
        ("sender_ownership", "reject", "enforce"): 1,
    }
    assert counters.quota_refused == 1
    assert server.counters.requests["", "decided"].value == 3


def test_a_rule_in_the_shadow_is_counted_and_logged_and_refuses_nobody(full, counters):
    rules = Rules(Settings(shadow=("quota",)), full, counters)
    _, protocol = connect(rules.decide, counters)
    seen = []
    globalLogPublisher.addObserver(seen.append)
    try:
        assert say(protocol, request(recipient="adam@example1.com")) == DUNNO
    finally:
        globalLogPublisher.removeObserver(seen.append)
    assert counters.policy == {("none", "dunno", "enforce"): 1, ("quota", "reject", "shadow"): 1}
    assert counters.quota_refused == 0
    (event,) = [event for event in seen if "shadow" in event["log_format"]]
    assert event["instance"] == "1.2.3"
    assert "adam" not in str(event)


def test_other_settings_count_from_the_next_request(full, counters):
    rules = Rules(Settings(), full, counters)
    _, protocol = connect(rules.decide)
    rules.configure(Settings(quota_code=452))
    assert say(protocol, request(recipient="adam@example1.com")).startswith(b"action=452 4.2.2 ")
    with pytest.raises(UnknownRule):
        rules.configure(Settings(smtp=("quoter",)))
    assert say(protocol, request(recipient="adam@example1.com")).startswith(b"action=452 ")


def test_requests_cut_anywhere_are_answered_in_order():
    answers = iter([Dunno(), Reject(550, "5.1.1", "no"), Dunno()] * 2)
    _, protocol = connect(lambda _request: next(answers))
    conversation = request() * 3
    whole = say(protocol, conversation)
    assert whole == DUNNO + b"action=550 5.1.1 no\n\n" + DUNNO
    assert b"".join(say(protocol, bytes([byte])) for byte in conversation) == whole


@pytest.mark.parametrize("error", [Unavailable("away"), ValueError("s3cret"), RecursionError()])
def test_whatever_goes_wrong_is_deferred_and_keeps_the_connection(error):
    def decide(_request):
        raise error

    server, protocol = connect(decide)
    heard = say(protocol, request())
    assert heard.startswith(b"action=DEFER_IF_PERMIT 4.3.0 ")
    assert heard.endswith(b"\n\n")
    assert b"s3cret" not in heard
    assert not protocol.transport.disconnecting
    assert server.counters.requests["", "temporary"].value == 1


@pytest.mark.parametrize("data", [b"hello\n\n", b"\n\n", b"size=x\n\n", b"a" * 70_000, b"request=junk_mail\n\n"])
def test_malformed_input_has_no_reply_and_ends_the_connection(data):
    server, protocol = connect(lambda _request: Dunno())
    assert say(protocol, data) == b""
    assert protocol.transport.disconnecting
    assert sum(server.counters.protocol_errors.values()) == 1
