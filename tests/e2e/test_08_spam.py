"""Scenario 8: SpamAssassin by each user's own preferences, and a dead spamd only delays."""

from __future__ import annotations

import os
import signal

import pytest
from server import Server, header, message, until

GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"


@pytest.fixture(scope="module")
def server(machine):
    with Server(machine) as running:
        running.furnish()
        yield running


def test_gtube_goes_to_junk(server: Server):
    server.deliver("buy", "adam@example1.com", body=GTUBE)
    mail = server.arrives("buy", "adam@example1.com", "Junk")
    assert header(mail, "X-Spam-Flag") == "YES"


def test_preferences_differ_between_two_members_of_a_list(server: Server):
    server.mailhooks("spam", "set", "bob@example1.com", "required_score", "2000")
    server.mailhooks("spam", "set", "carol@example1.com", "required_score", "3.5")
    wanted = server.host("var/lib/mailhooks/spam/preferences.db")
    until("the preferences are published", wanted.exists)
    server.deliver("buy more", "Team@Example1.com", body=GTUBE)
    bob = server.arrives("buy more", "bob@example1.com", "INBOX")
    carol = server.arrives("buy more", "carol@example1.com", "Junk")
    assert "required=2000" in header(bob, "X-Spam-Status")
    assert "required=3.5" in header(carol, "X-Spam-Status")


def test_null_sender_keeps_its_null_sender_through_the_filter(server: Server):
    server.deliver("a bounce", "adam@example1.com", sender="")
    assert header(server.arrives("a bounce", "adam@example1.com"), "Return-Path") == "<>"


def test_submitted_mail_is_not_scanned(server: Server):
    with server.submit("adam@example1.com") as client:
        client.send_message(message("from inside", body=GTUBE), "adam@example1.com", ["carol@example1.com"])
    mail = server.arrives("from inside", "carol@example1.com")
    assert header(mail, "X-Spam-Status") == ""


def test_spamd_stopped_mail_waits_and_arrives_after_it_is_back(server: Server):
    os.kill(server.supervisor, signal.SIGSTOP)  # or it would restart spamd at once
    try:
        for pid in server.pids("spamd"):
            os.kill(pid, signal.SIGKILL)
        server.deliver("patience", "adam@example1.com")
        until("the mail is deferred", lambda: any(mail["queue_name"] == "deferred" for mail in server.postqueue()))
        assert "patience" not in server.subjects("adam@example1.com")
    finally:
        os.kill(server.supervisor, signal.SIGCONT)
    until("spamd is back", lambda: server._greets("spamd"))
    server.flush()
    server.arrives("patience", "adam@example1.com")
    assert "status=bounced" not in server.log
