"""The slowest lookups while two password checks always run."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from benchmarks.groups.auth import HANDSHAKE, credentials, hashed
from benchmarks.load import Load, Result, write_pairs
from benchmarks.measure import Row, addresses, domains, in_turns, netstring
from benchmarks.subject import Subject


def tails(directory: Path, load: Load) -> Iterator[Row]:
    """The slowest lookups while two password checks always run."""
    users = addresses(5_000)
    stored = hashed("SHA512-CRYPT", "-r", "200000")
    subject = Subject(directory / "tails", settings={"auth": {"cache_entries": 0, "rehash": False, "workers": 2}})
    subject.fill((f"{each}:{stored}::::::" for each in users), domains())
    pairs = write_pairs(
        directory / "tail-pairs",
        ((netstring(b"virtual_mailbox_maps " + e.encode()), netstring(b"OK " + e.encode())) for e in users),
    )
    checks = write_pairs(directory / "tail-checks", credentials(users))
    with ExitStack() as stack:
        subject.start()
        stack.callback(subject.stop)

        def quiet() -> Result:
            return load.run(
                subject.socket("socketmap"), pairs, options=["rate=2000"], pid=subject.pid, seconds=1, punctual=True
            )

        def busy() -> Result:
            hashing = threading.Thread(
                target=load.run,
                args=(subject.socket("postfix_auth"), checks),
                kwargs={"options": HANDSHAKE, "pid": subject.pid, "connections": 2, "seconds": 2},
            )
            hashing.start()
            time.sleep(0.4)  # let both checks begin
            result = quiet()
            hashing.join()
            return result

        a, b = in_turns(busy, quiet)
        detail = "p99 {:.2f} ms busy; {:.2f} ms quiet".format(
            *(statistics.median(each.p99 for each in results) * 1e3 for results in (a, b))
        )
        yield Row.compared(
            "lookup p99, 2,000/s, two password checks running vs none",
            a,
            b,
            "p99",
            must=2,
            aim=1.2,
            detail=detail,
            at_most=True,
        )
