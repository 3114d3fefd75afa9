"""How many messages wait in Postfix's queue: counted by ``up``, which is root, and told by ``serve``.

The queue's directories are Postfix's own and nobody else may read them (postfix(1), ``queue_directory``), so that
``up`` leaves the counts in a small file for the metrics of the daemon. A queue file is a name without a dot; the hashed
queues keep them in directories of one letter (``hash_queue_names``).
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from prometheus_client.metrics_core import Metric

QUEUES = ("maildrop", "incoming", "active", "deferred", "hold")
MAX_COUNTED = 1_000_000  # messages of one queue; whoever has more knows it already
MAX_DEPTH = 3  # directories within a queue; Postfix's default hash_queue_depth is 1
COUNT_SECONDS = 30.0
STALE_SECONDS = 300.0  # counts of an ``up`` that has died are not told
MAX_FILE_BYTES = 1_000

log = Logger()


def count(queue: Path) -> dict[str, int]:
    """Return the messages in each queue. Slow with many: for a thread."""
    return {name: min(MAX_COUNTED, sum(1 for _ in _messages(str(queue / name), MAX_DEPTH))) for name in QUEUES}


def _messages(directory: str, depth: int) -> Iterator[None]:
    seen = 0
    with suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if depth:
                    yield from _messages(entry.path, depth - 1)
            elif "." not in entry.name and seen < MAX_COUNTED:
                seen += 1
                yield None


class QueueCounter:
    """Counts again and again, and leaves the numbers in ``path``."""

    def __init__(self, reactor: Any, queue: Path, path: Path) -> None:
        self._queue = queue
        self._path = path
        self._timer = LoopingCall(deferToThread, self._write)
        self._timer.clock = reactor

    def start(self) -> None:
        """Begin; a count that fails is told once and ends the counting."""
        self._timer.start(COUNT_SECONDS).addErrback(lambda failure: log.failure("cannot count the queue", failure))

    def _write(self) -> None:
        beside = self._path.with_suffix(".new")
        beside.write_text(json.dumps(count(self._queue)))
        beside.chmod(0o644)
        beside.replace(self._path)


def metrics(path: Path) -> Iterator[Metric]:
    """Tell what was counted lately: the metric ``postfix_queue_messages``."""
    from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415 - ``up`` needs no metrics

    family = GaugeMetricFamily("mailhooks_postfix_queue_messages", "Messages in Postfix's queue.", labels=("queue",))
    with suppress(OSError, ValueError), path.open() as file:
        if time.time() - os.fstat(file.fileno()).st_mtime < STALE_SECONDS:
            counts = json.loads(file.read(MAX_FILE_BYTES))
            for name in QUEUES:
                family.add_metric((name,), counts.get(name, 0))
    yield family
