"""What the policy server writes down: counts every second and at the end, suspensions until the store has them."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "workers"))
from worker_loop import Loop

from mailhooks.counters import Counters
from mailhooks.policy import Settings
from mailhooks.servers.rules import Rules
from mailhooks.store import Store
from mailhooks.store.sending import Limit
from mailhooks.wire.policy import Reject, Request
from mailhooks.workers import Writer

ADAM = "adam@example1.com"


def ask(rules, state="RCPT", **attributes):
    context = "submission" if state == "RCPT" else "end-of-message"
    given = {"protocol_state": state, "policy_context": context, "sasl_username": ADAM, "instance": "i"}
    return rules.decide(Request.of({**given, "recipient": "x@outside.example", **attributes}))


@pytest.fixture
def running(store, store_url):
    with store.change("test") as change:
        change.add_domain("example1.com")
        change.add_mailbox(ADAM)
        change.set_send_limit("default", [Limit(2, 3600)])
    store.renew()
    loop = Loop()
    writer = Writer(loop, lambda: Store(store_url, busy_seconds=0.2), store)
    made = []

    def start(**settings):
        rules = Rules(Settings((), ("breaker", "limits"), ("limits",), **settings), store, Counters(), writer=writer)
        rules.start(loop)
        made.append(rules)
        return rules, loop

    yield start
    for rules in made:
        loop.result(rules.stop())
    loop.result(writer.stop())


def saved(store, loop):
    while not store.send_use(f"user {ADAM}"):
        loop.turn()
    return store.send_use(f"user {ADAM}")


def test_counts_are_saved_every_second_and_known_to_the_next_process(running, store):
    rules, loop = running()
    ask(rules, "END-OF-MESSAGE", recipient_count="2")
    assert store.send_use(f"user {ADAM}") == ""
    loop.advance(1)
    assert saved(store, loop).endswith(":2")
    again, _ = running()
    assert isinstance(ask(again), Reject)
    assert again._counters.limit_trips == {"user": 1}


def test_counts_are_saved_at_the_end(running, store):
    rules, loop = running()
    ask(rules, "END-OF-MESSAGE", recipient_count="1")
    loop.result(rules.stop())
    assert saved(store, loop).endswith(":1")


def test_an_outage_loses_no_counts(running, store, tmp_path):
    rules, loop = running()
    ask(rules, "END-OF-MESSAGE", recipient_count="1")
    blocker = sqlite3.connect(tmp_path / "mailhooks.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    loop.advance(1)
    loop.turn()  # it could not be written
    assert rules.memory.unsaved
    blocker.execute("ROLLBACK")
    blocker.close()
    ask(rules, "END-OF-MESSAGE", recipient_count="1")
    loop.advance(1)
    assert saved(store, loop).endswith(":2")


def test_a_suspension_is_written_once_and_can_be_lifted(running, store):
    rules, loop = running(breaker_recipients=1)
    ask(rules)
    ask(rules)
    assert isinstance(ask(rules), Reject)
    loop.advance(1)  # it is on its way already, and not sent twice
    while rules.memory.unwritten:
        loop.turn()
    assert store.suspension(ADAM).reason == "2 recipients within an hour"
    assert [entry.action for entry in store.audit()].count("limit trip") == 1
    assert rules._counters.limit_trips["breaker_recipients"] == 1
    with store.change("test") as change:
        change.lift(ADAM)
    store.renew()
    loop.advance(5)
    assert not isinstance(ask(rules, instance="j"), Reject)


def test_an_account_that_is_gone_needs_no_suspension(running, store):
    rules, loop = running(breaker_recipients=1)
    with store.change("test") as change:
        change.remove_mailbox(ADAM)
    store.renew()
    ask(rules)
    ask(rules)
    while rules.memory.unwritten:
        loop.turn()
    assert store.suspension(ADAM) is None
