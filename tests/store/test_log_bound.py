"""The write-ahead log stays below its bound while other processes always hold a snapshot."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mailhooks.store import Store

BOUND = 16 * 2**20
SECONDS = float(os.environ.get("MAILHOOKS_LOG_SECONDS", "4"))  # 60 for the whole proof

READER = """
import sys, time
from mailhooks.store import Store
handle = Store(sys.argv[1], busy_seconds=0.05)
handle.renew()
print("reading", flush=True)
wrong = asked = 0
end = time.monotonic() + float(sys.argv[2]) + 30
while not sys.stdin.closed and time.monotonic() < end:
    renewed = time.monotonic()
    handle.renew()
    while time.monotonic() < renewed + 0.02:
        asked += 1
        wrong += not handle.has_mailbox("user%d@example1.com" % (asked % 2000))
        time.sleep(0.001)
    import select
    if select.select([sys.stdin], [], [], 0)[0]:
        break
print(asked, wrong, flush=True)
"""


@pytest.mark.parametrize("readers", [3])
def test_the_log_is_bounded_under_steady_writes(store, store_url, readers):
    path = Path(store_url.removeprefix("sqlite:///"))
    with store.change("test") as change:
        change.add_domain("example1.com")
        for number in range(2000):
            change.add_mailbox(f"user{number}@example1.com")
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", READER, store_url, str(SECONDS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(readers)
    ]
    longest = written = 0
    try:
        for program in programs:
            assert program.stdout.readline() == "reading\n"
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            with store.batch() as batch:
                for number in range(0, 2000, 40):  # many pages in each commit
                    batch.set_usage(f"user{(number * 7 + written) % 2000}@example1.com", storage=written)
            written += 1
            longest = max(longest, path.with_name(f"{path.name}-wal").stat().st_size)
    finally:
        told = [program.communicate("end\n", timeout=30)[0].split() for program in programs]
    assert all(int(asked) > 100 and wrong == "0" for asked, wrong in told)
    assert longest > 11 * 2**20, "the test must write enough to reach the limit of 12 MB"
    assert longest < BOUND


def test_a_reader_that_never_renews_delays_writes_only_briefly(store, store_url):
    with store.change("test") as change:
        change.add_domain("example1.com")
        change.add_mailbox("adam@example1.com", name="x" * 1000)
    stuck = Store(store_url)
    stuck.renew()
    stuck.has_mailbox("adam@example1.com")
    with store.change("test") as change:
        for number in range(15_000):
            change.add_mailbox(f"user{number}@example1.com", name="x" * 1000)
    begun = time.monotonic()
    for number in range(50):
        with store.batch() as batch:
            batch.set_usage("adam@example1.com", storage=number)
    assert time.monotonic() - begun < 3
    stuck.close()
    store._db._log_limit = 0
    with store.batch() as batch:
        batch.set_usage("adam@example1.com", storage=1)
    assert Path(f"{store_url.removeprefix('sqlite:///')}-wal").stat().st_size == 0


def test_group_commits_and_changes_from_several_threads_lose_nothing(store, store_url):
    with store.change("test") as change:
        change.add_domain("example1.com")
        change.add_mailbox("adam@example1.com")
    store.renew()
    before = store.change_number
    store.release()
    failures = []

    def work(thread):
        handle = Store(store_url, busy_seconds=20)
        try:
            for number in range(50):
                with handle.change(f"thread {thread}") as change:
                    change.add_mailbox(f"user{thread}-{number}@example1.com")
                with handle.batch() as batch:
                    batch.set_usage("adam@example1.com", storage=number)
        except Exception as error:  # noqa: BLE001 - reported by the assertion below
            failures.append(error)
        finally:
            handle.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    store.renew()
    assert store.counts()["mailbox", "active"] == 201
    assert store.change_number == before + 200
