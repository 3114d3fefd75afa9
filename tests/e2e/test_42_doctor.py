"""mailhooks doctor, of a running server in both generations: nothing wrong, then spoiled, then stopped."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import pytest


def doctor(server, *arguments: str) -> tuple[int, set[str]]:
    """Return the exit code and the names of what is wrong."""
    done = server.machine.run(
        *server.machine.program, "--config", str(server.config), "doctor", "--no-dns", "--json", *arguments
    )
    assert done.stdout, done.stderr
    return done.returncode, {each["id"] for each in json.loads(done.stdout) if each["severity"] != "note"}


def generation(server) -> str:
    """Which Dovecot this is."""
    return server.machine.run("dovecot", "--version").stdout[:3]


def spoiled(server, daemon: str, name: str, old: str, new: str) -> str:
    """Copy the rendered files of a daemon and spoil one line; return where they are, as the daemons name it."""
    copy = server.host("spoiled") / daemon
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(server.host("run/mailhooks-stack") / daemon, copy)
    file = copy / name
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    os.utime(file, (file.stat().st_mtime - 60,) * 2)  # postconf waits until nobody can still be writing
    return f"{server.root}/spoiled/{daemon}"


def test_a_healthy_server_has_nothing_wrong(server):
    assert doctor(server) == (0, set())
    assert server.mailhooks("doctor", "--no-dns").splitlines()[-1].startswith("nothing wrong")


@pytest.mark.parametrize(
    ("found", "old", "new"),
    [
        ("postfix-unknown-socket", "unix:mailhooks/socketmap:", "unix:/run/mailhooks/socketmap:"),
        ("postfix-domains-at-default", "virtual_alias_domains =", "#"),
        ("postfix-domain-twice", "mydestination =", "mydestination = example1.com"),
        ("postfix-warns", "biff = no", "bif = no"),
    ],
)
def test_a_spoiled_postfix(server, found, old, new):
    assert doctor(server, "--postfix", spoiled(server, "postfix", "main.cf", old, new)) == (1, {found})


@pytest.mark.parametrize(
    ("found", "old", "new"),
    [
        ("dovecot-asks-itself", "auth_socket_path", "#"),
        ("dovecot-login-chroot", "service imap-login {\n  chroot =\n", "service imap-login {\n"),
        ("dovecot-quota-grace", {"2.3": "  quota_grace", "2.4": "quota_storage_grace"}, "#"),
        (
            "dovecot-quota-off",
            {"2.3": "quota = count", "2.4": "driver = count"},
            {"2.3": "#", "2.4": "driver = maildir"},
        ),
    ],
)
def test_a_spoiled_dovecot(server, found, old, new):
    line = generation(server)
    old, new = (each[line] if isinstance(each, dict) else each for each in (old, new))
    where = spoiled(server, "dovecot", "dovecot.conf", old, new)
    assert doctor(server, "--dovecot", f"{where}/dovecot.conf") == (1, {found})


def test_accounts_by_the_dict_are_a_way_of_2_3_only(server):
    block = {"2.3": "passdb {\n  driver = dict\n}\n", "2.4": "passdb dict {\n  driver = dict\n}\n"}[generation(server)]
    where = spoiled(server, "dovecot", "dovecot.conf", "auth_socket_path", f"{block}auth_socket_path")
    right = {"2.3": (0, set()), "2.4": (1, {"dovecot-dict-passdb-is-gone"})}[generation(server)]
    assert doctor(server, "--dovecot", f"{where}/dovecot.conf") == right


def test_a_stopped_server_is_found(server):
    assert server.stop() == 0
    code, found = doctor(server)
    assert code == 1
    assert found >= {"socket-missing", "spamd-silent"}


def test_somebody_else_than_root_may_ask(server):
    """What only root may see is named."""
    done = subprocess.run(
        server.machine.command(
            "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
            *server.machine.program, "--config", str(server.config), "doctor", "--no-dns",
        ),
        text=True, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "not checked" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
