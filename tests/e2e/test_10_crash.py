"""Scenario 10: the daemon dies and is reread under traffic; nothing is lost and nothing answered wrongly."""

from __future__ import annotations

import os
import signal
import smtplib
import socket
import time

import pytest
from server import Server, until
from traffic import CLIENTS, Traffic, everything_arrives

HANGUPS = 20


@pytest.fixture(scope="module")
def server(machine):
    with Server(machine) as running:
        running.furnish()
        yield running


def test_twenty_hangups_under_traffic_fail_no_request(server: Server):
    (pid,) = until("the daemon runs", lambda: server.pids("serve"), 60)
    until("logins work", lambda: _logs_in(server), 90)
    with Traffic(server) as traffic:
        for _ in range(HANGUPS):
            os.kill(pid, signal.SIGHUP)
            traffic.goes_on(1)
    assert server.pids("serve") == [pid]
    assert set(traffic.heard) == {("unknown", 550), ("known", 250), ("login", 235)}, traffic.heard
    everything_arrives(server, traffic.accepted)


def test_killed_under_traffic(server: Server):
    with Traffic(server) as traffic:
        for _ in range(3):
            (pid,) = until("the daemon runs", lambda: server.pids("serve"), 60)
            os.kill(pid, signal.SIGKILL)
            traffic.goes_on(CLIENTS + 1)
    answers = set(traffic.heard)
    assert {code for what, code in answers if what == "known"} <= {250, 451}, traffic.heard
    assert {code for what, code in answers if what == "unknown"} <= {550, 451}, traffic.heard
    assert ("login", 535) not in answers
    everything_arrives(server, traffic.accepted)


def test_nobody_is_refused_while_the_daemon_is_dead(server: Server):
    """Who asked then was refused, and an smtpd that began then kept its port without a banner for a minute."""
    paths = [*server.host("var/spool/postfix/mailhooks").iterdir(), *server.host("run/mailhooks").iterdir()]
    hooks = [path for path in paths if path.is_socket()]
    assert {"socketmap", "policy", "auth", "login", "auth-master", "auth-userdb", "dict"} <= {
        hook.name for hook in hooks
    }
    (pid,) = until("the daemon runs", lambda: server.pids("serve"), 60)
    os.kill(pid, signal.SIGKILL)
    while not [new for new in server.pids("serve") if new != pid]:
        for hook in hooks:
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(hook))
    with server.submit("adam@example1.com") as client:
        assert client.noop()[0] == 250
    assert "no SASL authentication mechanisms" not in server.log


def _logs_in(server: Server) -> bool:
    try:
        server.submit("adam@example1.com").close()
    except (smtplib.SMTPException, OSError):
        return False
    return True


def test_stops_in_order_within_its_grace(server: Server):
    started = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - started < 35
    server.start()
