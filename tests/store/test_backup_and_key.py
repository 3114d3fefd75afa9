"""Backup, restore, check, upgrade, and the key file."""

from __future__ import annotations

import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest

from mailhooks.store import NotFound, Refused, Store, Unavailable, backup, check, open_store, restore, upgrade
from mailhooks.store import schema as schemas
from mailhooks.store.keyfile import KeyFile


@pytest.fixture
def path(store_url):
    return Path(store_url.removeprefix("sqlite:///"))


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_store_key_and_backup_are_for_their_owner_only(store, store_url, path, key_file, tmp_path):
    backup(store_url, tmp_path / "copy.db")
    assert [mode(each) for each in (path, key_file, tmp_path / "copy.db")] == [0o600] * 3
    assert store.available


def test_a_backup_under_load_is_one_whole_moment(store, store_url, tmp_path):
    with store.change("test") as change:
        change.add_domain("example1.com")
        for number in range(20_000):
            change.add_mailbox(f"old{number}@example1.com", name="x" * 100)
    stop = threading.Event()
    store.release()

    def write():
        handle = Store(store_url)
        number = 0
        while not stop.is_set():
            with handle.change("test") as change:  # always two together
                change.add_mailbox(f"a{number}@example1.com")
                change.add_mailbox(f"b{number}@example1.com")
            number += 1
        handle.close()

    writer = threading.Thread(target=write)
    writer.start()
    seen = []
    try:
        backup(store_url, tmp_path / "copy.db", progress=lambda done, total: seen.append((done, total)))
    finally:
        stop.set()
        writer.join()
    assert len(seen) > 1
    assert seen[-1][0] == seen[-1][1]
    assert not (tmp_path / "copy.db-wal").exists()
    copy = sqlite3.connect(tmp_path / "copy.db")
    assert copy.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    a, b = (
        copy.execute(f"SELECT COUNT(*) FROM mailbox WHERE name = '' AND address LIKE '{x}%'").fetchone()[0]
        for x in "ab"
    )
    copy.close()
    assert a == b


def test_a_backup_never_overwrites(store, store_url, tmp_path):
    (tmp_path / "copy.db").write_text("precious")
    with pytest.raises(Refused, match="there already"):
        backup(store_url, tmp_path / "copy.db")
    assert (tmp_path / "copy.db").read_text() == "precious"
    assert store.available


def test_restore_refuses_what_is_no_whole_backup(store, store_url, path, tmp_path):
    with store.change("test") as change:
        change.add_domain("example1.com")
    store.close()
    before = path.read_bytes()
    (tmp_path / "garbage").write_bytes(b"x" * 10_000)
    foreign = sqlite3.connect(tmp_path / "foreign.db")
    foreign.execute("CREATE TABLE x (y)")
    foreign.close()
    for name, error in (("garbage", Refused), ("foreign.db", Refused), ("missing", NotFound)):
        with pytest.raises(error):
            restore(store_url, tmp_path / name, who="test")
    assert path.read_bytes() == before
    assert sorted(each.name for each in tmp_path.iterdir() if "new" in each.name) == []


def test_restore_where_there_is_no_store(store, store_url, tmp_path):
    with store.change("test") as change:
        change.add_domain("example1.com")
    backup(store_url, tmp_path / "copy.db")
    url = f"sqlite:///{tmp_path}/elsewhere/new.db"
    restore(url, tmp_path / "copy.db", who="test", now=5.0)
    again = open_store(url)
    assert again.domain("example1.com") is not None
    assert again.audit(1)[0].at == 5.0
    again.close()


def test_check_finds_damage(store, store_url, path):
    with store.change("test") as change:
        change.add_domain("example1.com")
        for number in range(2000):
            change.add_mailbox(f"user{number}@example1.com")
        change.add_alias("a@example1.com", ["user1@example1.com"])
    assert check(store_url) == []
    store.close()
    raw = sqlite3.connect(path)
    raw.execute("DELETE FROM alias_target")
    raw.execute("DELETE FROM domain")
    raw.commit()
    raw.close()
    findings = check(store_url)
    assert "the alias a@example1.com has no targets" in findings
    assert "a row of mailbox names a domain that does not exist" in findings
    content = bytearray(path.read_bytes())
    content[20 * 4096 : 21 * 4096] = b"\xff" * 4096
    path.write_bytes(content)
    assert any(finding.startswith("damaged") for finding in check(store_url))


def test_an_upgrade_applies_what_is_missing_once(store, store_url, monkeypatch):
    store.close()
    now = schemas.current()
    assert upgrade(store_url) == (now, now)
    extra = "CREATE TABLE extra (a TEXT) STRICT;\nINSERT INTO extra VALUES ('x;y');\n"
    more = (*schemas.migrations(), (now + 1, extra))
    monkeypatch.setattr(schemas, "migrations", lambda: more)
    handle = Store(store_url)
    handle.renew()
    assert not handle.available
    assert "store upgrade" in handle.reason
    assert upgrade(store_url) == (now, now + 1)
    assert upgrade(store_url) == (now + 1, now + 1)
    older = sqlite3.connect(f"{store_url.removeprefix('sqlite:///')}-schema-{now}")
    assert older.execute("PRAGMA user_version").fetchone() == (now,)  # for whoever wants to go back
    older.close()
    handle._db._retry_at = 0.0
    handle.renew()
    assert handle.available
    handle.close()


def test_an_upgrade_that_fails_changes_nothing(store, store_url, path, monkeypatch):
    store.close()
    now = schemas.current()
    bad = (*schemas.migrations(), (now + 1, "CREATE TABLE extra (a TEXT) STRICT;\nNONSENSE;\n"))
    monkeypatch.setattr(schemas, "migrations", lambda: bad)
    with pytest.raises(Unavailable):
        upgrade(store_url)
    raw = sqlite3.connect(path)
    assert raw.execute("PRAGMA user_version").fetchone()[0] == now
    assert raw.execute("SELECT COUNT(*) FROM sqlite_schema WHERE name = 'extra'").fetchone()[0] == 0
    raw.close()


def test_a_disk_that_fills_up_leaves_no_half_of_a_key(tmp_path, monkeypatch):
    def fail(_descriptor):
        raise OSError(28, "No space left on device")

    key = KeyFile(tmp_path / "key")
    with monkeypatch.context() as full:
        full.setattr("mailhooks.store.keyfile.os.fsync", fail)
        with pytest.raises(Unavailable, match="No space left"):
            key.create()
    assert not key.exists()
    key.create()


def test_another_key_is_recognised_and_the_right_one_heals(store, store_url, key_file):
    assert store.key_fits() is None
    with store.change("test") as change:
        change.add_relay("relay.example", username="u", password="sesame")
    assert store.key_fits() is True
    assert check(store_url, key_file=key_file) == []
    right = key_file.read_bytes()
    key_file.unlink()
    reopened = open_store(store_url, key_file=key_file, create=True)
    assert not key_file.exists(), "a lost key is never replaced by a new one"
    with pytest.raises(Unavailable, match="key file"):
        reopened.relay_credentials("relay.example")
    other = open_store(f"{store_url}.other", key_file=key_file, create=True)
    assert key_file.exists()
    other.close()
    assert reopened.key_fits() is False
    assert "another key" in check(store_url, key_file=key_file)[0]
    with pytest.raises(Unavailable, match="another key"):
        reopened.relay_credentials("relay.example")
    writer = open_store(store_url, key_file=key_file)
    with pytest.raises(Unavailable, match="another key"), writer.change("test") as change:
        change.add_relay("second.example", username="u", password="x")
    writer.close()
    key_file.write_bytes(right)
    assert reopened.relay_credentials("relay.example") == ("u", "sesame")
    key_file.write_bytes(b"nonsense")
    with pytest.raises(Unavailable, match="no key file"):
        reopened.key_fits()
    reopened.close()


def test_who_has_lost_the_key_begins_anew_when_all_that_was_sealed_is_gone(store, store_url, key_file):
    with store.change("test") as change:
        change.add_relay("one.example", username="u", password="a")
        change.add_relay("two.example", username="u", password="b")
    store.close()
    key_file.unlink()
    for nexthop, made in (("one.example", False), ("two.example", True)):
        with closing(open_store(store_url, key_file=key_file, create=True)) as handle:
            assert not key_file.exists()
            with handle.change("test") as change:
                change.remove_relay(nexthop)
        open_store(store_url, key_file=key_file, create=True).close()
        assert key_file.exists() is made
    again = open_store(store_url, key_file=key_file)
    with again.change("test") as change:
        change.add_relay("one.example", username="u", password="c")
    assert again.relay_credentials("one.example") == ("u", "c")
    again.close()


def test_a_sealed_password_does_not_open_in_another_row(store, path):
    with store.change("test") as change:
        change.add_relay("one.example", username="u", password="a")
        change.add_relay("two.example", username="u", password="b")
    raw = sqlite3.connect(path)
    raw.execute("UPDATE relay SET secret = (SELECT secret FROM relay WHERE nexthop = 'one.example')")
    raw.commit()
    raw.close()
    store.renew()
    assert store.relay_credentials("one.example") == ("u", "a")
    with pytest.raises(Unavailable):
        store.relay_credentials("two.example")
