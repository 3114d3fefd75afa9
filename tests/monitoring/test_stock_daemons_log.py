"""A whole server whose daemons' log lines are counted: nothing about the lines or the mail changes."""

from __future__ import annotations

import os
import re
import signal
import smtplib
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from machine import machines
from server import Server, until

pytestmark = pytest.mark.e2e

SECONDS = 60


def page(server: Server) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port['http']}/metrics", timeout=30) as answer:
        return answer.read().decode()


def number(server: Server, name: str) -> float:
    """Return the value of one series; -1 when it is not there."""
    found = re.search(rf"^{re.escape(name)} (\S+)$", page(server), re.MULTILINE)
    return float(found[1]) if found else -1.0


def counted(server: Server, kind: str) -> float:
    return number(server, f'mailhooks_daemon_log_lines_total{{kind="{kind}"}}')


@pytest.fixture(scope="module", params=["here", "debian13"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    machine = machines()[request.param]
    if missing := machine.missing():
        pytest.fail(f"not installed: {', '.join(missing)}; `make test` brings it")
    with Server(machine, settings={"log": {"count_lines": True}}) as running:
        running.furnish()
        yield running


def tap(server: Server) -> int:
    return until("logtap runs", lambda: server.pids("mailhooks.stack.logtap"))[0]


def guess(server: Server, login: str = "adam@example1.com") -> None:
    """Give a wrong password; smtplib tries it by each mechanism."""
    with pytest.raises(smtplib.SMTPAuthenticationError):
        server.submit(login, "wrong")


def failures(server: Server) -> list[str]:
    """Return the log's lines about failed logins."""
    return [line for line in server.log.splitlines() if "authentication failed: " in line]


def all_are_counted(server: Server) -> bool:
    return counted(server, "authentication_failed") == len(failures(server))


def offer(server: Server, subject: str) -> bool:
    """Send a mail as a sender does who tries again: after an outage an smtpd may still remember that it failed."""
    try:
        server.deliver(subject, "adam@example1.com")
    except smtplib.SMTPRecipientsRefused as refused:
        if {code for code, _ in refused.recipients.values()} != {451}:
            raise
        return False
    return True


def test_lines_that_matter_are_counted_and_reach_the_log_unchanged(server: Server):
    server.deliver("counted", "adam@example1.com")
    server.arrives("counted", "adam@example1.com")
    assert counted(server, "authentication_failed") == 0
    guess(server)
    until("the failures are in the log", lambda: failures(server), SECONDS)
    until("they are counted", lambda: all_are_counted(server), SECONDS)
    for line in failures(server):
        assert re.match(r"\w{3} [ \d]\d [\d:]{8} \S+ postfix/submission/smtpd\[\d+\]: warning: ", line)
    assert counted(server, "fatal") == 0
    assert counted(server, "dovecot_error") == 0


def test_what_a_client_says_raises_no_alarm(server: Server):
    with server.smtp() as client:
        client.ehlo("fatal: no SASL authentication mechanisms")
        client.mail("<problem talking to server@lookup error for.test>")
        client.docmd("warning: table lookup problem")
    before = len(failures(server))
    guess(server, "fatal: table lookup problem@example1.com")
    until("the failures are counted", lambda: len(failures(server)) > before and all_are_counted(server), SECONDS)
    for kind in ("fatal", "no_sasl", "policy_problem", "lookup_error", "lookup_problem"):
        assert counted(server, kind) == 0, kind


def test_an_outage_is_counted_as_postfix_sees_it(server: Server):
    store = server.store.with_suffix(".away")
    server.store.rename(store)
    try:
        until("mailhooks knows", lambda: number(server, "mailhooks_store_up") == 0)
        with server.smtp() as client:
            client.ehlo("client.test")
            client.mail("joe@sender.test")
            assert client.rcpt("adam@example1.com")[0] == 451
    finally:
        store.rename(server.store)
    until("the store is back", lambda: number(server, "mailhooks_store_up") == 1)
    until("it is counted", lambda: counted(server, "socketmap_error") > 0, SECONDS)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_a_tap_that_ends_or_hangs_stops_no_mail_and_comes_back(server: Server, end: signal.Signals):
    first = tap(server)
    os.kill(first, end)
    subject = f"beside a tap, {end.name}"
    until("the mail is taken", lambda: offer(server, subject))
    server.arrives(subject, "adam@example1.com")
    before = len(failures(server))
    guess(server)
    until("another tap", lambda: (pids := server.pids("mailhooks.stack.logtap")) and first not in pids)
    until("the failures are counted", lambda: len(failures(server)) > before and all_are_counted(server), SECONDS)


def test_the_queue_is_told_with_its_age(server: Server):
    until("the queue was looked at", lambda: number(server, 'mailhooks_postfix_queue_messages{queue="hold"}') == 0)
    assert number(server, 'mailhooks_postfix_queue_oldest_seconds{queue="hold"}') == 0


def test_sigusr1_to_up_reaches_the_daemon(server: Server):
    assert server.process is not None
    server.process.send_signal(signal.SIGUSR1)
    until("everything is told", lambda: "everything is told" in server.log)
    server.process.send_signal(signal.SIGUSR1)
    until("no more", lambda: "back to the levels of [log]" in server.log)


def test_the_end_loses_no_line(server: Server):
    begun = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - begun < 40
    assert "server killed by SIGTERM, shutting down" in server.log  # spamd, at its end
    assert Path(server.host("run/mailhooks-stack/log-counts/counts")).exists()
