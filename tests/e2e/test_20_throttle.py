"""Scenario 20: guessing is stopped on every service at once, owners get in, and it survives a restart."""

from __future__ import annotations

import base64
import json
import smtplib
import socket
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from machine import Machine
from server import Q, Server, message, trusting, until

ADAM, BOB = "adam@example1.com", "bob@example1.com"
HOTEL, HOME, PHONE = "127.0.2.1", "127.0.3.1", "127.0.4.1"  # clients' addresses, which nobody shares here
LIMIT = 4


@pytest.fixture(scope="module")
def server(machine: Machine) -> Iterator[Server]:
    settings = {
        "throttle": {"shared_networks": [], "pair_guesses": LIMIT, "account_guesses": 10},
        "auth": {"failure_delay": 0.2},
    }
    with Server(machine, settings) as running:
        running.furnish()
        yield running


def imap(server: Server, address: str, login: str, password: str) -> str:
    """Log in over IMAP from an address; what Dovecot says."""
    with (
        socket.create_connection(("127.0.0.1", server.port["imaps"]), 60, (address, 0)) as plain,
        trusting().wrap_socket(plain) as connection,
        connection.makefile("rb") as lines,
    ):
        lines.readline()
        connection.sendall(f"a LOGIN {login} {password}\r\n".encode())
        return next(line.decode() for line in lines if line.startswith(b"a "))


def sieve(server: Server, address: str, login: str, password: str) -> str:
    """Log in over ManageSieve from an address."""
    with socket.create_connection(("127.0.0.1", server.port["sieve"]), 60, (address, 0)) as plain:
        _greeted(plain)
        plain.sendall(b"STARTTLS\r\n")
        assert plain.recv(1000).startswith(b"OK")
        with trusting().wrap_socket(plain) as connection:
            _greeted(connection)
            token = base64.b64encode(f"\0{login}\0{password}".encode()).decode()
            connection.sendall(f'AUTHENTICATE "PLAIN" "{token}"\r\n'.encode())
            return connection.recv(1000).decode()


def _greeted(connection: socket.socket) -> None:
    heard = b""
    while not heard.splitlines() or not heard.splitlines()[-1].startswith(b"OK"):
        heard += connection.recv(1000)


def smtp(server: Server, address: str, login: str, password: str) -> int:
    """Log in to submission from an address; Postfix's code."""
    with smtplib.SMTP("127.0.0.1", server.port["submission"], "client.test", 60, (address, 0)) as client:
        client.starttls(context=trusting())
        client.ehlo()
        client.user, client.password = login, password
        try:
            return client.auth("PLAIN", client.auth_plain)[0]
        except smtplib.SMTPResponseException as error:
            return error.smtp_code


def guess(server: Server, address: str, login: str, count: int) -> list[str]:
    return [imap(server, address, login, f"guess-{address}-{number}") for number in range(count)]


def test_guessing_on_one_service_is_stopped_on_all_and_never_called_a_wrong_password(server: Server):
    assert all("AUTHENTICATIONFAILED" in said for said in guess(server, HOTEL, ADAM, LIMIT))
    assert "UNAVAILABLE" in imap(server, HOTEL, ADAM, Q)
    assert smtp(server, HOTEL, ADAM, Q) == 454
    assert sieve(server, HOTEL, ADAM, Q).startswith("NO (TRYLATER)")
    assert smtp(server, HOTEL, BOB, Q) == 235
    assert smtp(server, HOME, ADAM, Q) == 235
    assert imap(server, HOME, ADAM, Q).startswith("a OK")


def listed(server: Server) -> list[dict[str, Any]]:
    """What is written of the guesses from the hotel; that is done once in a second."""
    rows = json.loads(server.mailhooks("throttle", "list", "--json"))
    return [row for row in rows if row["network"] == f"{HOTEL}/32" and row["scope"] == "pair"]


def test_it_is_listed_logged_and_counted(server: Server):
    row = until("the guesses are written", partial(listed, server), 10)[0]
    assert row["account"] == ADAM
    assert round(row["guesses"]) == LIMIT
    assert row["until"] is not None
    assert f"login throttled: rip={HOTEL} scope=pair network={HOTEL}/32 account={ADAM}" in server.log
    with socket.create_connection(("127.0.0.1", server.port["http"]), 10) as connection:
        connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        page = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    assert 'mailhooks_limit_trips_total{scope="login_pair"}' in page
    assert 'result="throttled"' in page


def test_it_survives_a_restart(server: Server):
    until("the guesses are written", partial(listed, server), 10)
    server.stop()
    server.start()
    assert "UNAVAILABLE" in imap(server, HOTEL, ADAM, Q)
    assert imap(server, HOME, ADAM, Q).startswith("a OK")


@pytest.mark.parametrize("what", [ADAM, HOTEL, "--all"])
def test_a_clearing_acts_at_once(server: Server, what: str):
    guess(server, HOTEL, ADAM, 4 * LIMIT + 1)  # he has logged in from there after the clearing before
    assert "UNAVAILABLE" in imap(server, HOTEL, ADAM, Q)
    server.mailhooks("throttle", "clear", what)
    assert imap(server, HOTEL, ADAM, Q).startswith("a OK")


def test_a_phone_with_an_old_password_is_one_guess(server: Server):
    assert all("AUTHENTICATIONFAILED" in imap(server, PHONE, BOB, "old") for _ in range(2 * LIMIT))
    assert imap(server, PHONE, BOB, Q).startswith("a OK")


def test_the_owner_of_an_attacked_account_gets_in_from_a_new_network_at_the_second_try(server: Server):
    for number in range(12):
        imap(server, f"127.1.{number}.1", BOB, f"guess-{number}")
    assert imap(server, PHONE, BOB, Q).startswith("a OK")  # he was there before
    assert "UNAVAILABLE" in imap(server, "127.9.9.1", BOB, Q)
    until("who comes again is let in", lambda: imap(server, "127.9.9.1", BOB, Q).startswith("a OK"), 60)


def test_mail_flows_while_logins_are_refused(server: Server):
    server.deliver("while throttled", BOB)
    server.mailhooks("throttle", "clear", BOB)
    server.arrives("while throttled", BOB)
    with server.submit(BOB) as client:
        client.send_message(message("from bob", sender=BOB, to=ADAM), BOB, [ADAM])
    server.arrives("from bob", ADAM)
