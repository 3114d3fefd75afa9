"""Scenario 40: a server that is told everything by environment variables, and one that is told nonsense."""

from __future__ import annotations

import contextlib
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from server import Server, header, until

ADMIN, SECRET, RELAY_SECRET = "adam@example1.com", "from a file, with blanks", "relay-s3cret"

QUICK = {"server": {"spam_filter": False}, "server.ports": {"spamd": 0}}  # nothing waits for SpamAssassin's rules


@pytest.fixture(scope="module")
def server(machine) -> Iterator[Server]:
    """A first start by nothing but the environment: the file holds only what keeps it on loopback."""
    running = Server(machine)
    secrets = running.host("secrets")
    secrets.mkdir(mode=0o700)
    (secrets / "admin").write_text(SECRET + "\n")
    (secrets / "token").write_text("t0ken\n")
    (secrets / "token").chmod(0o400)  # the daemon's user cannot read it
    running.environment = {
        "MAIL_HOSTNAME": "mx.example.net",
        "MAIL_DOMAIN": "example1.com",
        "MAIL_ADMIN": "Adam@Example1.com",
        "MAIL_ADMIN_PASSWORD_FILE": f"{running.root}/secrets/admin",
        "RELAY_HOST": "[127.0.0.1]:9",
        "RELAY_USERNAME": "apikey",
        "RELAY_PASSWORD": RELAY_SECRET,
        "MESSAGE_SIZE_LIMIT": "1M",
        "MAIL_PROTOCOLS": "smtp submission imap imaps sieve",
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "INFO",
        "HTTP_TOKEN_FILE": f"{running.root}/secrets/token",
        "MAILHOOKS_UNUSED": "",
    }
    with running:
        yield running


def test_the_admin_reads_and_sends_with_the_password_of_the_file(server: Server):
    server.imap(ADMIN, SECRET).logout()
    with server.submit(ADMIN, SECRET) as client:
        client.sendmail(ADMIN, [ADMIN], "Subject: to myself\r\n\r\nHello.\r\n")
    until(
        "it arrives", lambda: "to myself" in [header(mail, "Subject") for mail in server.mails(ADMIN, password=SECRET)]
    )


def test_postfix_is_told_the_name_and_the_size(server: Server):
    with server.smtp() as client:
        assert client.ehlo_resp is not None
        assert client.ehlo_resp.splitlines()[0] == b"mx.example.net"
        assert client.esmtp_features["size"] == "1048576"


def test_a_service_that_is_not_named_does_not_listen(server: Server):
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", server.port["submissions"]), 5):
        pass


def test_the_command_line_goes_by_the_environment_too(server: Server):
    key = f"{server.environment['RELAY_HOST']}"
    assert server.mailhooks("lookup", "smtp_sasl_password_maps", key).strip() == f"apikey:{RELAY_SECRET}"
    assert "myhostname = mx.example.net" in server.mailhooks("config", "postfix")


def test_the_http_port_asks_for_the_token_of_the_file(server: Server):
    def ask(*headers: str) -> bytes:
        with socket.create_connection(("127.0.0.1", server.port["http"]), 30) as connection:
            lines = ["GET /metrics HTTP/1.1", "Host: x", "Connection: close", *headers, "", ""]
            connection.sendall("\r\n".join(lines).encode())
            return connection.recv(12)

    assert ask() == b"HTTP/1.1 401"
    assert ask("Authorization: Bearer t0ken") == b"HTTP/1.1 200"


def test_no_program_inherits_a_secret_and_no_line_shows_one(server: Server):
    environments = []
    for pid in server.pids(""):
        with contextlib.suppress(OSError):  # it ended meanwhile
            environments.append(Path(f"/proc/{pid}/environ").read_bytes())
    assert len(environments) > 4
    assert not [each for each in environments if RELAY_SECRET.encode() in each]
    assert RELAY_SECRET not in server.log
    assert SECRET not in server.log
    assert any(line.startswith("{") and '"message"' in line for line in server.log.splitlines())


def test_at_the_next_start_a_new_relay_password_counts_and_no_account_is_touched(server: Server):
    server.mailhooks("user", "passwd", ADMIN, "--password-stdin", given="another\n")
    assert server.stop() == 0
    server.environment["RELAY_PASSWORD"] = "n3w"
    server.start()
    server.imap(ADMIN, "another").logout()
    assert server.mailhooks("lookup", "smtp_sasl_password_maps", "[127.0.0.1]:9").strip() == "apikey:n3w"


# --- alone --------------------------------------------------------------------------------------------------------


def test_a_domain_alone_makes_a_postmaster_whose_password_is_shown_once(machine):
    with Server(machine, QUICK, environment={"MAIL_DOMAIN": "example3.com"}) as server:
        (password,) = re.findall(r"=====> the first password of postmaster@example3\.com is (\S+) ", server.log)
        server.imap("postmaster@example3.com", password).logout()
        assert server.stop() == 0
        server.start()
        assert server.log.count(password) == 1


def test_an_admin_alone_makes_his_domain(machine):
    with Server(machine, QUICK, environment={"MAIL_ADMIN": "eve@example4.com"}) as server:
        (password,) = re.findall(r"=====> the first password of eve@example4\.com is (\S+) ", server.log)
        server.imap("eve@example4.com", password).logout()
        server.add_user("frank@example4.com")  # at once, without restart
        server.imap("frank@example4.com").logout()


def test_a_server_that_ran_comes_up_though_its_admin_cannot_be_made_again_and_is_healthy_without_http(machine):
    settings = {**QUICK, "mail": {"address_hold_days": 30}}
    with Server(machine, settings, environment={"MAIL_ADMIN": "eve@example4.com", "HTTP_LISTEN": "off"}) as server:
        server.mailhooks("user", "remove", "eve@example4.com")
        assert server.stop() == 0
        server.start()
        assert "MAIL_ADMIN='eve@example4.com': eve@example4.com was removed lately" in server.log
        assert server.mailhooks("ready").count(": ready") == 7


# --- wrong --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"MAIL_HOSTNAME": "mail example"}, "MAIL_HOSTNAME='mail example'"),
        ({"MAIL_HOSTNAME": "1.2.3.4"}, "MAIL_HOSTNAME='1.2.3.4'"),
        ({"MAIL_DOMAIN": "no domain"}, "MAIL_DOMAIN='no domain'"),
        ({"MAIL_ADMIN": "adam"}, "MAIL_ADMIN='adam'"),
        ({"MAIL_ADMIN_PASSWORD": "x y"}, "MAIL_ADMIN_PASSWORD"),
        ({"MAIL_ADMIN": "a@b.test", "MAIL_ADMIN_PASSWORD_FILE": "/nowhere"}, "MAIL_ADMIN_PASSWORD_FILE='/nowhere'"),
        ({"RELAY_HOST": "a b"}, "RELAY_HOST='a b'"),
        ({"RELAY_HOST": "[x.test]:nosuchport"}, "RELAY_HOST='[x.test]:nosuchport'"),
        ({"RELAY_USERNAME": "me", "RELAY_PASSWORD": "x y"}, "RELAY_HOST"),
        ({"RELAY_HOST": "[x.test]:25", "RELAY_USERNAME": "me"}, "RELAY_PASSWORD"),
        ({"RELAY_HOST": "[x.test]:25", "RELAY_PASSWORD": "x y"}, "RELAY_USERNAME"),
        ({"RELAY_PASSWORD": "x y", "RELAY_PASSWORD_FILE": "/etc/hostname"}, "RELAY_PASSWORD and RELAY_PASSWORD_FILE"),
        ({"MESSAGE_SIZE_LIMIT": "huge"}, "MESSAGE_SIZE_LIMIT='huge'"),
        ({"MESSAGE_SIZE_LIMIT": "1"}, "MESSAGE_SIZE_LIMIT='1'"),
        ({"MAIL_PROTOCOLS": "smtp gopher"}, "MAIL_PROTOCOLS='smtp gopher'"),
        ({"LOG_FORMAT": "xml"}, "LOG_FORMAT='xml'"),
        ({"LOG_LEVEL": "loud"}, "LOG_LEVEL='loud'"),
        ({"HTTP_LISTEN": "everywhere"}, "HTTP_LISTEN='everywhere'"),
        ({"HTTP_LISTEN": "0.0.0.0:9465"}, "HTTP_LISTEN='0.0.0.0:9465'"),
        ({"HTTP_LISTEN": "192.0.2.1:9465"}, "HTTP_LISTEN='192.0.2.1:9465'"),
        ({"HTTP_TOKEN_FILE": "/nowhere"}, "HTTP_TOKEN_FILE='/nowhere'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_a_wrong_value_stops_the_start_with_one_line(idle: Server, given, names):
    done = idle.machine.run(*idle.machine.program, "--config", str(idle.config), "up", env={**os.environ, **given})
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert names in line
    assert "x y" not in line
    assert not idle.store.exists()


@pytest.fixture(scope="module")
def idle(machine) -> Iterator[Server]:
    """A server that is never started."""
    server = Server(machine)
    yield server
    server.__exit__()
