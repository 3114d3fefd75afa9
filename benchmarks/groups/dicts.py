"""quota_clone commits, a connection for each, acknowledged after their group's commit."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from benchmarks.load import Load, write_pairs
from benchmarks.measure import SECONDS, Row, addresses, domains, in_turns, spoken
from benchmarks.subject import Subject


def dict_commits(directory: Path, load: Load) -> Iterator[Row]:
    """quota_clone commits, a connection for each, acknowledged after their group's commit."""
    users = addresses(5_000)
    subject = Subject(directory / "dict-store")
    subject.fill((f"{each}:{{PLAIN}}x::::::" for each in users), domains())
    pairs = write_pairs(
        directory / "dict-pairs",
        (
            (
                f"H3\t2\t0\t\tquota\nB1\t{each}\nS1\tpriv/quota/storage\t{number}\nS1\tpriv/quota/messages\t3\nC1\n".encode(),
                b"O1\n",
            )
            for number, each in enumerate(users)
        ),
    )
    with ExitStack() as stack:
        subject.start()
        stack.callback(subject.stop)
        (a,) = in_turns(
            lambda: load.run(subject.socket("dict"), pairs, options=["reconnect"], pid=subject.pid, seconds=2 * SECONDS)
        )
        rate = statistics.median(each.rate for each in a)
        yield Row("dict commits, one connection each, 16 clients", "/s", rate, 3000, 6000, spoken(a))
