"""Scenario 10: the daemon dies and is reread under traffic; nothing is lost and nothing answered wrongly."""

from __future__ import annotations

import os
import signal
import smtplib
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
