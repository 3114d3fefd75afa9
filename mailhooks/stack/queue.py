"""How many messages wait in Postfix's queue, and since when: looked up by ``up``, which is root, and told by ``serve``.

The queue's directories are Postfix's own and nobody else may read them (postfix(1), ``queue_directory``), so that
``up`` leaves the numbers in a small file for the daemon's metrics. A queue file is a name without a dot; the hashed
queues keep them in directories of one letter (``hash_queue_names``). When a message came is known to Postfix alone:
``postqueue -j`` tells (postqueue(1)).
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from mailhooks.stack.generation import binary

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from prometheus_client.metrics_core import Metric

    from mailhooks.stack.paths import Layout

QUEUES = ("maildrop", "incoming", "active", "deferred", "hold")
MAX_COUNTED = 1_000_000  # messages of one queue; whoever has more knows it already
MAX_DEPTH = 3  # directories within a queue; Postfix's default hash_queue_depth is 1
COUNT_SECONDS = 30.0
STALE_SECONDS = 300.0  # counts of an ``up`` that has died are not told
LIST_SECONDS = 10.0  # a queue that takes longer to list is told by what was listed until then
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


def oldest(config: Path) -> dict[str, float]:
    """Return when the oldest message of each queue came, in seconds since the epoch; empty queues are left out."""
    found: dict[str, float] = {}
    with subprocess.Popen(
        [binary("postqueue", "postfix"), "-c", str(config), "-j"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        timer = threading.Timer(LIST_SECONDS, process.kill)
        timer.start()
        try:
            for line in process.stdout or ():
                with suppress(ValueError, KeyError, TypeError):  # half a line of what was killed
                    message = json.loads(line)
                    name, came = message["queue_name"], float(message["arrival_time"])
                    found[name] = min(came, found.get(name, came))
        finally:
            timer.cancel()
    return found


class QueueCounter:
    """Counts again and again, and leaves the numbers in a file."""

    def __init__(self, reactor: Any, where: Layout) -> None:
        self._where = where
        self._timer = LoopingCall(deferToThread, self._write)
        self._timer.clock = reactor

    def start(self) -> None:
        """Begin; a count that fails is told once and ends the counting."""
        self._timer.start(COUNT_SECONDS).addErrback(lambda failure: log.failure("cannot count the queue", failure))

    def _write(self) -> None:
        path = self._where.queue_counts
        beside = path.with_suffix(".new")
        beside.write_text(
            json.dumps({"messages": count(self._where.queue), "oldest": oldest(self._where.postfix_config)})
        )
        beside.chmod(0o644)
        beside.replace(path)


def metrics(path: Path) -> Iterator[Metric]:
    """Tell what was found lately: the metrics ``postfix_queue_messages`` and ``postfix_queue_oldest_seconds``."""
    from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415 - ``up`` needs no metrics

    messages = GaugeMetricFamily(
        "mailhooks_postfix_queue_messages", "Messages in Postfix's queue, when up runs it.", labels=("queue",)
    )
    ages = GaugeMetricFamily(
        "mailhooks_postfix_queue_oldest_seconds", "Age of the oldest of them, 0 for an empty queue.", labels=("queue",)
    )
    with suppress(OSError, ValueError), path.open() as file:
        now = time.time()
        if now - os.fstat(file.fileno()).st_mtime < STALE_SECONDS:
            found = json.loads(file.read(MAX_FILE_BYTES))
            for name in QUEUES:
                messages.add_metric((name,), found["messages"].get(name, 0))
                ages.add_metric((name,), max(0.0, now - found["oldest"].get(name, now)))
    yield messages
    yield ages
