"""Each command does what it says, seen through the next command."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from mailhooks import passwords
from mailhooks.cli import COMMANDS, output, session


def test_every_command_has_help(shell):
    text = shell.ok("--help")
    for name in COMMANDS:
        assert name in text
        assert "Usage" in shell.ok(name, "--help")


def test_version(shell):
    assert shell.ok("--version").strip()


def test_domain(site):
    assert site.json("domain", "list") == [
        {"domain": "example1.com", "alias_of": None, "quota": 2**30},
        {"domain": "example1.net", "alias_of": "example1.com", "quota": None},
    ]
    site.ok("domain", "set", "EXAMPLE1.com.", "--quota", "none")
    shown = site.json("domain", "show", "example1.com")
    assert (shown["quota"], shown["mailboxes"], shown["alias_domains"]) == (None, 2, ["example1.net"])
    site.ok("domain", "remove", "example1.net")
    assert len(site.json("domain", "list")) == 1


def test_a_domain_could_not_become_an_alias_or_be_turned_to_another(site):
    site.ok("domain", "add", "own.example", "--quota", "1G")
    site.ok("domain", "add", "other.example")
    site.ok("domain", "set", "own.example", "--alias-of", "example1.com")
    assert site.json("domain", "show", "own.example")["alias_of"] == "example1.com"
    assert site.ok("lookup", "virtual_alias_maps", "adam@own.example") == "adam@example1.com\n"
    site.ok("domain", "set", "own.example", "--alias-of", "other.example")
    site.fails(1, "lookup", "virtual_alias_maps", "adam@own.example")
    site.ok("domain", "set", "own.example", "--hosted", "--quota", "2G")
    assert site.json("domain", "show", "own.example") == {
        "domain": "own.example", "alias_of": None, "quota": 2**31, "mailboxes": 0, "aliases": 0, "alias_domains": [],
    }  # fmt: skip
    site.ok("domain", "set", "own.example", "--hosted")
    assert site.json("domain", "show", "own.example")["quota"] == 2**31
    assert site.ok("store", "check") == ""
    assert "live in example1.com" in site.fails(2, "domain", "set", "example1.com", "--alias-of", "other.example")
    assert "exclude" in site.fails(2, "domain", "set", "own.example", "--alias-of", "other.example", "--hosted")
    assert "nothing to change" in site.fails(2, "domain", "set", "own.example")


def test_an_international_domain_in_both_spellings(shell):
    shell.ok("domain", "add", "bücher.example")
    shell.ok("user", "add", "adam@xn--bcher-kva.example")
    assert shell.ok("user", "list").startswith("adam@bücher.example\t")
    assert shell.json("user", "list")[0]["address"] == "adam@xn--bcher-kva.example"


def test_domain_remove_with_force_takes_everything(site):
    site.ok("alias", "add", "office@example1.com", "adam@example1.com")
    result = site.run("domain", "remove", "example1.com", "--force")
    assert result.exit_code == 0
    assert "adam@example1.com" in result.stderr
    assert site.json("domain", "list") == site.json("user", "list") == site.json("alias", "list") == []


def test_domain_remove_says_which_lists_of_others_lose_members(site):
    site.ok("domain", "add", "other.example")
    site.ok("user", "add", "far@other.example")
    site.ok("alias", "add", "list@other.example", "far@other.example", "adam@example1.net")
    site.ok("alias", "add", "gone@other.example", "bob@example1.net")
    said = site.run("domain", "remove", "example1.com", "--force").stderr
    assert "the alias list@other.example names nobody at example1.com any longer" in said
    assert "the alias gone@other.example had no other target and is removed" in said
    assert site.json("alias", "show", "list@other.example")["targets"] == ["far@other.example"]


def test_user_add_with_each_way_to_give_a_password(site):
    site.ok("user", "add", "carol@example1.com", "--password-stdin", "--name", "Carol", given="p w\r\n")
    secret = site.ok("user", "add", "dora@example1.com", "--generate").strip()
    site.ok("user", "add", "emil@example1.com", "--no-password")
    site.ok("user", "add", "fred@example1.com")  # there is no terminal to ask on
    store = site.store()
    assert passwords.verify(store.mailbox("carol@example1.com").password, "p w")
    assert passwords.verify(store.mailbox("dora@example1.com").password, secret)
    assert store.mailbox("adam@example1.com").password == "{PLAIN}secret"
    assert store.mailbox("emil@example1.com").password is None
    assert store.mailbox("fred@example1.com").password is None
    store.close()


def test_user_quota_of_its_own_of_the_domain_or_none(site):
    assert site.json("user", "show", "adam@example1.com")["quota"] == 2**30
    site.ok("user", "set", "adam@example1.com", "--quota", "500M")
    shown = site.json("user", "show", "adam@example1.com")
    assert (shown["quota"], shown["quota_from"]) == (500 * 2**20, "account")
    site.ok("user", "set", "adam@example1.com", "--quota", "none")
    assert site.json("user", "show", "adam@example1.com")["quota"] is None
    site.ok("user", "set", "adam@example1.com", "--quota", "default")
    assert site.json("user", "show", "adam@example1.com")["quota"] == 2**30


def test_no_limit_was_listed_as_0_of_a_domain_and_as_none_of_a_user(site):
    site.ok("domain", "add", "free.example", "--quota", "0")
    site.ok("domain", "set", "example1.com", "--quota", "0")
    site.ok("user", "set", "adam@example1.com", "--quota", "0")
    assert {row["quota"] for kind in ("domain", "user") for row in site.json(kind, "list")} == {None}
    for kind in ("domain", "user"):
        for line in site.ok(kind, "list").splitlines():
            assert "none" in line.split("\t"), line


def test_user_state_reason_until_and_services(site):
    site.ok("user", "set", "bob@example1.com", "--state", "no-send", "--reason", "too much", "--until", "2090-01-01")
    site.ok("user", "set", "bob@example1.com", "--allow", "imap")
    shown = site.json("user", "show", "bob@example1.com")
    assert (shown["state"], shown["reason"], shown["allow"]) == ("no-send", "too much", ["imap"])
    assert shown["until"].startswith(("2089-12-31", "2090-01-01"))
    site.ok("user", "set", "bob@example1.com", "--state", "active", "--allow", "all")
    shown = site.json("user", "show", "bob@example1.com")
    assert (shown["reason"], shown["until"], len(shown["allow"])) == ("", None, 4)


def test_user_show_tells_the_scheme_and_no_secret(site):
    text = site.ok("user", "show", "adam@example1.com") + site.ok("user", "show", "adam@example1.com", "--json")
    assert "PLAIN" in text
    assert "secret" not in text


def test_user_show_tells_usage_and_logins(site):
    store = site.store()
    with store.batch() as batch:
        batch.set_usage("adam@example1.com", storage=512 * 2**20, messages=3)
        batch.set_last_login("adam@example1.com", "imap", 1_700_000_000)
    store.close()
    shown = site.json("user", "show", "adam@example1.com")
    assert (shown["used"], shown["messages"]) == (512 * 2**20, 3)
    assert shown["last_login"] == {"imap": "2023-11-14T22:13:20Z"}
    assert site.json("quota", "show", "adam@example1.com")["percent"] == 50
    assert [each["address"] for each in site.json("quota", "list")] == ["adam@example1.com"]
    assert site.json("quota", "show", "bob@example1.com")["used"] is None


def test_user_passwd(site):
    site.ok("user", "passwd", "adam@example1.com", "--password-stdin", given="other\n")
    store = site.store()
    assert passwords.verify(store.mailbox("adam@example1.com").password, "other")
    site.ok("user", "passwd", "adam@example1.com", "--no-password")
    store.renew()
    assert store.mailbox("adam@example1.com").password is None
    store.close()


def test_user_remove_says_which_aliases_changed(site):
    site.ok("alias", "add", "team@example1.com", "adam@example1.com", "bob@example1.com")
    site.ok("alias", "add", "office@example1.com", "bob@example1.com")
    said = site.run("user", "remove", "bob@example1.com").stderr
    assert "team@example1.com names bob@example1.com no longer" in said
    assert "office@example1.com had no other target" in said
    assert [each["source"] for each in site.json("alias", "list")] == ["team@example1.com"]


def test_app_password(site):
    secret = site.ok(
        "app-password", "add", "adam@example1.com", "--label", "phone", "--services", "imap,smtp",
        "--networks", "192.0.2.0/24,2001:db8::/32", "--expires", "90d",
    ).strip()  # fmt: skip
    (listed,) = site.json("app-password", "list", "adam@example1.com")
    assert (listed["label"], listed["services"]) == ("phone", ["imap", "smtp"])
    assert listed["networks"] == ["192.0.2.0/24", "2001:db8::/32"]
    store = site.store()
    (stored,) = store.app_passwords("adam@example1.com")
    store.close()
    assert passwords.verify(stored.hash, secret)
    assert 89 * 86400 < stored.expires - time.time() <= 90 * 86400
    site.ok("app-password", "revoke", "adam@example1.com", "--label", "phone")
    assert site.json("app-password", "list", "adam@example1.com") == []


def test_alias(site):
    site.ok("alias", "add", "Team@example1.com", "adam@example1.com", "joe@elsewhere.test", "--posting", "members")
    site.ok("alias", "set", "team@example1.com", "bob@example1.com")
    shown = site.json("alias", "show", "team@example1.com")
    members = {"source": "team@example1.com", "targets": ["bob@example1.com"], "posting": "members"}
    assert shown == members | {"expires": None}
    site.ok("alias", "set", "team@example1.com", "--posting", "anyone")
    site.ok("alias", "add", "@example1.com", "adam@example1.com")
    assert [each["posting"] for each in site.json("alias", "list", "example1.com")] == ["anyone", "anyone"]
    site.ok("alias", "remove", "@example1.com")
    assert len(site.json("alias", "list")) == 1


def test_a_quoted_local_part_goes_through_every_command(site):
    odd = '"odd \\" one"@example1.com'
    site.ok("user", "add", odd, "--generate")
    site.ok("user", "set", odd, "--name", "Odd")
    site.ok("alias", "add", '"all of them"@example1.com', odd, "adam@example1.com")
    site.ok("sender", "allow", odd, '"x y"@elsewhere.test')
    site.ok("sender", "revoke", odd, '"x y"@elsewhere.test')
    site.ok("app-password", "add", odd)
    site.ok("app-password", "revoke", odd)
    site.ok("spam", "set", odd, "required_score", "4")
    site.ok("spam", "unset", odd, "required_score")
    site.ok("user", "passwd", odd, "--generate")
    site.ok("alias", "set", '"all of them"@example1.com', "--posting", "domain")
    site.ok("alias", "remove", '"all of them"@example1.com')
    site.ok("user", "remove", odd)


def test_sender(site):
    site.ok("sender", "allow", "adam@example1.com", "press@elsewhere.test")
    site.ok("sender", "allow", "bob@example1.com", "@example1.com")
    assert site.json("sender", "list", "bob@example1.com") == [{"login": "bob@example1.com", "sender": "@example1.com"}]
    site.ok("sender", "revoke", "bob@example1.com", "@example1.com")
    assert len(site.json("sender", "list")) == 1
    assert site.json("sender", "list", "bob@example1.com") == []
    assert "no account nobody@example1.com" in site.fails(1, "sender", "list", "nobody@example1.com")


def test_relay(site):
    site.ok("relay", "add", "[smtp.example.net]:587", "--username", "u", "--password-stdin", given="top secret\n")
    site.ok(
        "relay", "add", "[other.example.net]:587", "--username", "v", "--password-stdin",
        "--for-sender", "@example1.com", given="second\n",
    )  # fmt: skip
    listed = site.json("relay", "list")
    assert {(each["nexthop"], each["username"], each["for_sender"]) for each in listed} == {
        ("[smtp.example.net]:587", "u", None),
        ("[other.example.net]:587", "v", "@example1.com"),
    }
    assert "secret" not in site.ok("relay", "list") + site.ok("audit")
    assert site.ok("lookup", "smtp_sasl_password_maps", "[smtp.example.net]:587") == "u:top secret\n"
    site.ok("relay", "remove", "[smtp.example.net]:587")
    site.ok("relay", "remove", "[other.example.net]:587", "--for-sender", "@example1.com")
    assert site.json("relay", "list") == []


def test_spam(site):
    site.ok("spam", "set", "@global", "required_score", "5.5")
    site.ok("spam", "set", "adam@example1.com", "required_score", "3")
    assert site.json("spam", "list", "adam@example1.com") == [
        {"scope": "adam@example1.com", "preference": "required_score", "value": "3"}
    ]
    assert len(site.json("spam", "list")) == 2
    site.ok("spam", "unset", "@GLOBAL", "required_score")
    assert len(site.json("spam", "list")) == 1


@pytest.mark.parametrize(
    "words",
    [
        ("required_score", "-2"),
        ("required_score", "--", "-2.5"),
        ("score", "HTML_MESSAGE", "0.5"),
        ("score", "HTML_MESSAGE 0.5"),
        ("score", "HTML_MESSAGE", "-1", "-2", "0", "0.5"),
        ("whitelist_from", "--", "-h@b.example", "*@a.example"),
    ],
)
def test_a_spam_preference_below_zero_or_of_several_words_was_taken_for_options(site, words):
    site.ok("spam", "set", "@GLOBAL", *words)
    (row,) = site.json("spam", "list")
    assert (row["preference"], row["value"]) == (words[0], " ".join(word for word in words[1:] if word != "--"))


def test_lookup(site):
    assert site.ok("lookup", "virtual_mailbox_maps", "ADAM+x@example1.COM") == "adam@example1.com\n"
    assert "nobody" in site.fails(1, "lookup", "virtual_mailbox_maps", "nobody@example1.com")


def test_explain(site):
    assert "250" in site.ok("explain", "rcpt", "Adam+Work@EXAMPLE1.net")
    refused = site.run("explain", "rcpt", "nobody@example1.com")
    assert (refused.exit_code, "550 5.1.1" in refused.stdout) == (1, True)
    assert "250" in site.ok("explain", "send", "adam@example1.com", "adam@example1.com")
    assert site.run("explain", "send", "adam@example1.com", "bob@example1.com").exit_code == 1


def test_audit_names_changes_and_no_secret(site):
    entries = site.json("audit", "--limit", "2")
    assert [entry["subject"] for entry in entries] == ["bob@example1.com", "adam@example1.com"]
    assert "secret" not in site.ok("audit")


def test_a_list_for_programs_is_one_line_each_with_tabs(site):
    assert site.ok("user", "list") == "adam@example1.com\tactive\t1G\t-\nbob@example1.com\tactive\t1G\t-\n"
    assert site.ok("alias", "list") == ""
    assert site.json("alias", "list") == []


def test_what_would_steer_a_terminal_is_made_harmless(capsys):
    output.listing([{"name": "A\x1b[2J\u202eB"}], as_json=False)
    assert capsys.readouterr().out == "A?[2J?B\n"


def test_a_change_is_settled_before_the_command_returns(site, monkeypatch):
    waited = []
    monkeypatch.setattr(session.time, "sleep", waited.append)
    site.ok("user", "set", "adam@example1.com", "--name", "Adam")
    assert waited == [session.SETTLE_SECONDS]
    assert session.SETTLE_SECONDS >= 0.05
    site.ok("user", "show", "adam@example1.com")
    assert len(waited) == 1


def test_the_store_option_beats_the_environment(site, tmp_path, monkeypatch):
    monkeypatch.setenv("MAILHOOKS_STORE", f"sqlite:///{tmp_path}/state/other.db")
    assert site.run("domain", "list").exit_code == 75
    assert "example1.com" in site.ok("--store", f"sqlite:///{site.store_path}", "domain", "list")


def test_backup_and_restore(site, tmp_path):
    file = tmp_path / "backup.db"
    site.ok("store", "backup", str(file))
    assert file.stat().st_mode & 0o777 == 0o600
    site.ok("user", "remove", "bob@example1.com")
    assert "is there already" in site.fails(2, "store", "backup", str(file))
    site.ok("store", "restore", str(file))
    assert len(site.json("user", "list")) == 2
    assert [path.name for path in (tmp_path / "state").iterdir() if path.name.startswith(".copy")] == []


def test_check_and_upgrade(site):
    assert site.ok("store", "check") == ""
    site.ok("store", "upgrade")
    (site.directory / "state/key").unlink()
    site.ok("store", "check")  # no secret was written with it
    site.ok("relay", "add", "[a.test]", "--username", "u", "--password-stdin", given="x\n")
    (site.directory / "state/key").unlink()
    result = site.run("store", "check")
    assert result.exit_code == 1
    assert "key" in result.stdout


def test_a_command_does_not_load_what_it_does_not_need():
    line = "import sys; from mailhooks.cli import main; main(['lookup', '--help'], standalone_mode=False);"
    line += "print([name for name in ('twisted', 'argon2', 'passlib', 'prometheus_client') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_as_a_program(site):
    config = str(site.directory / "mailhooks.toml")
    done = subprocess.run(
        [sys.executable, "-m", "mailhooks", "--config", config, "lookup", "virtual_mailbox_maps", "adam@example1.com"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "adam@example1.com\n", "")


def test_a_reader_that_has_seen_enough_is_no_error(site):
    config = str(site.directory / "mailhooks.toml")
    line = f"{sys.executable} -m mailhooks --config {config} user list | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("0\n", "")


@pytest.mark.parametrize("command", ["domain", "user", "alias", "sender", "relay", "spam", "quota", "audit"])
def test_every_listing_has_json(site, command):
    arguments = [command] if command == "audit" else [command, "list"]
    assert isinstance(site.json(*arguments), list)


def test_a_relay_for_a_sender_may_do_without_credentials(site):
    site.ok("relay", "add", "[mx.example.net]", "--for-sender", "@example1.com")
    assert site.json("relay", "list") == [
        {"nexthop": "[mx.example.net]", "username": "", "for_sender": "@example1.com"}
    ]
    assert site.ok("lookup", "sender_dependent_relayhost_maps", "adam@example1.com") == "[mx.example.net]\n"
    assert site.run("lookup", "smtp_sasl_password_maps", "adam@example1.com").exit_code == 1
    site.fails(2, "relay", "add", "[mx.example.net]")


def test_explain_as_json(site):
    found = site.json("explain", "rcpt", "Adam+Work@EXAMPLE1.net")
    assert found["accepted"]
    assert found["reply"].startswith("250")
    assert {"asked": "address", "answer": "adam+work@example1.net"} in found["steps"]
    assert site.json("explain", "send", "adam@example1.com", "adam@example1.com")["accepted"]
    assert site.json("explain", "login", "adam@example1.com", "imap")["reply"] == "OK"
    refused = site.run("explain", "rcpt", "nobody@example1.com", "--json")
    assert refused.exit_code == 1
    assert not json.loads(refused.stdout)["accepted"]


def test_explain_login(site):
    site.ok("user", "add", "eve@example1.com", "--password-stdin", given="secret\n")
    shown = site.ok("explain", "login", "Eve@Example1.com", "imap")
    assert "opens it" in shown
    assert shown.splitlines()[-1].split() == ["reply", "OK"]
    site.ok("user", "set", "eve@example1.com", "--state", "no-login", "--reason", "on leave until May")
    refused = site.run("explain", "login", "eve@example1.com", "imap")
    assert refused.exit_code == 1
    assert "on leave until May" in refused.stdout
    unknown = site.run("explain", "login", "nobody@example1.com", "smtp")
    assert unknown.exit_code == 1
    assert "there is no account" in unknown.stdout
    assert site.run("explain", "login", "eve@example1.com", "telnet").exit_code == 2
