"""The metrics page against the contract's list of names."""

from __future__ import annotations

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.task import Clock

import mailhooks
from mailhooks.counters import BOUNDS, Counters, Histogram
from mailhooks.metrics import Metrics, Sources
from mailhooks.renewal import Renewal
from mailhooks.workers import HASH_BUCKETS
from mailhooks.workers.hash_pool import Timing

NAMES = {  # of the contract; postfix_queue_messages is ``mailhooks up``'s
    "build_info": ("gauge", {"version"}),
    "requests": ("counter", {"hook", "table", "result"}),
    "request_seconds": ("histogram", {"hook", "le"}),
    "connections": ("gauge", {"hook"}),
    "protocol_errors": ("counter", {"hook", "kind"}),
    "auth": ("counter", {"service", "mechanism", "result"}),
    "password_hash_seconds": ("histogram", {"scheme", "le"}),
    "password_hash_queue": ("gauge", set()),
    "policy_decisions": ("counter", {"rule", "action", "mode"}),
    "limit_trips": ("counter", {"scope"}),
    "quota_refused": ("counter", set()),
    "dict_transaction_oldest_seconds": ("gauge", set()),
    "store_up": ("gauge", set()),
    "store_errors": ("counter", set()),
    "store_change_number": ("gauge", set()),
    "objects": ("gauge", {"kind", "state"}),
    "reactor_lag_seconds": ("gauge", set()),
    "certificate_not_after_seconds": ("gauge", {"file"}),
    # What every Prometheus client library tells of its process.
    "process_cpu_seconds": ("counter", set()),
    "process_max_fds": ("gauge", set()),
    "process_open_fds": ("gauge", set()),
    "process_resident_memory_bytes": ("gauge", set()),
    "process_start_time_seconds": ("gauge", set()),
    "process_virtual_memory_bytes": ("gauge", set()),
}


class Pool:
    """What the collector reads of a HashPool."""

    depth = 4

    def __init__(self):
        self.timings = {"ARGON2ID": Timing()}
        self.timings["ARGON2ID"].add(0.02)


@pytest.fixture
def counters():
    made = Counters()
    hook = made.hooks["socketmap"]
    hook.answered("virtual_mailbox_maps", "found", 20e-6)
    hook.answered("virtual_mailbox_maps", "found", 0.3)
    hook.connections = 2
    hook.protocol_errors["framing"] += 1
    made.auth["imap", "PLAIN", "accepted"] += 5
    made.policy["quota", "reject", "enforce"] += 1
    made.limit_trips["login"] += 1
    made.quota_refused = 1
    return made


@pytest.fixture
def certificate(tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    end = dt.datetime(2035, 1, 1, tzinfo=dt.UTC)
    made = (x509.CertificateBuilder(name, name, key.public_key(), 1, dt.datetime(2025, 1, 1, tzinfo=dt.UTC), end)).sign(
        key, hashes.SHA256()
    )
    path = tmp_path / "cert.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def metrics(counters, store, certificate, tmp_path):
    renewal = Renewal(store, Clock())
    renewal.renew()
    return Metrics(
        Sources(
            counters,
            renewal,
            objects=lambda: {("mailbox", "active"): 3},
            pool=Pool(),
            certificates={path: path for path in (certificate, tmp_path / "missing.pem")},
        )
    )


def families(metrics):
    return {
        family.name.removeprefix("mailhooks_"): family
        for family in text_string_to_metric_families(metrics.page().decode())
        if family.name.startswith("mailhooks_")
    }


def value(families, name, suffix="", **labels):
    (sample,) = [
        sample.value
        for sample in families[name].samples
        if sample.name == f"mailhooks_{name}{suffix}" and sample.labels == labels
    ]
    return sample


def test_every_name_of_the_contract_is_there_with_its_kind_and_labels_and_no_other(metrics):
    found = families(metrics)
    assert found.keys() == NAMES.keys()
    for name, (kind, labels) in NAMES.items():
        assert found[name].type == kind
        assert {label for sample in found[name].samples for label in sample.labels} == labels, name


def test_numbers_are_those_counted(metrics):
    found = families(metrics)
    assert value(found, "build_info", version=mailhooks.__version__) == 1
    labels = {"hook": "socketmap", "table": "virtual_mailbox_maps", "result": "found"}
    assert value(found, "requests", "_total", **labels) == 2
    assert value(found, "request_seconds", "_count", hook="socketmap") == 2
    assert value(found, "request_seconds", "_sum", hook="socketmap") == pytest.approx(0.30002)
    assert value(found, "request_seconds", "_bucket", hook="socketmap", le="5e-05") == 1
    assert value(found, "request_seconds", "_bucket", hook="socketmap", le="0.25") == 1
    assert value(found, "request_seconds", "_bucket", hook="socketmap", le="0.5") == 2
    assert value(found, "request_seconds", "_bucket", hook="socketmap", le="+Inf") == 2
    assert value(found, "connections", hook="socketmap") == 2
    assert value(found, "protocol_errors", "_total", hook="socketmap", kind="framing") == 1
    assert value(found, "auth", "_total", service="imap", mechanism="PLAIN", result="accepted") == 5
    assert value(found, "password_hash_seconds", "_count", scheme="ARGON2ID") == 1
    assert value(found, "password_hash_queue") == 4
    assert value(found, "policy_decisions", "_total", rule="quota", action="reject", mode="enforce") == 1
    assert value(found, "quota_refused", "_total") == 1
    assert value(found, "store_up") == 1
    assert value(found, "objects", kind="mailbox", state="active") == 3


def test_the_end_of_a_certificate_is_told_and_a_missing_one_is_left_out(metrics, certificate):
    samples = families(metrics)["certificate_not_after_seconds"].samples
    end = dt.datetime(2035, 1, 1, tzinfo=dt.UTC).timestamp()
    assert [(sample.labels, sample.value) for sample in samples] == [({"file": str(certificate)}, end)]


def test_a_store_that_is_away_is_down(counters, store, tmp_path):
    renewal = Renewal(store, Clock())
    renewal.renew()
    (tmp_path / "mailhooks.db").rename(tmp_path / "away")
    renewal.renew()
    found = families(Metrics(Sources(counters, renewal)))
    assert value(found, "store_up") == 0
    assert value(found, "store_errors", "_total") == 1


def test_a_process_without_a_pool_has_an_empty_queue(counters, store):
    found = families(Metrics(Sources(counters, Renewal(store, Clock()))))
    assert value(found, "password_hash_queue") == 0


def test_a_scrape_changes_nothing(metrics):
    first, second = (
        [line for line in metrics.page().splitlines() if b"mailhooks_process_" not in line] for _ in range(2)
    )
    assert first == second


@pytest.mark.parametrize("bounds", [BOUNDS, HASH_BUCKETS])
def test_bounds_grow(bounds):
    assert list(bounds) == sorted(set(bounds))


def test_requests_take_from_50_microseconds_to_10_seconds():
    assert (BOUNDS[0], BOUNDS[-1]) == (50e-6, 10.0)


def test_a_duration_on_a_bound_belongs_to_it():
    histogram = Histogram()
    for seconds in (0.0, BOUNDS[0], BOUNDS[0] * 1.01, BOUNDS[-1], BOUNDS[-1] * 2):
        histogram.observe(seconds)
    assert (histogram.counts[0], histogram.counts[1]) == (2, 1)
    assert histogram.counts[-2:] == [1, 1]
