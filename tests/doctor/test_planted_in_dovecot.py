"""Each pitfall of Dovecot that configuration can cause, planted in the rendered file and found; nothing else is."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from doctor_site import ids, said

from mailhooks.doctor import examine
from mailhooks.doctor.reading import dovecot
from mailhooks.stack import render
from mailhooks.stack.generation import Generation


def swap(old: str, new: str):
    return lambda text: text.replace(old, new)


def without(pattern: str):
    return lambda text: re.sub(rf"(?m)^\s*{pattern}.*\n", "", text)


def add(line: str):
    return lambda text: f"{text}\n{line}\n"


def at_login(service: str, new: str):
    """Change the first setting of a login service, which is its empty chroot."""
    return lambda text: text.replace(f"service {service} {{\n  chroot =\n", f"service {service} {{\n{new}")


PLANTED = [
    ("dovecot-asks-itself", without("auth_socket_path")),
    ("dovecot-asks-itself", without("executable = imap -a")),
    ("dovecot-asks-itself", swap("executable = imap-login ", "executable = imap-login #")),
    ("dovecot-login-chroot", at_login("imap-login", "")),
    ("dovecot-login-chroot", at_login("managesieve-login", "")),
    ("dovecot-refuses-uid", swap("first_valid_uid = 5000", "first_valid_uid = 10000")),
    ("dovecot-refuses-uid", add("last_valid_uid = 4999\nfirst_valid_uid = 1000")),
    ("dovecot-quota-off", swap("mail_plugins = quota quota_clone", "mail_plugins = quota_clone")),
    ("dovecot-quota-off", without("quota = count")),
    ("dovecot-dict-elsewhere", swap("/dict:quota", "/nodict:quota")),
    ("dovecot-dict-elsewhere", swap("/dict:lastlogin", "/dict:last_login")),
    ("dovecot-lmtp-elsewhere", swap("private/dovecot-lmtp", "private/lmtp")),
    ("dovecot-quota-grace", without("quota_grace")),
    ("dovecot-quota-grace", swap("quota_grace = 0", "quota_grace = 10%%")),
    ("dovecot-passwords-in-clear", lambda text: text.replace("plaintext_auth = yes", "plaintext_auth = no")
        .replace("ssl = required", "ssl = yes")),
    ("dovecot-trusts-everybody", add("login_trusted_networks = 0.0.0.0/0")),
    ("postfix-delimiter-differs", swap("recipient_delimiter = +", "recipient_delimiter = -")),
    ("dovecot-refuses-configuration", add("protocols = nonsense {")),
    ("dovecot-quota-status-empty", lambda text: re.sub("(?m)^  quota_status_toolarge.*\n", "", text)
        + "service quota-status {\n  inet_listener {\n    port = 12340\n  }\n}\n"),
]  # fmt: skip


@pytest.mark.parametrize(("found", "spoil"), PLANTED)
def test_planted(site, tmp_path, found, spoil):
    assert ids(site.spoiled(tmp_path, "dovecot.conf", spoil)) == {found}


def test_the_socket_of_postfix_is_none_for_dovecot(site, tmp_path):
    """In an outage it is closed, which Dovecot 2.3 calls a wrong password."""
    login, postfix = (site.config.listen.__dict__[hook][0].split(":")[1] for hook in ("login", "postfix_auth"))
    spoil = swap(f"imap-login {login}", f"imap-login {postfix}")
    assert ids(site.spoiled(tmp_path, "dovecot.conf", spoil)) == {"dovecot-socket-of-postfix"}


def test_a_login_socket_that_dovecot_would_remove(site):
    facts = site.facts()
    inside = replace(facts.hooks["login"][0], path=f"{site.layout.dovecot_base}/login/login")
    assert "dovecot-login-socket-inside" in ids(replace(facts, hooks={**facts.hooks, "login": (inside,)}))


def test_managesieve_finds_no_way(site):
    link = site.layout.dovecot_base / "auth-master"
    target = link.readlink()
    link.unlink()
    try:
        facts = site.facts()
        assert ids(facts) == {"dovecot-managesieve-link"}
        assert said(facts)[0].cure == f"ln -sfn {target} {link}"
    finally:
        link.symlink_to(target)


def test_a_dovecot_that_asks_us_nothing(site, tmp_path):
    file = tmp_path / "dovecot.conf"
    file.write_text("protocols = imap\n")
    assert ids(site.facts(dovecot=file)) == {"dovecot-not-connected"}


# What Dovecot 2.4 is told, read by the parser for doveconf's output; the real doveconf of 2.4 is asked in tests/e2e.


def newer(site, spoil=lambda text: text):
    rendered = render.files(site.config, Generation("2.4", (3, 10)), "dovecot")
    text = spoil(next(file.text for file in rendered if file.path.name == "dovecot.conf"))
    text = text.replace("ssl_server_cert_file", "ssl_server/cert_file").replace("ssl_server_key", "ssl_server/key")
    read = replace(site.facts().dovecot[0], line="2.4", settings=dict(dovecot.settings(text)))
    return replace(site.facts(), dovecot=(read,))


@pytest.mark.parametrize(
    ("found", "spoil"),
    [
        ("dovecot-asks-itself", without("login_socket_path")),
        ("dovecot-quota-off", swap("  driver = count", "  driver = maildir")),
        ("dovecot-quota-off", swap("  quota = yes\n", "")),
        ("dovecot-quota-grace", without("quota_storage_grace")),
        ("dovecot-dict-elsewhere", swap("name = lastlogin", "name = last_login")),
        ("dovecot-dict-passdb-is-gone", add("passdb dict {\ndriver = dict\n}")),
        ("dovecot-passwords-in-clear", lambda text: text.replace("cleartext = no", "cleartext = yes")
            .replace("ssl = required", "ssl = yes")),
    ],
)  # fmt: skip
def test_planted_for_2_4(site, found, spoil):
    assert {each.id for area in examine(newer(site, spoil)) for each in area.findings if each.severity < 2} == {found}


def test_a_healthy_2_4(site):
    assert said(newer(site)) == []
