"""Socketmap lookups with hot keys, with each key once, and over 1,000 connections."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from benchmarks import yardsticks
from benchmarks.load import Load, write_pairs
from benchmarks.measure import ROUNDS, SECONDS, Row, addresses, domains, in_turns, lookups, spoken
from benchmarks.subject import Subject


def socketmap(directory: Path, load: Load) -> Iterator[Row]:
    """Lookups with hot keys, with each key once, and over 1,000 connections."""
    everything = lookups()
    pairs = write_pairs(directory / "pairs", everything)
    hot = write_pairs(directory / "hot", everything[:2_000])
    share = len(everything) // (ROUNDS + 1)
    once = [
        write_pairs(directory / f"once{number}", everything[number * share : (number + 1) * share])
        for number in range(ROUNDS + 1)
    ]
    subject = Subject(directory / "socketmap")
    subject.fill((f"{each}:{{PLAIN}}x::::::" for each in addresses()), domains())
    with ExitStack() as stack:
        subject.start()
        stack.callback(subject.stop)
        naive = stack.enter_context(yardsticks.naive(directory, pairs))
        smallest = stack.enter_context(yardsticks.smallest(directory, pairs))
        ours, c, r = subject.socket("socketmap"), directory / "yardstick.socket", directory / "naive"
        a, b, d = in_turns(
            lambda: load.run(ours, hot, pid=subject.pid, seconds=SECONDS),
            lambda: load.run(r, hot, pid=naive, seconds=SECONDS),
            lambda: load.run(c, hot, pid=smallest, seconds=SECONDS),
        )
        detail = f"mailhooks {spoken(a)}; R {spoken(b)}; C {spoken(d)}"
        yield Row.compared(
            "socketmap, 16 connections, hot keys: rate vs R", a, b, "rate", must=1.6, aim=2.0, detail=detail
        )
        yield Row.compared("… CPU per request vs R", a, b, "cpu", must=0.60, aim=0.50, detail=detail, at_most=True)
        yield Row.compared("… CPU per request vs C", a, d, "cpu", must=3.0, aim=2.3, detail=detail, at_most=True)
        cold, cold_r = itertools.cycle(once), itertools.cycle(once)
        a, b = in_turns(
            lambda: load.run(ours, next(cold), options=["once"], pid=subject.pid, seconds=30),
            lambda: load.run(r, next(cold_r), options=["once"], pid=naive, seconds=30),
        )
        detail = f"mailhooks {spoken(a)}; R {spoken(b)}"
        yield Row.compared("socketmap, each key once: rate vs R", a, b, "rate", must=1.2, aim=1.6, detail=detail)
        a, b = in_turns(
            lambda: load.run(ours, hot, pid=subject.pid, connections=1000, seconds=SECONDS),
            lambda: load.run(ours, hot, pid=subject.pid, seconds=SECONDS),
        )
        yield Row.compared(
            "1,000 connections vs own 16", a, b, "rate", must=0.6, aim=0.8, detail=f"{spoken(a)}; {spoken(b)}"
        )
