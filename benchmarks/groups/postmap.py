"""Postfix's own client of lookup tables, all processes on one CPU."""

from __future__ import annotations

import random
import sqlite3
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from benchmarks import yardsticks
from benchmarks.load import Load, Result
from benchmarks.measure import DOMAINS, MISSES, Row, addresses, domains, in_turns
from benchmarks.subject import Subject

ASKED = 40_000  # keys of one run of postmap


def postmap(directory: Path, _load: Load) -> Iterator[Row]:
    """Postfix's own client of lookup tables, all processes on one CPU."""
    keys = addresses() + [f"nobody{n}@example{n % DOMAINS}.test" for n in range(MISSES)]
    random.Random(2).shuffle(keys)
    keys = keys[:ASKED]
    known = set(addresses())
    expected = sorted(f"{key}\t{key}" for key in keys if key in known)
    asked = "\n".join(keys) + "\n"
    subject = Subject(directory / "postmap", pinned=True)
    subject.fill((f"{each}:{{PLAIN}}x::::::" for each in addresses()), domains())
    database = directory / "postmap.db"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE mailbox (address TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID")
        connection.executemany("INSERT INTO mailbox VALUES (?, ?)", ((each, each) for each in addresses()))
    connection.close()
    with ExitStack() as stack:
        subject.start()
        stack.callback(subject.stop)
        base = stack.enter_context(yardsticks.postgresql(directory, ((each, each) for each in addresses())))
        query = "query = SELECT value FROM mailbox WHERE address = '%s'\n"
        (directory / "sqlite.cf").write_text(f"dbpath = {database}\n{query}")
        (directory / "pgsql.cf").write_text(f"hosts = unix:{base}\nuser = postgres\ndbname = postgres\n{query}")
        main = directory / "postfix"
        main.mkdir()
        (main / "main.cf").write_text("compatibility_level = 3.6\n")
        (main / "master.cf").write_text("")

        def run(table: str) -> Result:
            begin = time.perf_counter()
            done = subprocess.run(
                ["taskset", "-c", "0", "postmap", "-c", main, "-q", "-", table],
                input=asked,
                text=True,
                capture_output=True,
                check=False,
                timeout=300,
            )
            elapsed = time.perf_counter() - begin
            if sorted(done.stdout.splitlines()) != expected:
                raise RuntimeError(f"{table}: wrong answers: {done.stderr[:500]}")
            return Result(len(keys) / elapsed, 1, 0, 0)

        a, b, c = in_turns(
            lambda: run(f"socketmap:unix:{subject.socket('socketmap')}:virtual_mailbox_maps"),
            lambda: run(f"sqlite:{directory}/sqlite.cf"),
            lambda: run(f"pgsql:{directory}/pgsql.cf"),
        )
        medians = [statistics.median(each.rate for each in results) for results in (a, b, c)]
        detail = "mailhooks {:,.0f}/s; sqlite: {:,.0f}/s; pgsql: {:,.0f}/s".format(*medians)
        yield Row.compared("postmap -q - on one CPU vs sqlite:", a, b, "rate", must=0.5, aim=0.7, detail=detail)
        yield Row.compared("… vs pgsql:", a, c, "rate", must=1.5, aim=2.0, detail=detail)
