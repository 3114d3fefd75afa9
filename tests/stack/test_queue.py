"""The counts of Postfix's queue, from ``up`` to the metrics."""

from __future__ import annotations

import os
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest

from mailhooks.stack import queue


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


def test_counts_messages_in_hashed_queues_and_leaves_out_unfinished_ones(tmp_path: Path):
    assert queue.count(make_queue(tmp_path)) == {
        "maildrop": 0,
        "incoming": 0,
        "active": 1,
        "deferred": 2,
        "hold": 0,
    }


def test_what_was_counted_is_told(tmp_path: Path):
    counts = tmp_path / "counts"
    queue.QueueCounter(None, make_queue(tmp_path / "queue"), counts)._write()
    assert 'mailhooks_postfix_queue_messages{queue="deferred"} 2.0' in page(counts)


def test_old_counts_are_not_told(tmp_path: Path):
    counts = tmp_path / "counts"
    queue.QueueCounter(None, make_queue(tmp_path / "queue"), counts)._write()
    os.utime(counts, (1, 1))
    assert "queue=" not in page(counts)


def test_without_counts_there_is_nothing_to_tell(tmp_path: Path):
    assert "queue=" not in page(tmp_path / "absent")
