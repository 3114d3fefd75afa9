"""The counts of Postfix's queue, from ``up`` to the metrics."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest

from mailhooks.stack import queue
from mailhooks.stack.paths import Layout


class Source:
    def __init__(self, path: Path) -> None:
        self.path = path

    def collect(self):
        return queue.metrics(self.path)


def page(path: Path) -> str:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Source(path))
    return generate_latest(registry).decode()


def make_queue(root: Path) -> Path:
    for name in ("deferred/A/A1B2", "deferred/B/B1C2", "active/C1D2", "maildrop/D1.tmp"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mail")
    return root


def leave_numbers(root: Path) -> Path:
    """Let ``up`` look at a queue that no Postfix runs on, and return where the numbers are."""
    where = Layout(root, root / "state", root / "mail", root / "preferences")
    where.stack.mkdir(parents=True)
    make_queue(where.queue)
    queue.QueueCounter(None, where)._write()
    return where.queue_counts


def test_counts_messages_in_hashed_queues_and_leaves_out_unfinished_ones(tmp_path: Path):
    assert queue.count(make_queue(tmp_path)) == {
        "maildrop": 0,
        "incoming": 0,
        "active": 1,
        "deferred": 2,
        "hold": 0,
    }


def test_what_was_counted_is_told(tmp_path: Path):
    counts = leave_numbers(tmp_path)
    assert 'mailhooks_postfix_queue_messages{queue="deferred"} 2.0' in page(counts)
    assert 'mailhooks_postfix_queue_oldest_seconds{queue="deferred"} 0.0' in page(counts)  # Postfix knows of none


def test_ages_are_those_of_the_moment_that_asks(tmp_path: Path):
    counts = tmp_path / "counts"
    counts.write_text(json.dumps({"messages": {"hold": 1}, "oldest": {"hold": time.time() - 1000}}))
    (age,) = re.findall(r'oldest_seconds{queue="hold"} (\S+)', page(counts))
    assert 1000 <= float(age) < 1100


def test_old_counts_are_not_told(tmp_path: Path):
    counts = leave_numbers(tmp_path)
    os.utime(counts, (1, 1))
    assert "queue=" not in page(counts)


def test_without_counts_there_is_nothing_to_tell(tmp_path: Path):
    assert "queue=" not in page(tmp_path / "absent")
