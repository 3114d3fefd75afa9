"""Scenario 41: the admin's own lines for the stock daemons win, and a bad one stops the start with its name."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from server import Server, free_ports, header, until


@pytest.fixture(scope="module")
def server(machine) -> Iterator[Server]:
    running = Server(machine)
    (running.port["second"],) = free_ports(1)
    for name, text in {
        "postfix/main.cf.d/10-size.cf": "message_size_limit = 1000000\nsmtpd_banner = first\n",
        "postfix/main.cf.d/20-own.cf": "# wins over 10\nsmtpd_banner =\n  $myhostname\n# even here\n  ESMTP own",
        "postfix/main.cf.d/notes.txt": "this is not read",
        "postfix/master.cf.d/second.cf": f"127.0.0.1:{running.port['second']} inet n - n - 1 smtpd\n"
        "  -o smtpd_banner=second\n  -o message_size_limit=2000000\n",
        "dovecot.d/greeting.conf": "login_greeting = The own greeting\n",
        "spamassassin.d/rule.cf": "header OWN_RULE Subject =~ /drop-in/\nscore OWN_RULE 0.25\n",
    }.items():
        write(running, name, text)
    with running:
        running.furnish()
        yield running


def write(server: Server, name: str, text: str) -> Path:
    path = server.host(f"etc/mailhooks/{name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def greeting(server: Server, service: str) -> str:
    with socket.create_connection(("127.0.0.1", server.port[service]), 30) as connection:
        return " ".join(connection.recv(1000).decode().split())


def test_the_last_line_for_postfix_wins_without_a_warning(server: Server):
    assert greeting(server, "smtp") == "220 mail.example1.com ESMTP own"
    with server.smtp() as client:
        assert client.esmtp_features["size"] == "1000000"
    assert "overriding" not in server.log


def test_a_service_of_the_admins_is_there(server: Server):
    assert greeting(server, "second") == "220 second"


def test_dovecot_and_spamassassin_go_by_theirs(server: Server):
    assert greeting(server, "imap").endswith("The own greeting")
    server.deliver("a drop-in", "adam@example1.com")
    assert "OWN_RULE" in header(server.arrives("a drop-in", "adam@example1.com"), "X-Spam-Status")


def test_a_bad_one_at_sighup_changes_nothing(server: Server):
    assert server.process is not None
    bad = write(server, "postfix/main.cf.d/99-bad.cf", "smtpd_banner = bad\nmessage_size_limit = much\n")
    os.kill(server.process.pid, signal.SIGHUP)
    until("it is refused", lambda: "99-bad.cf: Postfix refuses it" in server.log)
    assert "bad numerical configuration: message_size_limit = much" in server.log
    assert greeting(server, "smtp") == "220 mail.example1.com ESMTP own"
    bad.write_text("smtpd_banner = $myhostname ESMTP new\n")
    write(server, "spamassassin.d/rule.cf", "header NEW_RULE Subject =~ /drop-in/\nscore NEW_RULE 0.25\n")
    os.kill(server.process.pid, signal.SIGHUP)
    until("the good one counts", lambda: greeting(server, "smtp") == "220 mail.example1.com ESMTP new")
    until("spamd is back", lambda: server.log.count("started spamd") == 2 and server._greets("spamd"))
    server.deliver("another drop-in", "adam@example1.com")
    server.flush()
    assert "NEW_RULE" in header(server.arrives("another drop-in", "adam@example1.com"), "X-Spam-Status")


# --- refused at the start -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def idle(machine) -> Iterator[Server]:
    """A server that is never started."""
    server = Server(machine)
    yield server
    server.__exit__()


def refused(server: Server) -> str:
    done = server.machine.run(*server.machine.program, "--config", str(server.config), "up")
    assert done.returncode == 2, done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    return line


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("postfix/main.cf.d/b.cf", "no equals sign\n", "missing '=' after attribute name"),
        ("postfix/main.cf.d/b.cf", "  continues = nothing\n", "begins with a blank"),
        ("postfix/master.cf.d/b.cf", "smtp inet n\n", "bad field count"),
        ("dovecot.d/b.conf", "no_such_setting = 3\n", "no_such_setting"),
        ("spamassassin.d/b.cf", "no_such_setting 3\n", "failed to parse line"),
    ],
)
def test_what_a_daemon_refuses(idle: Server, name, text, words):
    good = write(idle, name.replace("/b.", "/a."), "# a good one before it\n")
    bad = write(idle, name, text)
    try:
        line = refused(idle)
    finally:
        bad.unlink()
        good.unlink()
    assert f"/etc/mailhooks/{name}" in line
    assert words in line


def test_what_others_than_root_can_change(idle: Server):
    path = write(idle, "dovecot.d/c.conf", "login_greeting = mine\n")
    for change, undo in (
        (lambda: os.chown(path, 65_534, 0), lambda: os.chown(path, 0, 0)),
        (lambda: path.chmod(0o664), lambda: path.chmod(0o644)),
        (lambda: path.parent.chmod(0o777), lambda: path.parent.chmod(0o755)),
    ):
        change()
        line = refused(idle)
        undo()
        assert "dovecot.d" in line
        assert "root" in line
    path.unlink()


def test_a_link_to_what_others_can_change(idle: Server):
    elsewhere = write(idle, "elsewhere/x", "login_greeting = mine\n")
    elsewhere.parent.chmod(0o777)
    link = idle.host("etc/mailhooks/dovecot.d/d.conf")
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(idle.root / elsewhere.relative_to(idle.host_root))
    assert "elsewhere" in refused(idle)
    link.unlink()
