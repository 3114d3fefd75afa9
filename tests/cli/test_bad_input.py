"""Every wrong input: one line that names the cure, its exit code, and nothing changed."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest

A = "adam@example1.com"

# (arguments, a word of the cure); all end with 2.
WRONG = [
    # addresses
    (("user", "add", "adam"), "local-part@domain"),
    (("user", "add", "@example1.com"), "before the @"),
    (("user", "add", "a b@example1.com"), "quoted"),
    (("user", "add", "a..b@example1.com"), "dots"),
    (("user", "add", "x" * 65 + "@example1.com"), "64 octets"),
    (("user", "add", "a\nb@example1.com"), "control"),
    (("user", "add", "new@elsewhere.test"), "add it first"),
    (("user", "add", "new@example1.net"), "use example1.com"),
    (("user", "add", A), "is there already"),
    (("domain", "add", "exa mple.com"), "letters, digits and hyphens"),
    (("domain", "add", "x-.com"), "letters, digits and hyphens"),
    (("domain", "add", "192.0.2.1"), "IP address"),
    (("domain", "add", "example1.com"), "is there already"),
    (("domain", "add", "x.test", "--alias-of", "x.test"), "alias of itself"),
    (("domain", "add", "x.test", "--alias-of", "y.test"), "add that first"),
    (("domain", "remove", "example1.com"), "--force"),
    # sizes
    (("user", "set", A, "--quota", "much"), "K, M, G or T"),
    (("user", "set", A, "--quota", "-5M"), "K, M, G or T"),
    (("user", "set", A, "--quota", "9000000T"), "at most"),
    (("domain", "set", "example1.com", "--quota", "1X"), "none"),
    # dates and durations
    (("user", "set", A, "--state", "closed", "--until", "tomorrow"), "2031-12-24"),
    (("user", "set", A, "--state", "closed", "--until", "2001-01-01"), "date ahead"),
    (("user", "set", A, "--state", "closed", "--until", "2031-02-30"), "2031-12-24"),
    (("user", "set", A, "--state", "closed", "--until", "0001-01-01"), "2031-12-24"),
    (("app-password", "add", A, "--expires", "90 days"), "90d"),
    (("app-password", "add", A, "--expires", "0d"), "90d"),
    (("app-password", "add", A, "--expires", "999999y"), "never"),
    # words
    (("user", "set", A, "--state", "gone"), "no-login"),
    (("user", "set", A, "--allow", "imap,ftp"), "imap,pop3,smtp,sieve"),
    (("user", "set", A), "--quota"),
    (("user", "set", A, "--state", "active", "--reason", "x"), "needs no --reason"),
    (("user", "set", A, "--reason", "x"), "is active"),
    (("user", "set", A, "--name", "two\nlines"), "one line"),
    (("user", "set", A, "--name", "x" * 1001), "1000"),
    (("app-password", "add", A, "--services", "none"), "name some"),
    (("app-password", "add", A, "--networks", "192.0.2.1/24"), "192.0.2.0/24"),
    (("app-password", "add", A, "--networks", "everywhere"), "192.0.2.0/24"),
    (("app-password", "add", A, "--label", " "), "label"),
    (("alias", "add", "x@example1.com", A, "--posting", "all"), "anyone"),
    (("spam", "set", A, "required_score", "high"), "required_score"),
    (("spam", "set", A, "no_such", "1"), "known are"),
    (("spam", "set", A, "required_score", "3\nscore GTUBE 0"), "required_score"),
    (("audit", "--limit", "0"), "1<=x"),
    # aliases
    (("alias", "add", "x@example1.com"), "TARGET"),
    (("alias", "add", "x@example1.com", "nobody@example1.com"), "make it first"),
    (("alias", "add", "x@elsewhere.test", A), "add it first"),
    (("alias", "add", "x@example1.net", A), "use example1.com"),
    (("alias", "add", "x@example1.com", "|/bin/sh"), "local-part@domain"),
    (("alias", "set", "team@example1.com"), "--posting"),
    (("alias", "set", "team@example1.com", "team+x@example1.com"), "mailbox"),
    # passwords
    (("user", "passwd", A), "--password-stdin"),
    (("user", "passwd", A, "--generate", "--no-password"), "exclude each other"),
    (("relay", "add", "[a.test]:587", "--username", "u"), "--password-stdin"),
    (("relay", "add", "[a.test]:587"), "--username"),
    # tables
    (("lookup", "virtual_alias_map", "x"), "did you mean virtual_alias_maps"),
    (("lookup", "virtual_alias_maps"), "KEY"),
    # commands
    (("users",), "No such command"),
    (("user", "delete", A), "No such command"),
    (("user", "show", A, "--yaml"), "No such option"),
]


@pytest.fixture
def full(site):
    site.ok("alias", "add", "team@example1.com", "adam@example1.com", "bob@example1.com")
    return site


def test_wrong_arguments(full):
    for arguments, cure in WRONG:
        said = full.fails(2, *arguments)
        assert cure in said, (arguments, said)


TOO_LONG = b"{ARGON2ID}$argon2id$v=19$m=1048576,t=64,p=1$wDLxmb6krsWs8HdTspJSdg$s3IvhlcGp6ysoaSDos7x4A\n"

# (arguments, stdin, a word of the cure)
WRONG_SECRETS = [
    (("user", "passwd", A, "--password-stdin"), b"", "no password on stdin"),
    (("user", "passwd", A, "--password-stdin"), b"\n", "no password on stdin"),
    (("user", "passwd", A, "--password-stdin"), b"a\0b\n", "NUL"),
    (("user", "passwd", A, "--password-stdin"), b"zzz\nzzz\n", "several lines"),  # the first was taken
    (("user", "passwd", A, "--password-stdin"), b"zzz\n\n", "several lines"),
    (("user", "passwd", A, "--password-stdin"), b"zzz\n" * 1000, "several lines"),
    (("user", "passwd", A, "--hash-stdin"), b"{PLAIN}zzz\n{PLAIN}zzz", "several lines"),
    (("relay", "add", "[a.test]", "--username", "u", "--password-stdin"), b"zzz\r\nzzz\r\n", "several lines"),
    (("user", "passwd", A, "--password-stdin"), b"\xff\xfe\n", "UTF-8"),
    (("user", "passwd", A, "--password-stdin"), b"x" * 1001 + b"\n", "1000 bytes"),
    (("user", "passwd", A, "--hash-stdin"), b"{NOPE}abcdef-zzz\n", "scheme"),
    (("user", "passwd", A, "--hash-stdin"), b"{SHA512-CRYPT}zzz\n", ""),
    (("user", "passwd", A, "--hash-stdin"), b"{SSHA512}!zzz!\n", "base64"),
    (("user", "add", "c@example1.com", "--hash-stdin"), b"{PLAIN\n", "{SCHEME}"),
    (("user", "add", "c@example1.com", "--hash-stdin"), TOO_LONG, "takes too long: at most 2097152 for m"),
    (("relay", "add", "[a.test]:587", "--username", "u:v", "--password-stdin"), b"zzz\n", "colon"),
    (("relay", "add", "a b", "--username", "u", "--password-stdin"), b"zzz\n", "[smtp.example.net]:587"),
]


def test_wrong_secrets_are_not_repeated(full):
    for arguments, given, cure in WRONG_SECRETS:
        said = full.fails(2, *arguments, given=given)
        assert cure in said, (arguments, said)
        assert "zzz" not in said


def test_a_password_that_is_too_short_for_the_site(full):
    with (full.directory / "mailhooks.toml").open("a") as stream:
        stream.write("[auth]\nmin_password_length = 8\n")
    assert "8 characters" in full.fails(2, "user", "passwd", A, "--password-stdin", given="short\n")


NOTHING = [
    ("user", "show", "nobody@example1.com"),
    ("user", "set", "nobody@example1.com", "--name", "x"),
    ("user", "passwd", "nobody@example1.com", "--generate"),
    ("user", "remove", "nobody@example1.com"),
    ("domain", "show", "elsewhere.test"),
    ("domain", "set", "elsewhere.test", "--quota", "1G"),
    ("domain", "remove", "elsewhere.test"),
    ("alias", "show", "nobody@example1.com"),
    ("alias", "set", "nobody@example1.com", A),
    ("alias", "remove", "nobody@example1.com"),
    ("app-password", "add", "nobody@example1.com"),
    ("app-password", "list", "nobody@example1.com"),
    ("app-password", "revoke", A, "--label", "none"),
    ("sender", "allow", "nobody@example1.com", A),
    ("sender", "revoke", A, "bob@example1.com"),
    ("relay", "remove", "[a.test]:587"),
    ("relay", "check", "[a.test]:587"),
    ("spam", "unset", A, "required_score"),
    ("quota", "show", "nobody@example1.com"),
    ("lookup", "virtual_alias_maps", "<>"),
]

NOBODY, NOWHERE = "nobody@example1.com", "nowhere.test"
UNKNOWN = [
    ("limit", "set", NOBODY, "--recipients", "1/1h"),
    ("limit", "set", f"@{NOWHERE}", "--recipients", "1/1h"),
    ("limit", "show", NOBODY),
    ("limit", "lift", NOBODY),
    ("spam", "set", NOBODY, "required_score", "3"),
    ("spam", "set", f"@{NOWHERE}", "required_score", "3"),
    ("spam", "list", NOBODY),
    ("spam", "list", f"@{NOWHERE}"),
    ("user", "list", NOWHERE),
    ("user", "show", NOBODY),
    ("alias", "list", NOWHERE),
    ("quota", "list", NOWHERE),
    ("quota", "show", NOBODY),
    ("app-password", "list", NOBODY),
    ("sender", "list", NOBODY),
    ("sieve", "list", NOBODY),
    ("sieve", "get", NOBODY, "main"),
    ("domain", "show", NOWHERE),
    ("domain", "set", NOWHERE, "--hosted"),
    ("domain", "remove", NOWHERE),
]
EMPTY = [
    ("spam", "list", A),
    ("spam", "list", "@example1.com"),
    ("spam", "list", "@GLOBAL"),
    ("user", "list", "example1.net"),
    ("alias", "list", "example1.net"),
    ("quota", "list", "example1.com"),
    ("app-password", "list", A),
    ("sender", "list", A),
    ("sieve", "list", A),
]


def test_what_does_not_exist(full):
    for arguments in NOTHING:
        full.fails(1, *arguments)


def test_an_unknown_account_or_domain_was_wrong_usage_here_and_an_empty_list_there(full):
    for arguments in UNKNOWN:
        said = full.fails(1, *arguments)
        assert "there is no" in said, arguments
        assert NOBODY in said or NOWHERE in said
    for arguments in EMPTY:
        assert full.ok(*arguments) == "", arguments


def test_a_key_file_that_is_missing_or_not_the_stores_was_bad_input_here_and_an_outage_there(full):
    key = full.directory / "state/key"
    full.ok("relay", "add", "[a.test]", "--username", "u", "--password-stdin", given="pw\n")
    for other in (base64.b64encode(bytes(32)), b"none", None):
        key.write_bytes(other) if other is not None else key.unlink()
        add = ("relay", "add", "[b.test]", "--username", "u", "--password-stdin")
        assert "put the right key file back" in full.fails(75, *add, given="pw\n")
        assert "put the right key file back" in full.fails(75, "lookup", "smtp_sasl_password_maps", "[a.test]")


def test_a_first_change_whose_key_could_not_be_made_left_an_empty_store_behind(shell):
    (shell.directory / "file").write_text("")
    text = (shell.directory / "mailhooks.toml").read_text()
    (shell.directory / "mailhooks.toml").write_text(text.replace("state/key", "file/key"))
    assert "cannot make the key file" in shell.fails(75, "domain", "add", "example1.com")
    assert [path.name for path in (shell.directory / "state").iterdir()] == ["mailhooks.db-lock"]
    (shell.directory / "mailhooks.toml").write_text(text)
    shell.ok("domain", "add", "example1.com")
    assert (shell.directory / "state/key").exists()


READS = [
    ("domain", "list"),
    ("user", "show", A),
    ("alias", "list"),
    ("lookup", "virtual_mailbox_maps", A),
    ("explain", "rcpt", A),
    ("quota", "list"),
    ("audit",),
    ("store", "check"),
    ("store", "upgrade"),
    ("export", "seed", "out"),
]


def test_asking_makes_no_store(shell):
    for arguments in READS:
        assert "no store" in shell.fails(75, *arguments)
    assert list((shell.directory / "state").iterdir()) == []


def test_a_store_that_is_none(full):
    for path in full.store_path.parent.glob("mailhooks.db-*"):
        path.unlink()
    full.store_path.write_bytes(b"rubbish " * 1000)
    for arguments in (("user", "list"), ("user", "add", "new@example1.com")):
        result = full.run(*arguments)
        assert (result.exit_code, result.stderr.count("\n")) == (75, 1)


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("[stor]\nurl = 'x'\n", "store"),
        ("[mail]\nhomes = '/x'\n", "did you mean mail.home"),
        ("[mail\n", "mailhooks.toml"),
        ("[mail]\nuid = 'vmail'\n", "whole number"),
        # wrong names, which only the daemon noticed
        ("[listen.tcp_table]\nvirtual_alias_map = []\n", "did you mean virtual_alias_maps"),
        ("[log.hooks]\nsocketmaps = 'debug'\n", "did you mean socketmap"),
        ("[dict]\nnames = ['quotas']\n", "quota, lastlogin"),
        ("[policy]\nsmtp = ['quotas']\n", "did you mean quota"),
        ("[policy.texts]\nnone_such = 'x'\n", "there is no text 'none_such'"),
    ],
)
def test_a_wrong_configuration(shell, text, cure):
    (shell.directory / "mailhooks.toml").write_text(text)
    assert cure in shell.fails(2, "domain", "list")


def test_names_in_the_configuration_cost_a_command_nothing_while_they_are_the_defaults(shell):
    code = (
        "import sys; from pathlib import Path; from mailhooks.cli.session import Session; "
        "Session(Path(sys.argv[1])).config; print('mailhooks.policy' in sys.modules)"
    )
    file = str(shell.directory / "mailhooks.toml")
    done = subprocess.run([sys.executable, "-c", code, file], text=True, capture_output=True, check=True)
    assert done.stdout == "False\n"


def test_a_configuration_that_is_not_there(shell, tmp_path):
    result = shell.run("--config", str(tmp_path / "none.toml"), "domain", "list")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)


def test_a_store_url_that_is_none(full):
    for url in ("mysql://x", "sqlite:///", "/var/lib/x.db"):
        result = full.run("--store", url, "domain", "list")
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1), result.stderr


def test_a_fault_of_our_own_is_no_negative_answer(full, monkeypatch):
    monkeypatch.setattr("mailhooks.tables.lookup", lambda *_: 1 / 0)
    result = full.run("lookup", "virtual_alias_maps", "x@y")
    assert result.exit_code == 75
    assert "ZeroDivisionError" in result.stderr


def test_explain_ended_in_a_traceback_on_bytes_that_are_no_text(site):
    result = site.run("explain", "send", "adam@example1.com", "\udcff\x1b[31m")  # as Python reads such arguments
    assert (result.exit_code, "fault" in result.output, "\x1b" in result.stdout) == (1, False, False)


def test_a_backup_in_a_directory_whose_name_is_no_text_ended_in_a_traceback(site, tmp_path):
    directory = Path(os.fsdecode(bytes(tmp_path) + b"/\xff"))
    directory.mkdir()
    result = site.run("store", "backup", str(directory))
    assert result.exit_code == 0
    assert [bytes(path) for path in directory.iterdir()] == [result.stdout_bytes.strip()]
