"""Run as root, the command line works with the rights of the state directory's owner, and takes root's back at need."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Shell, needs_root

from mailhooks.cli.owner import owner_of, root_again

pytestmark = needs_root
OWNER = 4242


@pytest.fixture
def owned(shell):
    """A state directory of another user, below directories that this user may pass."""
    for directory in (shell.directory, *shell.directory.parents):
        if directory.is_relative_to("/tmp") and directory != Path("/tmp"):
            directory.chmod(0o755)
    os.chown(shell.directory / "state", OWNER, OWNER)
    return shell


def program(shell: Shell, *arguments: str, given: str | None = None, cwd: Path | None = None):
    config = str(shell.directory / "mailhooks.toml")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(
        [sys.executable, "-m", "mailhooks", "--config", config, *arguments],
        input=given,
        text=True,
        capture_output=True,
        check=False,
        cwd=cwd,
        env=environment,
    )


def test_every_file_of_the_state_directory_belongs_to_its_owner(owned):
    assert program(owned, "domain", "add", "example1.com").returncode == 0
    program(owned, "relay", "add", "[a.test]", "--username", "u", "--password-stdin", given="x\n")
    files = list((owned.directory / "state").iterdir())
    assert {path.name for path in files} >= {"mailhooks.db", "key"}
    assert {(path.stat().st_uid, path.stat().st_gid) for path in files} == {(OWNER, OWNER)}
    assert (owned.directory / "state/key").stat().st_mode & 0o777 == 0o600


def test_rights_are_taken_and_given_back(tmp_path):
    os.chown(tmp_path, OWNER, OWNER)
    before = os.geteuid(), os.getegid(), os.getgroups()
    with owner_of(tmp_path):
        assert (os.geteuid(), os.getegid(), os.getgroups()) == (OWNER, OWNER, [OWNER])
        with root_again():
            assert (os.geteuid(), os.getegid()) == (0, 0)
        assert (os.geteuid(), os.getegid(), os.getgroups()) == (OWNER, OWNER, [OWNER])
    assert (os.geteuid(), os.getegid(), os.getgroups()) == before


def test_mail_of_others_is_moved_with_the_rights_of_root(owned):
    program(owned, "domain", "add", "example1.com")
    program(owned, "user", "add", "adam@example1.com")
    home = owned.mail / "example1.com/adam"
    home.mkdir(parents=True)
    for path in (owned.mail, owned.mail / "example1.com", home):
        path.chmod(0o700)
        os.chown(path, 5000, 5000)
    done = program(owned, "user", "remove", "adam@example1.com")
    assert (done.returncode, home.exists()) == (0, False), done.stderr
    assert (owned.mail / ".removed").stat().st_uid == 0


def run_as_owner(shell: Shell, *arguments: str) -> int:
    """Run a command that asks for root's rights; return its exit code."""
    child = os.fork()
    if not child:
        code = 1
        try:
            os.setgroups([])
            os.setresgid(OWNER, OWNER, OWNER)
            os.setresuid(OWNER, OWNER, OWNER)
            result = shell.run(*arguments)
            code = result.exit_code if "run this as root" in result.stderr else 99
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_an_owner_without_the_rights_changes_nothing(owned):
    owned.ok("domain", "add", "example1.com")
    owned.ok("user", "add", "adam@example1.com")
    home = owned.mail / "example1.com/adam"
    home.mkdir(parents=True)
    before = owned.contents()
    assert run_as_owner(owned, "user", "remove", "adam@example1.com") == 2
    assert owned.contents() == before
    assert home.exists()


def test_an_owner_who_cannot_move_earlier_mail_gave_it_to_the_account_made_again(owned):
    owned.ok("domain", "add", "example1.com")
    owned.ok("user", "add", "adam@example1.com")
    home = owned.mail / "example1.com/adam"
    home.mkdir(parents=True)
    owned.ok("user", "remove", "adam@example1.com")
    home.mkdir()
    before = owned.contents()
    assert run_as_owner(owned, "user", "add", "adam@example1.com") == 2
    assert owned.contents() == before
    assert home.exists()


def test_files_of_the_admin_are_read_and_written_as_root(owned):
    private = owned.directory / "private"
    private.mkdir(0o700)
    seed = private / "seed"
    seed.mkdir()
    (seed / "domains").write_text("example1.com .\n")
    (seed / "mailboxes").write_text("adam@example1.com adam\n")
    done = program(owned, "import", "seed", str(seed))
    assert done.returncode == 0, done.stderr
    for arguments in (("export", "seed", "out"), ("store", "backup", "backup.db")):
        done = program(owned, *arguments, cwd=private)
        assert done.returncode == 0, done.stderr
    assert (private / "out/domains").read_text() == "example1.com .\n"
    assert (private / "backup.db").stat().st_uid == 0
    done = program(owned, "store", "restore", "backup.db", cwd=private)
    assert done.returncode == 0, done.stderr
    assert (owned.directory / "state/mailhooks.db").stat().st_uid == OWNER


def test_a_state_directory_is_made_for_the_user_of_the_daemon(shell):
    with (shell.directory / "mailhooks.toml").open("a") as stream:
        stream.write('[server]\nuser = "nobody"\n')
    (shell.directory / "state").rmdir()
    for directory in (shell.directory, *shell.directory.parents):
        if directory.is_relative_to("/tmp") and directory != Path("/tmp"):
            directory.chmod(0o755)
    done = program(shell, "domain", "add", "example1.com")
    assert done.returncode == 0, done.stderr
    nobody = shell.directory / "state"
    assert nobody.owner() == "nobody"
    assert (nobody / "mailhooks.db").owner() == "nobody"


def test_a_state_directory_is_not_made_for_nobody(shell):
    with (shell.directory / "mailhooks.toml").open("a") as stream:
        stream.write('[server]\nuser = "no-such-user"\n')
    (shell.directory / "state").rmdir()
    assert "no-such-user" in shell.fails(2, "domain", "add", "example1.com")
    assert not (shell.directory / "state").exists()
