"""What /metrics says: one collector that reads the plain ints of ``mailhooks.counters`` when it is asked.

Names, units and labels are part of the contract. Nothing here is touched while a request of a hook is answered.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

import mailhooks
from mailhooks.counters import BOUNDS, SCOPES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from prometheus_client.metrics_core import Metric

    from mailhooks.counters import Counters
    from mailhooks.renewal import Renewal
    from mailhooks.workers import HashPool
    from mailhooks.workers.hash_pool import Timing

CERTIFICATE_SECONDS = 60.0  # a renewed certificate shows up in the metrics within this time
MAX_SCHEMES = 6  # timings told apart, 15 series each; a site has two or three slow schemes, the rest is "other"


@dataclass(frozen=True)
class Sources:
    """Where the numbers come from."""

    counters: Counters
    renewal: Renewal
    objects: Callable[[], Mapping[tuple[str, str], int]] = dict  # kind, state -> how many
    pool: HashPool | None = None
    oldest_transaction: Callable[[], float] = float  # seconds since the oldest open dict transaction was begun
    certificates: Mapping[Path, Path] = field(default_factory=dict)  # configured file -> the one to read
    extra: Sequence[Callable[[], Iterator[Metric]]] = field(default=())


class Metrics(Collector):
    """The collector, with a registry of its own."""

    def __init__(self, sources: Sources, now: Callable[[], float] = time.monotonic) -> None:
        self._sources = sources
        self._now = now
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(namespace="mailhooks", registry=self._registry)  # its processor time, memory, open files
        self._expiry: dict[Path, tuple[float, float | None]] = {}  # file -> when read, not after

    def page(self) -> bytes:
        """The whole page in the text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Everything, in the order of the documentation."""
        yield _gauge("build_info", "The version that runs.", ("version",), {(mailhooks.__version__,): 1})
        yield from self._hooks()
        yield from self._decisions()
        yield from self._store()
        yield _gauge(
            "reactor_lag_seconds",
            "How late a timer was at worst in the last half minute.",
            (),
            {(): self._sources.renewal.lag},
        )
        yield _gauge(
            "certificate_not_after_seconds",
            "When a certificate ends, in seconds since the epoch.",
            ("file",),
            {
                (str(file),): end
                for file, read in self._sources.certificates.items()
                if (end := self._not_after(read)) is not None
            },
        )
        for source in self._sources.extra:
            yield from source()

    def _hooks(self) -> Iterator[Metric]:
        hooks = self._sources.counters.hooks
        yield _counter(
            "requests",
            'Requests answered; temporary is "try again".',
            ("hook", "table", "result"),
            {
                (name, table, result): count.value
                for name, hook in hooks.items()
                for (table, result), count in hook.requests.items()
            },
        )
        duration = HistogramMetricFamily(
            "mailhooks_request_seconds", "From a request read to its answer.", labels=("hook",)
        )
        for name, hook in hooks.items():
            _observe(duration, (name,), hook.seconds.counts, BOUNDS, hook.seconds.total)
        yield duration
        connections = {(name,): hook.connections for name, hook in hooks.items()}
        yield _gauge("connections", "Open connections.", ("hook",), connections)
        yield _counter(
            "protocol_errors",
            "Connections ended because of what the client did.",
            ("hook", "kind"),
            {(name, kind): count for name, hook in hooks.items() for kind, count in hook.protocol_errors.items()},
        )

    def _decisions(self) -> Iterator[Metric]:
        counters, pool = self._sources.counters, self._sources.pool
        yield _counter("auth", "Logins tried.", ("service", "mechanism", "result"), counters.auth)
        hashing = HistogramMetricFamily(
            "mailhooks_password_hash_seconds",
            "One password check in a worker; six schemes, and other.",
            labels=("scheme",),
        )
        if pool is not None:
            from mailhooks.workers import HASH_BUCKETS  # noqa: PLC0415 - only where there is a pool

            for scheme, counts, seconds in _by_scheme(pool.timings):
                _observe(hashing, (scheme,), counts, HASH_BUCKETS, seconds)
        yield hashing
        yield _gauge("password_hash_queue", "Password checks that wait.", (), {(): pool.depth if pool else 0})
        yield _counter(
            "policy_decisions",
            "What policy rules decided, shadow or enforce; rule none: no objection.",
            ("rule", "action", "mode"),
            counters.policy,
        )
        trips = {(scope,): counters.limit_trips[scope] for scope in {**dict.fromkeys(SCOPES), **counters.limit_trips}}
        yield _counter("limit_trips", "Limits that were reached.", ("scope",), trips)
        yield _counter("quota_refused", "Recipients refused because of quota.", (), {(): counters.quota_refused})
        age = self._sources.oldest_transaction()
        yield _gauge("dict_transaction_oldest_seconds", "Age of the oldest open dict transaction.", (), {(): age})

    def _store(self) -> Iterator[Metric]:
        renewal = self._sources.renewal
        yield _gauge("store_up", "Whether the store answers.", (), {(): int(renewal.available)})
        errors = renewal.store_errors + self._sources.counters.store_errors
        yield _counter("store_errors", "Times the store went away.", (), {(): errors})
        yield _gauge("store_change_number", "Changes of the directory so far.", (), {(): renewal.change_number})
        yield _gauge(
            "objects", "What the store holds, counted once a minute.", ("kind", "state"), self._sources.objects()
        )

    def _not_after(self, path: Path) -> float | None:
        now = self._now()
        read, end = self._expiry.get(path, (float("-inf"), None))
        if now - read >= CERTIFICATE_SECONDS:
            end = _certificate_end(path)
            self._expiry[path] = (now, end)
        return end


def _by_scheme(timings: Mapping[str, Timing]) -> Iterator[tuple[str, Sequence[int], float]]:
    """Yield the schemes first seen, and all others as one; what is no check (a new hash) is among the others."""
    named = [scheme for scheme in timings if scheme][:MAX_SCHEMES]
    for scheme in named:
        yield scheme, timings[scheme].counts, timings[scheme].seconds
    rest = [timing for scheme, timing in timings.items() if scheme not in named]
    if rest:
        counts = [sum(column) for column in zip(*(timing.counts for timing in rest), strict=True)]
        yield "other", counts, sum(timing.seconds for timing in rest)


def _certificate_end(path: Path) -> float | None:
    from cryptography import x509  # noqa: PLC0415 - only when a certificate is configured

    try:
        return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc.timestamp()
    except (OSError, ValueError):
        return None


def _counter(name: str, text: str, labels: Sequence[str], values: Mapping[Any, float]) -> Metric:
    family = CounterMetricFamily(f"mailhooks_{name}", text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _gauge(name: str, text: str, labels: Sequence[str], values: Mapping[Any, float]) -> Metric:
    family = GaugeMetricFamily(f"mailhooks_{name}", text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _observe(
    family: HistogramMetricFamily, labels: Sequence[str], counts: Sequence[int], bounds: Sequence[float], total: float
) -> None:
    names = [*map(str, bounds), "+Inf"]
    family.add_metric(labels, list(zip(names, accumulate(counts), strict=True)), total)
