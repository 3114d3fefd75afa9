"""The file under an open handle: moved, replaced, overwritten, locked; never an old answer, well again by itself."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from mailhooks.store import Store, Unavailable, backup, open_store, restore

HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(store_url):
    return Path(store_url.removeprefix("sqlite:///"))


@pytest.fixture
def small(store):
    with store.change("test") as change:
        change.add_domain("example1.com")
        change.add_mailbox("adam@example1.com")
    return store


@pytest.fixture
def reader(small, store_url):
    handle = Store(store_url, busy_seconds=0.05)
    handle.renew()
    assert handle.has_mailbox("adam@example1.com")
    small.release()
    yield handle
    handle.close()


def retried(handle):
    """Renew until the next attempt is due."""
    handle._db._retry_at = 0.0
    handle.renew()


def test_a_missing_store_is_an_outage_and_never_made(store_url, path):
    handle = Store(store_url)
    assert not path.exists()
    handle.renew()
    assert not handle.available
    assert "no store" in handle.reason
    with pytest.raises(Unavailable):
        handle.has_mailbox("adam@example1.com")
    with pytest.raises(Unavailable), handle.change("test"):
        pass
    with pytest.raises(Unavailable, match="no store"):
        open_store(store_url)
    assert list(path.parent.iterdir()) == []
    open_store(store_url, create=True).close()
    retried(handle)
    assert handle.available
    assert not handle.has_mailbox("adam@example1.com")
    handle.close()


def test_moved_away_and_back(reader, path):
    aside = path.with_suffix(".aside")
    path.rename(aside)
    reader.renew()
    assert not reader.available
    with pytest.raises(Unavailable):
        reader.has_mailbox("adam@example1.com")
    aside.rename(path)
    retried(reader)
    assert reader.available
    assert reader.has_mailbox("adam@example1.com")


def test_a_write_to_a_moved_store_is_refused(small, path):
    path.rename(path.with_suffix(".aside"))
    with pytest.raises(Unavailable), small.change("test") as change:
        change.add_mailbox("bob@example1.com")
    path.with_suffix(".aside").rename(path)
    small._db._retry_at = 0.0
    with small.change("test") as change:
        change.add_mailbox("bob@example1.com")


def test_moved_away_in_the_middle_of_a_change(small, path):
    def attempt():
        with small.change("test") as change:
            change.add_mailbox("bob@example1.com")
            path.rename(path.with_suffix(".aside"))

    with pytest.raises(Unavailable):
        attempt()
    path.with_suffix(".aside").rename(path)
    retried(small)
    assert not small.has_mailbox("bob@example1.com")


@pytest.mark.usefixtures("small")
def test_nothing_new_is_made_where_only_a_log_lies(path, store_url):
    path.rename(path.with_suffix(".aside"))
    with pytest.raises(Unavailable, match="log"):
        open_store(store_url, create=True)
    assert not path.exists()
    path.with_suffix(".aside").rename(path)


def test_replaced_by_another_store(small, reader, path, tmp_path):
    other = open_store(f"sqlite:///{tmp_path}/other.db", create=True)
    with other.change("test") as change:
        change.add_domain("example2.com")
    other.close()
    generation = reader.generation
    aside = path.with_suffix(".aside")
    path.rename(aside)
    (tmp_path / "other.db").rename(path)
    reader.renew()
    assert not reader.available
    retried(reader)
    assert not reader.available, "another handle still has the old file open: two files would share one log"
    small.renew()
    assert not small.available
    retried(reader)
    assert reader.available
    assert reader.generation > generation
    assert reader.domain("example2.com") is not None
    assert not reader.has_mailbox("adam@example1.com")
    retried(small)
    with small.change("test") as change:
        change.add_mailbox("eve@example2.com")
    reader.renew()
    assert reader.has_mailbox("eve@example2.com")
    aside.rename(path)  # and the first one back, with the changes that were only in its log
    for handle in (reader, small):
        handle.renew()
    retried(reader)
    assert reader.has_mailbox("adam@example1.com")
    assert reader.domain("example2.com") is None


def test_a_new_process_does_not_open_a_replaced_store_with_the_old_ones_log(small, path, store_url, tmp_path):
    other = open_store(f"sqlite:///{tmp_path}/other.db", create=True)
    other.close()
    path.rename(path.with_suffix(".aside"))
    (tmp_path / "other.db").rename(path)
    with pytest.raises(Unavailable):
        open_store(store_url)
    small.release()  # what a handle at rest does now and then
    assert path.with_name(f"{path.name}-wal").stat().st_size > 0
    fresh = open_store(store_url)
    assert list(fresh.domains()) == []
    assert fresh._db._run("PRAGMA integrity_check").fetchone()[0] == "ok"
    fresh.close()


@pytest.mark.parametrize("garbage", [b"", b"garbage\n", b"x" * 8192, b"SQLite format 3\0" + b"\0" * 4080])
def test_garbage_in_its_place_and_the_store_back(small, reader, path, garbage):
    aside = path.with_suffix(".aside")
    path.rename(aside)
    path.write_bytes(garbage)
    small.renew()
    reader.renew()
    assert not reader.available
    for _ in range(3):
        retried(reader)
        assert not reader.available
    with pytest.raises(Unavailable):
        reader.alias_targets("adam@example1.com")
    aside.rename(path)
    retried(reader)
    assert reader.available
    assert reader.has_mailbox("adam@example1.com"), "what was only in the log must not be lost"


def test_overwritten_in_place(reader, small, path):
    small.close()
    content = path.read_bytes()
    path.write_bytes(b"garbage")
    reader.renew()
    assert not reader.available
    retried(reader)
    assert not reader.available
    path.write_bytes(content)
    retried(reader)
    assert reader.available


def test_another_database_is_no_store(tmp_path):
    raw = sqlite3.connect(tmp_path / "other.db")
    raw.execute("CREATE TABLE mailbox (address)")
    raw.close()
    with pytest.raises(Unavailable, match="no mailhooks store"):
        open_store(f"sqlite:///{tmp_path}/other.db")


def test_a_copy_made_by_vacuum_is_a_whole_store(small, tmp_path):
    """It has another journal mode, and used to be an outage until somebody ran the upgrade."""
    with sqlite3.connect(small._db.path) as connection:
        connection.execute("VACUUM INTO ?", (str(tmp_path / "copy.db"),))
    connection.close()
    copy = Store(f"sqlite:///{tmp_path}/copy.db")
    copy.renew()
    assert copy.available, copy.reason
    assert copy.has_mailbox("adam@example1.com")
    copy.close()


def test_a_newer_schema_is_an_outage_that_says_so(small, reader, path, store_url):
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA user_version = 99")
    raw.close()
    reader.renew()
    assert not reader.available
    assert "newer mailhooks (schema 99" in reader.reason
    with pytest.raises(Unavailable, match="newer"), small.change("test"):
        pass
    with pytest.raises(Unavailable, match="newer"):
        open_store(store_url, create=True)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody who may not read")
def test_unreadable_for_the_daemons_own_user(small, path, tmp_path):
    small.close()
    for directory in (tmp_path, *tmp_path.parents):
        if directory.owner() == "root" and str(directory).startswith("/tmp/"):
            directory.chmod(0o755)
    program = """
        import sys
        from mailhooks.store import Store
        handle = Store(sys.argv[1])
        handle.renew()
        print(handle.available, handle.reason)
    """
    done = run(program, f"sqlite:///{path}", user=65534)
    assert done.stdout.startswith("False")
    assert done.stderr == ""


def test_a_write_lock_held_by_another_process_stops_writes_only(reader, path):
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            HOLDER,
            str(path),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout.readline() == b"held\n"
    try:
        writer = Store(f"sqlite:///{path}", busy_seconds=0.2)
        for way in (lambda: writer.change("test"), writer.batch):
            begun = time.monotonic()
            with pytest.raises(Unavailable, match="locked"), way():
                pass
            assert 0.1 < time.monotonic() - begun < 2
            reader.renew()
            assert reader.available
            assert reader.has_mailbox("adam@example1.com")
            assert writer.has_mailbox("adam@example1.com")
    finally:
        holder.communicate()
    with writer.change("test") as change:
        change.add_mailbox("bob@example1.com")
    writer.close()
    reader.renew()
    assert reader.has_mailbox("bob@example1.com")


def test_a_reader_sees_a_commit_only_after_its_renewal(small, reader):
    with small.change("test") as change:
        change.add_mailbox("bob@example1.com")
    assert not reader.has_mailbox("bob@example1.com")
    reader.renew()
    assert reader.has_mailbox("bob@example1.com")


def test_restore_waits_for_nobody_and_replaces_nothing_in_use(small, reader, store_url, tmp_path):
    backup(store_url, tmp_path / "backup.db")
    with small.change("test") as change:
        change.add_mailbox("bob@example1.com")
    with pytest.raises(Unavailable, match="in use"):
        restore(store_url, tmp_path / "backup.db", who="test")
    reader.renew()
    assert reader.has_mailbox("bob@example1.com")
    number = reader.change_number
    reader.close()
    small.close()
    restore(store_url, tmp_path / "backup.db", who="test")
    reader.renew()
    retried(reader)
    assert reader.available
    assert reader.has_mailbox("adam@example1.com")
    assert not reader.has_mailbox("bob@example1.com")
    assert reader.change_number > number
    assert reader.audit(1)[0].action == "store restore"


def run(program, *arguments, user=None):
    # Everything is imported before the rights are dropped: the test's interpreter may not be readable for others.
    become = f"import os, mailhooks.store.schema as schema\nschema.current()\nos.setuid({user})\n" if user else ""
    code = become + textwrap.dedent(program)
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=30, check=False
    )
