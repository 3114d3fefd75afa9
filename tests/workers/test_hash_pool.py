from __future__ import annotations

import os
import threading

import pytest
from worker_loop import PATIENCE, Loop

from mailhooks import passwords
from mailhooks.workers import HASH_BUCKETS, HashPool, QueueFull, Stopped


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def pool(loop):
    made = HashPool(loop, 2, 3)
    yield made
    loop.result(made.stop())


class Gate:
    """Work that begins and then waits to be let through."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.open = threading.Event()

    def __call__(self) -> str:
        self.begun.set()
        assert self.open.wait(PATIENCE)
        return "through"


@pytest.fixture
def busy(pool):
    """Both threads at work."""
    gates = [Gate(), Gate()]
    done = [pool.run(gate) for gate in gates]
    for gate in gates:
        assert gate.begun.wait(PATIENCE)
    yield gates, done
    for gate in gates:
        gate.open.set()


def test_work_runs_elsewhere_and_comes_back_here(loop, pool):
    here = threading.get_ident()
    arrived = []
    done = pool.run(threading.get_ident)
    done.addCallback(lambda there: arrived.append((there, threading.get_ident())))
    loop.result(done)
    assert arrived[0][0] != here
    assert arrived[0][1] == here


def test_an_exception_belongs_to_who_asked(loop, pool):
    with pytest.raises(ZeroDivisionError):
        loop.result(pool.run(lambda: 1 / 0))
    assert loop.result(pool.run(lambda: 1)) == 1  # the thread lives on


def test_the_threads_are_nice_and_the_reactors_is_not(loop, pool):
    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    nice = loop.result(pool.run(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id())))
    assert nice == 10
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before


def test_more_than_the_queue_holds_is_told_at_once(loop, pool, busy):
    gates, _ = busy
    waiting = [pool.run(str) for _ in range(3)]
    assert pool.depth == 3
    with pytest.raises(QueueFull):
        pool.run(str)
    for gate in gates:
        gate.open.set()
    for done in waiting:
        assert loop.result(done) == ""
    assert pool.depth == 0


def test_what_waits_can_be_dropped_and_makes_room(loop, pool, busy):
    gates, running = busy
    waiting = [pool.run(str) for _ in range(3)]
    pool.drop(waiting[1])
    pool.drop(running[0])  # has begun: it is finished
    with pytest.raises(Stopped):
        loop.result(waiting[1])
    assert pool.depth == 2
    pool.drop(waiting[1])  # it is gone already
    last = pool.run(str)
    for gate in gates:
        gate.open.set()
    assert [loop.result(done) for done in (*running, waiting[0], waiting[2], last)] == [
        "through",
        "through",
        "",
        "",
        "",
    ]


def test_stop_finishes_what_runs_and_drops_what_waits(loop, pool, busy):
    gates, running = busy
    waiting = pool.run(str)
    stopped = pool.stop()
    with pytest.raises(Stopped):
        loop.result(waiting)
    with pytest.raises(QueueFull):
        pool.run(str)
    assert not stopped.called
    for gate in gates:
        gate.open.set()
    assert [loop.result(done) for done in running] == ["through", "through"]
    assert loop.result(stopped) is None


def test_time_is_counted_by_scheme(loop, pool):
    stored = passwords.hash_password("secret")
    assert loop.result(pool.run(passwords.verify, stored, "secret", label="ARGON2ID")) is True
    assert loop.result(pool.run(passwords.verify, stored, "wrong", label="ARGON2ID")) is False
    loop.result(pool.run(str, label="other"))
    timing = pool.timings["ARGON2ID"]
    assert sum(timing.counts) == 2
    assert len(timing.counts) == len(HASH_BUCKETS) + 1
    assert 0.001 < timing.seconds < PATIENCE
    assert sum(pool.timings["other"].counts) == 1
