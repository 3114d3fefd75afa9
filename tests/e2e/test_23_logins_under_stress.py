"""Scenario 23: many logins at once, and a daemon that dies during one: OK or a temporary failure, never a false no."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from server import Server, until

LOGINS = 200
ACCOUNTS = 20  # Dovecot allows ten connections of one user from one address (mail_max_userip_connections)
TEMPORARY = ("UNAVAILABLE", "EOF", "BYE", "abort", "Connection", "Broken pipe", "timed out", "closed")


@pytest.fixture(scope="module")
def server(machine):
    with Server(machine, {"auth": {"cache_entries": 0, "workers": 1}}) as running:
        running.furnish()
        # Logins of one account at once share a hash: twenty of half a second are more than eight seconds of work.
        slow = machine.run("doveadm", "pw", "-s", "BLF-CRYPT", "-r", "13", "-p", "slow-Q7").stdout.strip()
        for number in range(ACCOUNTS):
            running.mailhooks("user", "add", f"slow{number}@example1.com", "--hash-stdin", given=slow + "\n")
        yield running


def heard(server: Server, number: int = 0) -> str:
    """Log in over IMAP and name what was heard."""
    try:
        server.imap(f"slow{number % ACCOUNTS}@example1.com", "slow-Q7").logout()
    except Exception as refused:  # noqa: BLE001 - imaplib's own error class hangs on the connection's class
        text = f"{type(refused).__name__} {refused}"
        return "temporary" if any(word in text for word in TEMPORARY) else text
    return "OK"


def test_200_logins_at_once_while_hashing_is_saturated(server: Server):
    with ThreadPoolExecutor(LOGINS) as pool:
        counted = Counter(pool.map(lambda number: heard(server, number), range(LOGINS)))
    assert set(counted) <= {"OK", "temporary"}, counted
    assert counted["OK"], counted
    until("logins are quick again", lambda: heard(server) == "OK", 60)


def test_daemon_killed_during_a_login(server: Server):
    answers: list[str] = []
    clients = [threading.Thread(target=lambda: answers.append(heard(server))) for _ in range(8)]
    (pid,) = server.pids("serve")
    for client in clients:
        client.start()
    os.kill(pid, signal.SIGKILL)
    for client in clients:
        client.join(120)
        assert not client.is_alive()
    allowed = {"OK", "temporary"}
    if server.machine.run("dovecot", "--version").stdout.startswith("2.3."):
        # Its login processes say so themselves when the auth socket closes (auth-client-connection.c).
        allowed |= {answer for answer in answers if "AUTHENTICATIONFAILED" in answer}
    assert set(answers) <= allowed, answers
    until("logins work again", lambda: heard(server) == "OK", 90)


def test_daemon_stopped_and_started(server: Server):
    assert server.stop() == 0
    server.start()
    until("logins work", lambda: heard(server) == "OK", 60)
