"""Memory and start with a million mailboxes, and the import of a hundred thousand."""

from __future__ import annotations

import random
import socket
import statistics
from collections.abc import Iterator
from pathlib import Path

from benchmarks.load import Load, resident_bytes
from benchmarks.measure import ADDRESSES, ROUNDS, Row, addresses, domains, netstring
from benchmarks.subject import Subject


def size(directory: Path, _load: Load) -> Iterator[Row]:
    """Memory and start with a million mailboxes."""
    big, small = Subject(directory / "big"), Subject(directory / "small")
    seconds = big.fill((f"{each}:{{PLAIN}}x::::::" for each in addresses(1_000_000)), domains())
    small.fill(["user0@example0.test:{PLAIN}x::::::"], domains())
    starts: list[list[float]] = [[], []]
    for _ in range(ROUNDS):
        for subject, kept in zip((big, small), starts, strict=True):
            kept.append(subject.start())
            subject.stop()
    big.start()
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(big.socket("socketmap")))
            for each in random.Random(4).sample(addresses(1_000_000), 50_000):
                connection.sendall(netstring(b"virtual_mailbox_maps " + each.encode()))
                connection.recv(1000)
        memory = resident_bytes(big.pid) / 1e6
    finally:
        big.stop()
    large, little = (statistics.median(kept) for kept in starts)
    detail = f"import took {seconds:.1f} s; start {large:.2f} s vs {little:.2f} s"
    yield Row("resident memory with 1,000,000 mailboxes", " MB", memory, 120, 100, detail, at_most=True)
    share = statistics.median(a / b for a, b in zip(*starts, strict=True))
    yield Row("start to first answer vs 1 mailbox", "×", share, 1.5, 1.1, detail, at_most=True)


def imports(directory: Path, _load: Load) -> Iterator[Row]:
    """The flat files of 100,000 mailboxes."""
    rates = []
    for number in range(3):
        subject = Subject(directory / f"import{number}")
        seconds = subject.fill(
            (f"{each}:{{PLAIN}}x::::::userdb_quota_rule=*:storage=1G" for each in addresses()), domains()
        )
        rates.append(ADDRESSES / seconds)
    rate = statistics.median(rates)
    yield Row("import of 100,000 mailboxes", "/s", rate, 20_000, 50_000, f"{ADDRESSES / rate:.1f} s")
