"""What is kept in the dict when it is switched on, for both generations; real mail programs see it in scenario 22."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from mailhooks import config
from mailhooks.config import ConfigError
from mailhooks.stack import render
from mailhooks.stack.generation import Generation

OLD, NEW = Generation("2.3", (3, 7)), Generation("2.4", (3, 10))
ALL = {"server": {"sieve_dict": True, "metadata": True, "shared_folders": True, "ports": {"sieve": 0}}}
DICT = "proxy:/run/mailhooks/dict:"


def dovecot(given: dict, found: Generation) -> str:
    files = render.files(config.parse(given), found, "dovecot")
    return next(file.text for file in files if file.path.name == "dovecot.conf")


def test_nothing_of_it_is_on_by_default():
    for found in (OLD, NEW):
        text = dovecot({}, found)
        for word in ("acl", "metadata", "attribute", "type = shared", "driver = dict", ":sieve"):
            assert word not in text


def test_2_3():
    lines = [line.strip() for line in dovecot(ALL, OLD).splitlines()]
    for line in (
        f"mail_attribute_dict = {DICT}metadata",
        "imap_metadata = yes",
        f"acl_shared_dict = {DICT}acl",
        "mail_plugins = $mail_plugins imap_quota last_login imap_acl",
        f"sieve = dict:{DICT}sieve;name=active;bindir=~/.sieve-bin",
        "last_login_key = last-login/%s/%u",
    ):
        assert line in lines
    assert not [line for line in lines if line.startswith("sieve = file")]


def test_2_4():
    text = " ".join(dovecot(ALL, NEW).split())
    for part in (
        "mail_attribute { dict proxy { name = metadata socket_path = /run/mailhooks/dict } }",
        "acl_sharing_map { dict proxy { name = acl socket_path = /run/mailhooks/dict } }",
        "driver = dict name = active bin_path = ~/.sieve-bin dict proxy { name = sieve",
        "last_login_key = last-login/%{protocol}/%{user}",
    ):
        assert part in text
    assert "active_path" not in text


def test_mail_processes_may_ask_for_homes_only_where_folders_are_shared():
    assert config.parse({}).listen.auth_userdb == ("unix:/run/mailhooks/auth-userdb:mode=0600",)
    assert config.parse(ALL).listen.auth_userdb == ("unix:/run/mailhooks/auth-userdb:mode=0660",)
    own = {**ALL, "listen": {"auth_userdb": ["unix:/x:mode=0600"]}}
    assert config.parse(own).listen.auth_userdb == ("unix:/x:mode=0600",)


def test_what_cannot_work_is_refused():
    with pytest.raises(ConfigError, match=r"ports\.sieve = 0"):
        dovecot({"server": {"sieve_dict": True}}, OLD)
    with pytest.raises(ConfigError, match="'metadata' is missing"):
        dovecot({"server": {"metadata": True}, "dict": {"names": ["quota", "lastlogin"]}}, OLD)
    dovecot({"dict": {"names": ["quota", "lastlogin"]}}, OLD)


@pytest.mark.skipif(not shutil.which("doveconf"), reason="Dovecot is not installed")
def test_the_real_dovecot_here_reads_it(tmp_path):
    (tmp_path / "etc/ssl").mkdir(parents=True)
    for name in ("cert.pem", "key.pem"):
        (tmp_path / "etc/ssl" / name).write_text("not read by doveconf")
    given = {"server": {**ALL["server"], "root": str(tmp_path)}}
    version = subprocess.run(["dovecot", "--version"], capture_output=True, text=True, check=True).stdout
    path = tmp_path / "dovecot.conf"
    path.write_text(dovecot(given, OLD if version.startswith("2.3") else NEW))
    done = subprocess.run(["doveconf", "-c", str(path), "-n"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stdout + done.stderr
