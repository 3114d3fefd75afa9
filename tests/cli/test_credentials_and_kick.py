"""What the command line keeps for SCRAM, which networks it lets in from, and whose sessions it ends."""

from __future__ import annotations

import os

import pytest

from mailhooks import passwords

ADAM = "adam@example1.com"
MECHANISMS = ("SCRAM-SHA-256", "SCRAM-SHA-1")


@pytest.fixture
def shell(shell):
    shell.ok("domain", "add", "example1.com")
    return shell


def configure(shell, *lines):
    with (shell.directory / "mailhooks.toml").open("a") as config:
        config.write("\n".join(["", *lines, ""]))


def scram_keys(shell):
    store = shell.store()
    try:
        return [store.scram_keys(ADAM, mechanism) for mechanism in MECHANISMS]
    finally:
        store.close()


def test_keys_are_kept_with_every_password_when_scram_is_on(shell):
    configure(shell, "[auth]", "scram = true")
    shell.ok("user", "add", ADAM, "--password-stdin", given="pencil\n")
    first = scram_keys(shell)
    for mechanism, keys in zip(MECHANISMS, first, strict=True):
        assert passwords.verify(f"{{{mechanism}}}{keys}", "pencil")
    made = shell.ok("user", "passwd", ADAM, "--generate").strip()
    second = scram_keys(shell)
    assert passwords.verify(f"{{SCRAM-SHA-256}}{second[0]}", made)
    assert set(first).isdisjoint(second)
    shell.ok("user", "passwd", ADAM, "--hash-stdin", given="{PLAIN}x\n")
    assert scram_keys(shell) == [None, None]
    assert "SCRAM" not in shell.ok("audit")


def test_no_keys_when_scram_is_off(shell):
    shell.ok("user", "add", ADAM, "--password-stdin", given="pencil\n")
    assert scram_keys(shell) == [None, None]


def test_a_password_that_scram_cannot_use_is_set_and_said(shell):
    configure(shell, "[auth]", "scram = true")
    result = shell.run("user", "add", ADAM, "--password-stdin", given="\u0221\n")
    assert result.exit_code == 0
    assert "SASLprep" in result.stderr
    assert scram_keys(shell) == [None, None]


def test_networks_of_an_account(shell):
    shell.ok("user", "add", ADAM, "--no-password")
    assert shell.json("user", "show", ADAM)["networks"] == []
    shell.ok("user", "set", ADAM, "--networks", "192.0.2.0/24, 2001:db8::/32")
    assert shell.json("user", "show", ADAM)["networks"] == ["192.0.2.0/24", "2001:db8::/32"]
    shell.ok("user", "set", ADAM, "--networks", "any")
    assert shell.json("user", "show", ADAM)["networks"] == []
    assert "192.0.2.1/24" in shell.fails(2, "user", "set", ADAM, "--networks", "192.0.2.1/24")


def test_a_sixteenth_app_password_is_refused(shell):
    shell.ok("user", "add", ADAM, "--no-password")
    for number in range(15):
        shell.ok("app-password", "add", ADAM, "--label", str(number), "--hash-stdin", given="{PLAIN}x\n")
    said = shell.fails(2, "app-password", "add", ADAM, "--label", "one more", "--hash-stdin", given="{PLAIN}x\n")
    assert "15 app passwords" in said


# Open sessions


@pytest.fixture
def kicked(shell, tmp_path, monkeypatch):
    """A server that seems to run, and a doveadm that writes down what it is asked."""
    if os.geteuid() != 0:
        pytest.fail("these tests need root, as `make test` does")
    configure(shell, "[server]", f'root = "{tmp_path}"')
    (tmp_path / "run/mailhooks-stack/dovecot").mkdir(parents=True)
    (tmp_path / "run/mailhooks-stack/dovecot/dovecot.conf").touch()
    (tmp_path / "run/dovecot").mkdir()
    (tmp_path / "run/dovecot/master.pid").write_text(f"{os.getpid()}\n")
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/doveadm"
    program.write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/asked\nexit $(cat {tmp_path}/code)\n')
    program.chmod(0o755)
    (tmp_path / "code").write_text("0")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")

    def asked():
        path = tmp_path / "asked"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return [line.split()[2:] for line in lines]

    shell.ok("user", "add", ADAM, "--password-stdin", given="pencil\n")
    shell.ok("app-password", "add", ADAM, "--label", "phone")
    assert asked() == []
    return asked


def test_open_sessions_end_with_their_domain(shell, kicked):
    shell.ok("domain", "add", "empty.example")
    shell.ok("domain", "remove", "empty.example")
    assert kicked() == []
    shell.ok("domain", "remove", "example1.com", "--force")
    assert kicked() == [["kick", "*@example1.com"]]


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        (("user", "set", ADAM, "--state", "closed"), None),
        (("user", "set", ADAM, "--allow", "imap"), None),
        (("user", "set", ADAM, "--networks", "192.0.2.0/24"), None),
        (("user", "passwd", ADAM, "--password-stdin"), "other\n"),
        (("user", "remove", ADAM), None),
        (("app-password", "revoke", ADAM, "--label", "phone"), None),
    ],
)
def test_open_sessions_end_with_the_right_to_them(shell, kicked, arguments, given):
    shell.ok(*arguments, given=given)
    assert kicked() == [["kick", ADAM]]


@pytest.mark.parametrize("option", [("--name", "Adam"), ("--quota", "1G"), ("--state", "active")])
def test_other_changes_end_no_session(shell, kicked, option):
    shell.ok("user", "set", ADAM, *option)
    assert kicked() == []


def test_nobody_is_kicked_where_that_is_switched_off(shell, kicked):
    configure(shell, "kick = false")
    shell.ok("user", "set", ADAM, "--state", "closed")
    assert kicked() == []


def test_nobody_is_kicked_where_no_server_runs(shell, kicked, tmp_path):
    (tmp_path / "run/dovecot/master.pid").write_text("0x\n")
    shell.ok("user", "set", ADAM, "--state", "closed")
    assert kicked() == []


@pytest.mark.parametrize(("code", "noted"), [(68, False), (75, True)])
def test_what_goes_wrong_is_only_a_note(shell, kicked, tmp_path, code, noted):
    (tmp_path / "code").write_text(str(code))
    result = shell.run("user", "set", ADAM, "--state", "closed")
    assert result.exit_code == 0
    assert ("may go on" in result.stderr) is noted
    assert len(kicked()) == 1
    assert shell.json("user", "show", ADAM)["state"] == "closed"


def test_a_name_that_doveadm_would_take_for_others_is_not_kicked(shell, kicked):
    shell.ok("user", "add", "*@example1.com", "--no-password")
    assert "go on" in shell.run("user", "set", "*@example1.com", "--state", "closed").stderr
    assert kicked() == []
