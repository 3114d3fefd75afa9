"""A row of the table, and how a figure becomes one: runs in turns, medians of ratios."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable
from dataclasses import dataclass

from .load import Result

ADDRESSES = 100_000
MISSES = 10_000
DOMAINS = 50
# Many short rounds rather than few long ones: what else the machine does comes and goes in seconds, so that it meets
# both sides of a round alike, and a median of many stands a few rounds in which it does not.
ROUNDS = 15
SECONDS = 0.5  # of each turn


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    unit: str
    value: float
    must: float
    aim: float
    detail: str
    at_most: bool = False
    middle: tuple[float, float] | None = None  # where half of the rounds lie

    @classmethod
    def compared(
        cls,
        name: str,
        ours: list[Result],
        theirs: list[Result],
        figure: str,
        *,
        must: float,
        aim: float,
        detail: str,
        at_most: bool = False,
    ) -> Row:
        """Make the row of a figure beside another's: the median of the ratios, round by round, and their spread."""
        ratios = [getattr(a, figure) / getattr(b, figure) for a, b in zip(ours, theirs, strict=True)]
        low, median, high = statistics.quantiles(ratios, n=4)
        return cls(name, "×", median, must, aim, detail, at_most, (low, high))

    @property
    def reached(self) -> bool:
        """Whether the "must" was reached."""
        return self.value <= self.must if self.at_most else self.value >= self.must


def addresses(count: int = ADDRESSES) -> list[str]:
    """Return the mailboxes of the benchmark's store."""
    return [f"user{number}@example{number % DOMAINS}.test" for number in range(count)]


def domains() -> list[str]:
    """Return the domains they live in."""
    return [f"example{number}.test" for number in range(DOMAINS)]


def netstring(payload: bytes) -> bytes:
    """Frame a payload."""
    return b"%d:%s," % (len(payload), payload)


def lookups() -> list[tuple[bytes, bytes]]:
    """Return 100,000 hits and 10 % misses in an order that no cache likes."""
    hits = [(each, b"OK " + each.encode()) for each in addresses()]
    misses = [(f"nobody{number}@example{number % DOMAINS}.test", b"NOTFOUND ") for number in range(MISSES)]
    everything = hits + misses
    random.Random(1).shuffle(everything)
    return [(netstring(b"virtual_mailbox_maps " + key.encode()), netstring(reply)) for key, reply in everything]


def in_turns(*runs: Callable[[], Result]) -> list[list[Result]]:
    """Run each in turn, ROUNDS times after a warm-up, there and back; return the results by run."""
    for run in runs:
        run()
    results: list[list[Result]] = [[] for _ in runs]
    turns = list(zip(runs, results, strict=True))
    for _ in range(ROUNDS):
        for run, kept in turns:
            kept.append(run())
        turns.reverse()  # nobody is always the one after the other
    return results


def spoken(results: list[Result]) -> str:
    """Say a median rate and cost."""
    rate = statistics.median(each.rate for each in results)
    cpu = statistics.median(each.cpu for each in results)
    return f"{rate:,.0f}/s {cpu * 1e6:.1f} µs"
