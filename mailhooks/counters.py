"""What is counted while serving: plain ints that cost 40 ns, read by ``mailhooks.metrics`` at scrape.

Label values come from small closed sets: a table, a result, a mechanism. Never an address, a user or an IP.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mailhooks.log import RequestLog

# Upper bounds in seconds: a cached lookup takes 10 µs, a hash 0.1 s, a time limit 8 s.
BOUNDS = (50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


# What ``limit_trips`` tells apart, told from the start: an alert on an increase would miss the first of a new series.
SCOPES = (
    *("user", "domain", "credential", "network", "flood"),
    *("breaker_recipients", "breaker_refused", "breaker_networks"),
    *("login_pair", "login_network", "login_account"),
)


class Count:
    """A number that goes up; hold on to it where every request passes."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


class Histogram:
    """How long things took: one number per bound, one for everything longer, and the sum in seconds."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds


class HookCounters:
    """What one hook counts: requests by table and result, their duration, connections, protocol errors by kind."""

    __slots__ = ("connections", "protocol_errors", "requests", "seconds", "trace")

    def __init__(self) -> None:
        self.requests: dict[tuple[str, str], Count] = {}
        self.seconds = Histogram()
        self.connections = 0  # open now
        self.protocol_errors: Counter[str] = Counter()
        self.trace: RequestLog | None = None  # tells each request; None but where the log's level is "debug"

    def request(self, table: str, result: str) -> Count:
        """The count of requests for ``table`` ("" where the protocol has none) that ended in ``result``."""
        return self.requests.get((table, result)) or self.requests.setdefault((table, result), Count())

    def answered(self, table: str, result: str, seconds: float, about: str = "") -> None:
        """Count one request that was answered after ``seconds``; ``about`` is for the log only."""
        self.request(table, result).value += 1
        self.seconds.observe(seconds)
        if self.trace is not None:
            self.trace(table, result, seconds, about)


class Counters:
    """Everything one process counts."""

    def __init__(self) -> None:
        self.hooks: defaultdict[str, HookCounters] = defaultdict(HookCounters)
        self.auth: Counter[tuple[str, str, str]] = Counter()  # service, mechanism, result
        self.policy: Counter[tuple[str, str, str]] = Counter()  # rule, action, mode ("enforce", "shadow")
        self.limit_trips: Counter[str] = Counter()  # scope
        self.hash_seconds: defaultdict[str, Histogram] = defaultdict(Histogram)  # scheme
        self.quota_refused = 0
        self.store_errors = 0
