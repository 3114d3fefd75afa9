from __future__ import annotations

import contextlib
import sqlite3
import threading

import pytest
from worker_loop import PATIENCE, Loop

from mailhooks.store import NotFound, Refused, Store, Unavailable
from mailhooks.workers import Writer
from mailhooks.workers import writer as writing

ADAM = "adam@example1.com"


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def reader(store):
    with store.change("test") as change:
        change.add_domain("example1.com")
        change.add_mailbox(ADAM)
    store.renew()
    return store


@pytest.fixture
def make(loop, reader, store_url, key_file):
    """A writer on the reader's file; what is started is stopped."""
    started = []

    def start(**options) -> Writer:
        busy = options.pop("busy_seconds", 5.0)
        started.append(Writer(loop, lambda: Store(store_url, key_file=key_file, busy_seconds=busy), reader, **options))
        return started[-1]

    yield start
    for writer in started:
        loop.result(writer.stop())


def hold(writer) -> tuple[threading.Event, threading.Event]:
    """Keep the writer's thread busy with one change until the second event is set."""
    begun, go = threading.Event(), threading.Event()

    def wait(_change) -> None:
        begun.set()
        assert go.wait(PATIENCE)

    writer.change(wait).addErrback(lambda _: None)
    assert begun.wait(PATIENCE)
    return begun, go


def usage(storage: int, messages: int = 1):
    return lambda batch: batch.set_usage(ADAM, storage=storage, messages=messages)


def test_an_acknowledged_write_is_read_at_once(loop, make, reader):
    writer = make()
    seen = []
    writer.batch(usage(663, 3)).addCallback(lambda _: seen.append(reader.usage(ADAM)))
    while not seen:
        loop.turn()
    assert (seen[0].storage, seen[0].messages) == (663, 3)


def test_writes_that_wait_share_a_commit_and_keep_their_order(loop, make, reader):
    writer = make()
    _, go = hold(writer)
    order = []
    for number in range(50):
        writer.batch(usage(number)).addCallback(lambda _, number=number: order.append(number))
    assert writer.depth == 50
    go.set()
    loop.turn()  # the change
    assert order == []
    loop.turn()  # all of the rest, by one commit
    assert order == list(range(50))
    assert reader.usage(ADAM).storage == 49


def test_one_bad_operation_fails_alone(loop, make, reader):
    writer = make()
    _, go = hold(writer)
    good = [writer.batch(usage(1)), writer.batch(lambda _: 1 / 0), writer.batch(usage(2, 7))]
    go.set()
    loop.result(good[0])
    with pytest.raises(ZeroDivisionError):
        loop.result(good[1])
    loop.result(good[2])
    assert reader.usage(ADAM).messages == 7


def test_a_change_is_read_at_once_and_has_a_result(loop, make, reader):
    assert loop.result(make().change(lambda change: change.add_mailbox("bob@example1.com").address)) == (
        "bob@example1.com"
    )
    assert reader.has_mailbox("bob@example1.com")


def test_a_refused_change_leaves_nothing(loop, make, reader):
    def twice(change) -> None:
        change.add_mailbox("bob@example1.com")
        change.add_mailbox("bob@nowhere.example")

    with pytest.raises((Refused, NotFound)):
        loop.result(make().change(twice))
    reader.renew()
    assert not reader.has_mailbox("bob@example1.com")


def test_a_hash_is_replaced_only_while_it_is_the_old_one(loop, make, reader):
    writer = make()
    loop.result(writer.change(lambda change: change.set_password(ADAM, "{PLAIN}old")))
    assert loop.result(writer.change(lambda change: change.replace_hash(ADAM, "{PLAIN}old", "{PLAIN}new"))) is True
    assert loop.result(writer.change(lambda change: change.replace_hash(ADAM, "{PLAIN}old", "{PLAIN}bad"))) is False
    assert reader.mailbox(ADAM).password == "{PLAIN}new"


def test_too_many_waiting_writes_are_temporary_at_once(loop, make):
    writer = make(queue_limit=2)
    _, go = hold(writer)
    waiting = [writer.batch(usage(1)), writer.batch(usage(2))]
    with pytest.raises(Unavailable):
        loop.result(writer.batch(usage(3)))
    go.set()
    for done in waiting:
        loop.result(done)


def test_a_write_that_takes_too_long_is_temporary_and_answered_once(loop, make, reader):
    writer = make(seconds=5.0)
    _, go = hold(writer)
    late = writer.batch(usage(1))
    loop.advance(3.0)
    later = writer.batch(usage(2))
    loop.advance(1.9)
    assert not late.called
    loop.advance(0.2)
    with pytest.raises(Unavailable):
        loop.result(late)
    assert not later.called
    go.set()
    loop.result(later)
    assert reader.usage(ADAM).storage == 2
    assert not [call for call in loop.getDelayedCalls() if call.getTime() < loop.seconds()]


def test_what_was_given_up_before_it_began_is_not_done(loop, make, reader):
    writer = make(seconds=5.0)
    _, go = hold(writer)
    late = writer.batch(usage(1))
    loop.advance(5.1)
    with pytest.raises(Unavailable):
        loop.result(late)
    go.set()
    loop.result(writer.change(lambda _: None))
    assert reader.usage(ADAM) is None


def test_a_lock_held_by_another_process_is_temporary_for_writes_only(loop, make, reader, tmp_path):
    writer = make(busy_seconds=0.05)
    with contextlib.closing(sqlite3.connect(tmp_path / "mailhooks.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable):
            loop.result(writer.batch(usage(1)))
        assert reader.has_mailbox(ADAM)
        other.execute("ROLLBACK")
    loop.result(writer.batch(usage(2)))
    assert reader.usage(ADAM).storage == 2


def test_a_store_that_is_away_is_temporary_and_comes_back(loop, reader, make, tmp_path):
    path, aside = tmp_path / "mailhooks.db", tmp_path / "aside.db"
    path.rename(aside)
    writer = make()
    with pytest.raises(Unavailable):
        loop.result(writer.batch(usage(1)))
    aside.rename(path)
    for _ in range(100):  # reopening is tried every 0.25 s: the fake clock does not move the store's own
        try:
            loop.result(writer.batch(usage(2)))
            break
        except Unavailable:
            threading.Event().wait(0.02)
    reader.renew()
    assert reader.usage(ADAM).storage == 2


def test_stop_finishes_what_waits_and_takes_no_more(loop, make, reader):
    writer = make()
    _, go = hold(writer)
    waiting = writer.batch(usage(9))
    stopped = writer.stop()
    with pytest.raises(Unavailable):
        loop.result(writer.batch(usage(10)))
    go.set()
    loop.result(waiting)
    loop.result(stopped)
    assert reader.usage(ADAM).storage == 9
    assert loop.getDelayedCalls() == []


def test_an_idle_writer_does_not_keep_a_replaced_store_away(monkeypatch, loop, make, reader, tmp_path):
    """A new file opens only when every handle on the old one has let go, and an idle writer asks nobody."""
    monkeypatch.setattr(writing, "REST_SECONDS", 0.01)
    loop.result(make().batch(usage(1)))
    reader.renew()
    path, copy = tmp_path / "mailhooks.db", tmp_path / "copy.db"
    with contextlib.closing(sqlite3.connect(path)) as old, contextlib.closing(sqlite3.connect(copy)) as new:
        old.backup(new)
        new.execute("PRAGMA journal_mode = WAL")
    copy.rename(path)
    for _ in range(200):  # reopening is tried every 0.25 s of real time
        reader.renew()
        if reader.available:
            break
        threading.Event().wait(0.02)
    assert reader.usage(ADAM).storage == 1
