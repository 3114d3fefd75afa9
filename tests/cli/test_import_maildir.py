"""``import maildir`` on real files: what stays as it was, what hostile sources get, and what a kill leaves."""

from __future__ import annotations

import fcntl
import os
import pty
import random
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import Shell, needs_root

pytestmark = needs_root

A = "adam@example1.com"
UID, GID = 4242, 4243
DATE = 1_400_000_000
KILLED_SECONDS = 120


@pytest.fixture
def house(site: Shell) -> Shell:
    with (site.directory / "mailhooks.toml").open("a") as config:
        config.write(f'uid = {UID}\ngid = {GID}\n[server]\nroot = "{site.directory}"\n')
    return site


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return make(tmp_path / "old")


def make(folder: Path) -> Path:
    for place in ("cur", "new", "tmp"):
        (folder / place).mkdir(parents=True)
    return folder


def write(folder: Path, name: str, text: str = "Subject: x\n\nHello.\n", date: int = DATE) -> Path:
    path = folder / name
    path.write_text(text)
    os.utime(path, (date, date))
    return path


def box(house: Shell, folder: str = "") -> Path:
    return house.mail / "example1.com/adam/Maildir" / folder


def tree(root: Path) -> dict[str, tuple[bytes, int]]:
    """Every message below a Maildir, with its bytes and its date."""
    return {
        str(path.relative_to(root)): (path.read_bytes(), int(path.stat().st_mtime))
        for path in root.rglob("*")
        if path.is_file() and path.parent.name in ("cur", "new", "tmp")
    }


def test_everything_stays_as_it_was(house, old):
    write(old, "cur/1.a.old:2,FSb", date=DATE - 5)
    write(old, "new/2.b.old")
    write(make(old / ".Work.Sub"), "cur/3.c.old:2,T")
    (old / "dovecot-keywords").write_text("0 A\n1 B\n")
    (old / "dovecot-uidlist").write_text("3 V7 N9\n4 :1.a.old\n5 :2.b.old\n")
    (old / "subscriptions").write_text("V\t2\n\nWork\tSub\nGone\n")
    said = house.ok("import", "maildir", str(old), A)
    assert tree(box(house)) == tree(old)
    assert said.splitlines() == [
        "INBOX: 2 messages (38) were taken, UIDs stay",
        ".Work.Sub -> Work/Sub: 1 messages (19) were taken",
    ]
    assert box(house, "dovecot-uidlist").read_text() == "3 V7 N9\n4 :1.a.old\n5 :2.b.old\n"
    assert box(house, "subscriptions").read_text() == "V\t2\n\nWork\tSub\n"
    assert box(house, ".Work.Sub/maildirfolder").exists()
    home = house.mail / "example1.com"
    for path in (home, *home.rglob("*")):
        status = path.stat()
        assert (status.st_uid, status.st_gid) == (UID, GID), path
        assert status.st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
    assert not list(home.rglob("*.lock"))


def test_a_second_run_takes_nothing_even_when_flags_changed(house, old):
    write(old, "cur/1.a.old:2,S")
    house.ok("import", "maildir", str(old), A)
    (box(house) / "cur/1.a.old:2,S").rename(box(house) / "cur/1.a.old:2,RS")
    assert "0 messages (0) were taken, 1 were there already" in house.ok("import", "maildir", str(old), A)
    assert list(tree(box(house))) == ["cur/1.a.old:2,RS"]


def test_another_message_of_the_same_name_is_taken_beside_it(house, old):
    make(box(house))
    write(box(house), "cur/1.a.old:2,S", "mine, as long")
    write(old, "cur/1.a.old:2,", "his,  as long")
    for taken in (1, 0):
        assert f"{taken} messages" in house.ok("import", "maildir", str(old), A)
        found = tree(box(house))
        assert sorted(data for data, _ in found.values()) == [b"his,  as long", b"mine, as long"]
        assert found["cur/1.a.old:2,S"][0] == b"mine, as long"


def test_a_dry_run_says_the_same_and_changes_nothing(house, old):
    write(old, "cur/1.a.old:2,S")
    write(make(old / ".spam"), "new/2.b.old")
    before = sorted(house.directory.rglob("*"))
    said = house.ok("import", "maildir", "--dry-run", "--map", ".spam=Junk", str(old), A)
    assert said.splitlines() == [
        "INBOX: 1 messages (19) would be taken",
        ".spam -> Junk: 1 messages (19) would be taken",
    ]
    assert sorted(house.directory.rglob("*")) == before
    house.ok("import", "maildir", str(old), A)
    assert "1 were there already" in house.ok("import", "maildir", "--dry-run", str(old), A)


def test_folders_merge_whatever_their_case(house, old):
    make(box(house, ".Work"))
    write(make(old / ".work"), "cur/1.a.old:2,S")
    write(make(old / ".WORK.Sub"), "cur/2.b.old:2,S")
    write(make(old / ".INBOX.x"), "cur/3.c.old:2,S")
    house.ok("import", "maildir", str(old), A)
    assert set(tree(box(house))) == {".Work/cur/1.a.old:2,S", ".Work.Sub/cur/2.b.old:2,S", ".INBOX.x/cur/3.c.old:2,S"}


def test_keywords_are_translated_on_merging(house, old):
    house.ok("import", "maildir", str(old), A)
    box(house, "dovecot-keywords").write_text("0 Mine\n")
    (old / "dovecot-keywords").write_text("0 His\n1 mine\n")
    write(old, "cur/1.a.old:2,Sab")
    house.ok("import", "maildir", str(old), A)
    assert list(tree(box(house))) == ["cur/1.a.old:2,Sab"]
    assert box(house, "dovecot-keywords").read_text() == "0 Mine\n1 His\n"


def test_the_layout_fs_and_a_home(house, tmp_path):
    old = make(tmp_path / "home/Maildir")
    write(old, "cur/1.a.old:2,S")
    write(make(old / "Work/v1.0"), "cur/2.b.old:2,S")
    result = house.run("import", "maildir", str(old.parent), A)
    assert result.exit_code == 0
    assert "the layout is fs" in result.stderr
    assert set(tree(box(house))) == {"cur/1.a.old:2,S", ".Work.v1_0/cur/2.b.old:2,S"}


def test_names_that_dovecot_would_not_take(house, old):
    for name in (
        "cur/line\nbreak",
        "cur/" + "x" * 250,
        "new/1.a,S=5",
        b"cur/\xff\xfe".decode(errors="surrogateescape"),
    ):
        write(old, name, f"Subject: {len(name)}\n")
    write(old, "cur/.hidden")
    for taken in (4, 0):
        assert f"{taken} messages" in house.ok("import", "maildir", str(old), A)
        found = tree(box(house))
        assert sorted(data for data, _ in found.values()) == sorted(
            path.read_bytes() for path in old.rglob("*") if path.is_file() and path.name != ".hidden"
        )
        assert all(name.isprintable() and len(name) < 200 for name in found)


def test_a_terminal_shows_how_far_it_is(house, old):
    for number in range(30):
        write(old, f"cur/{number}.a:2,S")
    terminal, end = pty.openpty()
    with start(house, old, stderr=end) as process:
        os.close(end)
        shown = b""
        with suppress(OSError):  # EIO: the other end is closed
            while data := os.read(terminal, 4096):
                shown += data
        os.close(terminal)
    assert process.returncode == 0
    assert b"Copying" in shown
    assert b"100%" in shown


# Hostile sources


def test_no_link_pipe_socket_or_foreign_file_is_taken(house, old, tmp_path):
    secret = write(tmp_path, "secret", "root:hash")
    write(old, "cur/1.a.old:2,S")
    (old / "cur/link:2,S").symlink_to(secret)
    os.mkfifo(old / "new/pipe")
    os.link(secret, old / "cur/hard:2,S")
    os.chown(secret, 0, 0)
    os.chown(old, UID, GID)
    os.chown(old / "cur/1.a.old:2,S", UID, GID)
    (old / ".Linked").symlink_to(make(tmp_path / "elsewhere"))
    write(tmp_path / "elsewhere", "cur/9.z:2,S")
    make(old / ".Half")
    (old / ".Half/cur").rmdir()
    (old / ".Half/cur").symlink_to(tmp_path / "elsewhere/cur")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(old / "new/socket"))
        for name in ("dovecot-uidlist", "dovecot-keywords", "subscriptions"):
            (old / name).symlink_to(secret)
        result = house.run("import", "maildir", str(old), A)
    assert result.exit_code == 1
    assert set(tree(box(house))) == {"cur/1.a.old:2,S"}
    for what in (
        "cur/link:2,S is a link",
        "new/pipe is no regular",
        ".Linked is a link",
        "cur/hard:2,S is a hard link",
    ):
        assert what in result.stderr
    assert "new/socket is no regular file" in result.stderr
    assert ".Half/cur is no directory" in result.stderr
    assert "1 files were not taken" in result.stderr
    assert "hash" not in result.output


def test_hard_links_of_the_owner_are_mail(house, old):
    write(old, "cur/1.a.old:2,S")
    make(old / ".Copy")
    os.link(old / "cur/1.a.old:2,S", old / ".Copy/cur/2.b.old:2,S")
    house.ok("import", "maildir", str(old), A)
    assert set(tree(box(house))) == {"cur/1.a.old:2,S", ".Copy/cur/2.b.old:2,S"}


def test_what_cannot_be_a_message_is_said(house, old):
    with (old / "cur/huge").open("wb") as sparse:
        sparse.truncate(2**40)
    (old / "cur/zip").write_bytes(b"\x1f\x8b\x08 and so on")
    result = house.run("import", "maildir", str(old), A)
    assert result.exit_code == 1
    assert "cur/huge has more than" in result.stderr
    assert "zlib" in result.stderr
    assert tree(box(house)) == {}


def test_a_link_in_the_mailbox_is_not_followed(house, old, tmp_path):
    write(old, "cur/1.a.old:2,S")
    make(box(house))
    target = make(tmp_path / "precious")
    box(house, "cur").rmdir()
    box(house, "cur").symlink_to(target / "cur")
    house.fails(2, "import", "maildir", str(old), A)
    assert tree(target) == {}


@pytest.mark.parametrize("where", ["example1.com", "example1.com/adam", "example1.com/adam/Maildir"])
def test_a_link_on_the_way_to_the_mailbox_is_not_followed(house, old, tmp_path, where):
    write(old, "cur/1.a.old:2,S")
    (house.mail / where).parent.mkdir(parents=True)
    (tmp_path / "precious").mkdir()
    (house.mail / where).symlink_to(tmp_path / "precious")
    assert "without a link" in house.fails(2, "import", "maildir", str(old), A)
    assert not list((tmp_path / "precious").iterdir())


# What cannot be


@pytest.mark.parametrize(
    ("code", "arguments", "said"),
    [
        (1, ["{old}", "nobody@example1.com"], "no account nobody@example1.com"),
        (2, ["{old}/none", A], "No such file"),
        (2, ["{old}/file", A], "Not a directory"),
        (2, ["{old}/link", A], "is a link"),
        (2, ["{old}/empty", A], "is no Maildir"),
        (2, ["--map", "spam", "{old}", A], "FOLDER=FOLDER"),
        (2, ["{old}", "nobody"], "nobody"),
        (2, ["{old}/long", A], "--map"),
        (2, ["{old}/deep", A], "levels"),
    ],
)
def test_errors_are_one_line_and_change_nothing(house, old, code, arguments, said):
    (old / "file").touch()
    (old / "link").symlink_to(old)
    (old / "empty").mkdir()
    make(old / "long")
    make(old / f"long/{'x' * 200}/{'y' * 200}")
    make(old / "deep")
    make(old / f"deep/{'/'.join('abcdefghijklmnopqrstuvwxyz')}")
    assert said in house.fails(code, "import", "maildir", *(each.format(old=old) for each in arguments))
    assert not house.mail.exists() or not list(house.mail.iterdir())


def test_the_mailbox_itself_is_no_source(house):
    make(box(house))
    assert "the mailbox itself" in house.fails(2, "import", "maildir", str(box(house)), A)


def test_a_store_that_is_away(house, old):
    house.store_path.write_bytes(b"no store at all" * 1000)
    assert house.run("import", "maildir", str(old), A).exit_code == 75


def test_a_folder_that_dovecot_numbers_is_waited_for(house, old, monkeypatch):
    monkeypatch.setattr("mailhooks.maildir.dotlock.WAIT_SECONDS", 0.2)
    write(old, "cur/1.a.old:2,S")
    lock = make(box(house)) / "dovecot-uidlist.lock"
    lock.write_text(f"1:{socket.gethostname()}")  # init lives
    result = house.run("import", "maildir", str(old), A)
    assert result.exit_code == 75
    assert "locked" in result.stderr
    lock.write_text(f"{dead_pid()}:{socket.gethostname()}")
    house.ok("import", "maildir", str(old), A)
    assert set(tree(box(house))) == {"cur/1.a.old:2,S"}
    assert not lock.exists()


def test_a_mailbox_that_is_too_small_is_said(house, old):
    house.ok("user", "set", A, "--quota", "10B")
    write(old, "cur/1.a.old:2,S")
    assert "over quota" in house.run("import", "maildir", str(old), A).stderr


def test_a_mapping_that_fits_nothing_is_said(house, old):
    assert "no folder spam" in house.run("import", "maildir", "--map", ".spam=Junk", str(old), A).stderr


def dead_pid() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


# Killed


def start(house: Shell, old: Path, stderr: int = subprocess.PIPE) -> subprocess.Popen[bytes]:
    config = str(house.directory / "mailhooks.toml")
    command = [sys.executable, "-m", "mailhooks", "--config", config, "import", "maildir", str(old), A]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr)


def killed_when(process: subprocess.Popen[bytes], directory: Path, count: int) -> bool:
    """Kill an import once so many files lie in a directory; False when it ended before."""
    deadline = time.monotonic() + KILLED_SECONDS
    while process.poll() is None:
        assert time.monotonic() < deadline
        if directory.exists() and len(os.listdir(directory)) >= count:  # noqa: PTH208 - in a tight loop
            process.send_signal(signal.SIGKILL)
            process.communicate()
            return True
    process.communicate()
    return False


def test_killed_at_any_moment_it_goes_on_where_it_stopped(house, old):
    """Three times while it copies, once more when it gives names: as long as the lock is ours it cannot be too fast."""
    chance = random.Random(45)
    for number in range(200):
        write(old, f"cur/{number}.x.old:2,S", f"Subject: {number}\n\n" + "x" * chance.randrange(20_000))
    lines = "".join(f"{number + 1} :{number}.x.old\n" for number in range(200))
    (old / "dovecot-uidlist").write_text(f"3 V7 N201\n{lines}")
    whole = tree(old)
    lock = make(box(house)) / "dovecot-uidlist.lock"
    staged = 0
    for count in sorted((*chance.sample(range(1, 200), 2), 200)):
        lock.write_text(f"{os.getpid()}:{socket.gethostname()}")
        assert killed_when(start(house, old), box(house, "tmp"), count)
        found = tree(box(house))
        assert all(name.startswith("tmp/") for name in found)
        assert len(found) >= max(staged, count)  # nothing whole is copied again
        staged = len(found) - 1
    lock.unlink()
    killed_when(start(house, old), box(house, "cur"), 1)
    found = {name: data for name, data in tree(box(house)).items() if not name.startswith("tmp/")}
    assert found.items() <= whole.items()
    process = start(house, old)
    assert process.wait(KILLED_SECONDS) == 0, process.communicate()
    process.communicate()
    assert tree(box(house)) == whole
    assert box(house, "dovecot-uidlist").read_text() == (old / "dovecot-uidlist").read_text()
    assert not lock.exists()


def test_two_imports_into_one_mailbox_at_once(house, old):
    write(old, "cur/1.a.old:2,S")
    make(box(house))
    handle = os.open(box(house), os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        assert "another import" in house.fails(75, "import", "maildir", str(old), A)
    finally:
        os.close(handle)
