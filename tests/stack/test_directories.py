"""Directories that root makes among other users' directories: nothing is given away, no link is followed."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from mailhooks import config
from mailhooks.config import ConfigError
from mailhooks.stack import directories, up
from mailhooks.stack.directories import ROOT, Account, check_safe, ensure

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives directories to others")

SOMEBODY = Account(64_999, 64_998)


def owner(path: Path) -> tuple[int, int, int]:
    status = path.lstat()
    return status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)


def test_made_with_owner_and_mode_and_those_above_belong_to_root(tmp_path):
    ensure(tmp_path / "a/b/c", SOMEBODY, 0o2750)
    assert owner(tmp_path / "a/b/c") == (64_999, 64_998, 0o2750)
    assert owner(tmp_path / "a/b") == (0, 0, 0o755)


def test_an_empty_one_of_roots_is_taken_over(tmp_path):
    (tmp_path / "volume").mkdir()
    ensure(tmp_path / "volume", SOMEBODY, 0o750)
    assert owner(tmp_path / "volume") == (64_999, 64_998, 0o750)


def test_one_of_roots_with_something_in_it_is_not_given_away(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").touch()
    with pytest.raises(ConfigError, match="chown 64999:64998"):
        ensure(tmp_path / "etc", SOMEBODY, 0o750)
    assert owner(tmp_path / "etc") == (0, 0, 0o755)


def test_one_of_another_user_is_not_taken(tmp_path):
    (tmp_path / "theirs").mkdir()
    os.chown(tmp_path / "theirs", 1234, 1234)
    with pytest.raises(ConfigError, match="belongs to another user"):
        ensure(tmp_path / "theirs", SOMEBODY, 0o750)


def test_no_link_is_followed(tmp_path):
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(ConfigError, match="link"):
        ensure(tmp_path / "link", SOMEBODY, 0o750)
    assert owner(tmp_path / "target")[0] == 0


def test_a_file_in_the_way_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="file"):
        ensure(tmp_path / "file", ROOT, 0o755)


@pytest.fixture
def passable(tmp_path):
    """A directory that every user can reach; pytest's own, and those of its workers, cannot be passed."""
    for path in (tmp_path, *tmp_path.parents):
        if path.name.startswith(("pytest", "popen")):
            path.chmod(0o755)
    tmp_path.chmod(0o755)
    return tmp_path


def test_files_are_rendered_only_where_root_alone_writes(passable):
    ensure(passable / "root/run", ROOT, 0o755)
    check_safe(passable / "root/run")
    (passable / "root").chmod(0o775)
    with pytest.raises(ConfigError, match="can be changed by others"):
        check_safe(passable / "root/run")
    (passable / "root").chmod(0o755)
    os.chown(passable / "root", 64_999, 0)
    with pytest.raises(ConfigError, match="can be changed by others"):
        check_safe(passable / "root/run")
    os.chown(passable / "root", 0, 0)
    (passable / "root").chmod(0o700)
    with pytest.raises(ConfigError, match="cannot be passed"):
        check_safe(passable / "root/run")


def test_a_user_that_is_not_there_names_the_cure():
    with pytest.raises(ConfigError, match="useradd --system"):
        directories.service_account(config.parse({"server": {"user": "nosuch-user"}}))
    with pytest.raises(ConfigError, match="root"):
        directories.service_account(config.parse({"server": {"user": "root"}}))


def test_only_a_directory_that_never_held_a_store_is_a_first_start(tmp_path):
    given = config.parse({"server": {"root": str(tmp_path)}})
    state = tmp_path / "var/lib/mailhooks"
    assert up.is_first_start(given)
    for name in ("bayes", "spam"):
        (state / name).mkdir(parents=True)
    assert up.is_first_start(given)
    (state / "key").touch()  # a store was here, and is not now: an outage, not a fresh start
    assert not up.is_first_start(given)
