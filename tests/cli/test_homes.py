"""Removing an account moves its mail aside, whoever made what in the mail directory."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from conftest import needs_root

from mailhooks.cli import homes, removal
from mailhooks.userdb import MailSettings

A = "adam@example1.com"


def make_home(shell, address: str = A) -> Path:
    local, _, domain = address.rpartition("@")
    home = shell.mail / domain / local
    home.mkdir(parents=True)
    (home / "mail").write_text("Subject: old\n\n")
    return home


def moved(shell) -> list[Path]:
    return sorted((shell.mail / ".removed").glob("*")) if (shell.mail / ".removed").exists() else []


def test_mail_is_moved_aside_and_an_address_made_again_never_sees_it(site):
    home = make_home(site)
    said = site.run("user", "remove", A).stderr
    assert not home.exists()
    (aside,) = moved(site)
    assert aside.name.startswith(f"{A}.")
    assert str(aside) in said
    assert (aside / "mail").read_text() == "Subject: old\n\n"
    assert stat.S_IMODE((site.mail / ".removed").stat().st_mode) == 0o700
    site.ok("user", "add", A)
    assert not home.exists()


def test_removed_twice_in_one_second(site):
    for count in (1, 2, 3):
        make_home(site)
        site.ok("user", "remove", A)
        site.ok("user", "add", A)
        assert len(moved(site)) == count


def test_no_mail_yet(site):
    site.ok("user", "remove", A)
    assert moved(site) == []


def test_mail_that_came_while_the_account_was_removed(site, monkeypatch):
    make_home(site)
    monkeypatch.setattr(removal, "settle", lambda: make_home(site))
    site.ok("user", "remove", A)
    assert len(moved(site)) == 2
    assert not (site.mail / "example1.com/adam").exists()


def test_mail_that_came_after_the_account_was_removed(site):
    home = make_home(site)
    site.ok("user", "remove", A)
    make_home(site)
    assert "an earlier adam@example1.com" in site.run("user", "add", A).stderr
    assert not home.exists()
    assert len(moved(site)) == 2


@pytest.mark.parametrize("between", [(), (("alias", "add", A, "bob@example1.com"), ("alias", "remove", A))])
def test_mail_that_came_after_the_removal_of_an_account_without_a_home_was_shown_to_the_next(site, between):
    site.ok("user", "remove", A)
    home = make_home(site)
    for arguments in between:
        site.ok(*arguments)
    assert str(site.mail / ".removed") in site.run("user", "add", A).stderr
    assert not home.exists()
    assert len(moved(site)) == 1


def test_an_account_made_while_an_alias_has_the_address_saw_the_mail_of_the_one_before(site):
    site.ok("user", "remove", A)
    home = make_home(site)
    site.ok("alias", "add", A, "bob@example1.com")
    site.ok("user", "add", A)
    assert not home.exists()


def test_an_account_made_again_by_an_import_saw_the_mail_of_the_one_before(site, tmp_path):
    site.ok("user", "remove", A)
    homes_there = [make_home(site), make_home(site, "new@example1.com")]
    (tmp_path / "old").mkdir()
    (tmp_path / "old/mailboxes").write_text(f"{A} x\nnew@example1.com x\n")
    site.ok("import", "seed", "--dry-run", str(tmp_path / "old"))
    assert moved(site) == []
    assert str(site.mail / ".removed") in site.run("import", "seed", str(tmp_path / "old")).stderr
    assert [home.exists() for home in homes_there] == [False, True]


def test_leftover_mail_is_put_back_when_the_account_cannot_be_made(site, monkeypatch):
    site.ok("user", "remove", A)
    home = make_home(site)
    with monkeypatch.context() as broken:
        broken.setattr("mailhooks.store.Change.finish", lambda _change: 1 / 0)
        assert site.run("user", "add", A).exit_code == 75
    assert home.exists()
    site.ok("user", "add", A)
    assert not home.exists()


def test_mail_that_lies_ready_for_a_new_account_stays(site):
    home = make_home(site, "new@example1.com")
    site.ok("user", "add", "new@example1.com")
    assert home.exists()


def test_a_domain_removed_by_force_moves_every_home(site):
    make_home(site)
    make_home(site, "bob@example1.com")
    site.ok("domain", "remove", "example1.net")
    site.ok("domain", "remove", "example1.com", "--force")
    assert [path.name.partition(".2")[0] for path in moved(site)] == [A, "bob@example1.com"]


def test_a_home_that_is_a_link_is_not_followed(site, tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    (site.mail / "example1.com").mkdir(parents=True)
    (site.mail / "example1.com/adam").symlink_to(precious)
    assert "link" in site.fails(2, "user", "remove", A)
    assert precious.exists()
    assert site.json("user", "show", A)["address"] == A


def test_a_link_on_the_way_is_not_followed(site, tmp_path):
    precious = tmp_path / "precious"
    (precious / "adam").mkdir(parents=True)
    site.mail.mkdir()
    (site.mail / "example1.com").symlink_to(precious)
    site.fails(2, "user", "remove", A)
    assert (precious / "adam").exists()


@needs_root
def test_an_aside_directory_that_somebody_else_made_is_not_used(site):
    make_home(site)
    (site.mail / ".removed").mkdir()
    os.chown(site.mail / ".removed", 4242, 4242)
    assert "uid 4242" in site.fails(2, "user", "remove", A)
    assert moved(site) == []


def test_an_aside_directory_that_is_a_link_is_not_followed(site, tmp_path):
    home = make_home(site)
    (tmp_path / "elsewhere").mkdir()
    (site.mail / ".removed").symlink_to(tmp_path / "elsewhere")
    site.fails(2, "user", "remove", A)
    assert home.exists()


def test_mail_that_cannot_be_moved_changes_nothing(site, monkeypatch):
    home = make_home(site)

    def refuse(*_args, **_options):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(homes.os, "rename", refuse)
    assert "Read-only file system" in site.fails(2, "user", "remove", A)
    assert home.exists()


def test_mail_is_put_back_when_the_change_cannot_be_made(site, monkeypatch):
    home = make_home(site)
    with monkeypatch.context() as broken:
        broken.setattr("mailhooks.store.Change.finish", lambda _change: 1 / 0)
        assert site.run("user", "remove", A).exit_code == 75
    assert (home / "mail").exists()
    assert moved(site) == []
    assert site.json("user", "show", A)["address"] == A


@pytest.mark.parametrize("local", ["../../etc", "a/b", ".hidden", "%d"])
def test_no_local_part_leads_out_of_the_mail_directory(tmp_path, local):
    found = homes.Homes(MailSettings(5000, 5000, f"{tmp_path}/%d/%n"))
    (tmp_path / "example1.com").mkdir()
    assert found.move(f"{local}@example1.com") is None
    assert list((tmp_path / "example1.com").iterdir()) == []
