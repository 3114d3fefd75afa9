"""``store backup`` into a directory, ``--keep``, and what a restore says."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from mailhooks.cli import rotation
from mailhooks.store import Unavailable, backup


@pytest.fixture
def backups(tmp_path):
    directory = tmp_path / "backups"
    directory.mkdir()
    return directory


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_a_backup_in_a_directory_is_named_by_its_time(site, backups):
    made = [Path(site.ok("store", "backup", str(backups)).strip()) for _ in range(3)]
    assert [path.name for path in made] == names(backups)
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in made)
    site.ok("user", "remove", "bob@example1.com")
    site.ok("store", "restore", str(made[1]))
    assert len(site.json("user", "list")) == 2


def test_the_latest_are_kept_and_nothing_else_is_removed(site, backups):
    stranger = rotation.name(1e9)  # named as a backup, and none
    (backups / stranger).write_text("precious")
    link = rotation.name(1.1e9)
    mine = ["notes.txt", "mailhooks-20200101-000000-000.db.gz", "copy-of-mailhooks-20200101-000000-000.db"]
    for name in mine:
        (backups / name).write_text("precious")
    old = [Path(site.ok("store", "backup", str(backups)).strip()) for _ in range(4)]
    (backups / link).symlink_to(old[0])
    site.ok("store", "backup", str(backups / "by-hand.db"))
    result = site.run("store", "backup", "--keep", "2", str(backups))
    assert result.exit_code == 0
    assert result.stderr == "mailhooks: removed older backups: 3\n"
    latest = Path(result.stdout.strip()).name
    assert names(backups) == sorted([*mine, stranger, link, "by-hand.db", old[3].name, latest])


def test_what_was_made_just_now_stays_when_the_clock_was_set_back(site, backups):
    first = Path(site.ok("store", "backup", str(backups)).strip())
    for year in range(4):
        (backups / rotation.name(4e9 + year)).write_bytes(first.read_bytes())
    made = Path(site.ok("store", "backup", "--keep", "2", str(backups)).strip())
    assert names(backups) == sorted([made.name, rotation.name(4e9 + 3)])


def test_only_old_parts_are_what_a_killed_command_left(site, backups):
    part = backups / f".{rotation.name(1e9)}{rotation.PART}"
    part.write_text("half")
    site.ok("store", "backup", "--keep", "1", str(backups))
    assert part.exists()  # another command may be writing it
    os.utime(part, (1e9, 1e9))
    site.ok("store", "backup", "--keep", "1", str(backups))
    assert not part.exists()


def test_keep_wants_a_directory(site, tmp_path):
    assert "name one that is there" in site.fails(2, "store", "backup", "--keep", "2", str(tmp_path / "none"))
    assert "--keep" in site.fails(2, "store", "backup", "--keep", "0", str(tmp_path))
    (tmp_path / ".copy.db.part").write_text("")
    assert "left by one that was killed" in site.fails(2, "store", "backup", str(tmp_path / "copy.db"))


def test_a_damaged_store_pushes_no_sound_backup_out(site, backups):
    made = site.ok("store", "backup", str(backups)).strip()
    with sqlite3.connect(site.store_path) as raw:
        raw.execute("DELETE FROM domain")
    raw.close()
    result = site.run("store", "backup", "--keep", "1", str(backups))
    assert result.exit_code == 75
    assert "is not sound, no backup was made of it: a row of " in result.stderr
    assert names(backups) == [Path(made).name]


def test_a_damaged_page_is_found_before_the_backup_has_a_name(store, store_url, tmp_path):
    with store.change("test") as change:
        change.add_domain("example1.com")
        for number in range(2000):
            change.add_mailbox(f"user{number}@example1.com")
    store.close()
    path = Path(store_url.removeprefix("sqlite:///"))
    content = bytearray(path.read_bytes())
    content[20 * 4096 : 21 * 4096] = b"\xff" * 4096
    path.write_bytes(content)
    with pytest.raises(Unavailable, match="not sound"):
        backup(store_url, tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()


def test_no_backup_holds_the_key_and_a_restore_names_a_wrong_one(site, backups):
    site.ok("relay", "add", "[a.test]", "--username", "u", "--password-stdin", given="Sesame-Q8\n")
    key = site.directory / "state/key"
    right = key.read_bytes()
    made = Path(site.ok("store", "backup", str(backups)).strip())
    content = made.read_bytes()
    assert right.strip() not in content
    assert b"Sesame-Q8" not in content
    assert site.run("store", "restore", str(made)).stderr == f"mailhooks: restored {made}\n"
    key.unlink()
    result = site.run("store", "restore", str(made))
    assert result.exit_code == 0
    assert f"cannot read the key file {key}" in result.stderr
    site.ok("--store", f"sqlite:///{site.directory}/state/other.db", "domain", "add", "example9.com")
    assert key.exists()  # another store's
    result = site.run("store", "restore", str(made))
    assert f"another key than {key}: put the right key file back" in result.stderr
    key.write_bytes(right)
    assert site.ok("store", "check") == ""


def test_a_restore_is_refused_while_anybody_has_the_store_open(site, backups):
    made = site.ok("store", "backup", str(backups)).strip()
    program = (
        "import sys; from mailhooks.store import open_store; s = open_store(sys.argv[1]); print(); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, f"sqlite:///{site.store_path}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert "in use by the daemon or another command: stop that first" in site.fails(75, "store", "restore", made)
        holder.communicate(b"")
    site.ok("store", "restore", made)
