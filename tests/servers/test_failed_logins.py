"""How many failed logins are told, and of whom."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from mailhooks.passdb import Reason
from mailhooks.servers import failed_logins
from mailhooks.servers.failed_logins import FailedLogins, plain_address


@pytest.fixture
def told():
    events = []
    globalLogPublisher.addObserver(events.append)
    yield events
    globalLogPublisher.removeObserver(events.append)


def test_one_address_and_all_together_are_told_so_often_and_the_rest_is_counted(told):
    clock = Clock()
    failed = FailedLogins(clock)
    for _ in range(30):
        failed.tell("imap", "192.0.2.1", Reason.CREDENTIALS, "adam@example1.com")
    assert len(told) == failed_logins.LINES_OF_ONE
    for number in range(1000):
        failed.tell("imap", f"2001:db8::{number:x}", Reason.CREDENTIALS, "adam@example1.com")
    assert len(told) == failed_logins.LINES
    clock.advance(failed_logins.WINDOW_SECONDS)
    failed.tell("imap", "192.0.2.1", Reason.CREDENTIALS, "adam@example1.com")
    assert told[failed_logins.LINES]["held"] == 1030 - failed_logins.LINES
    assert told[-1]["rip"] == "192.0.2.1"


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("fe80::1%eth0 rip=192.0.2.1", "-"),
        ("192.0.2.1 ", "-"),
        ("mail.example.com", "-"),
        ("", "-"),
        (None, "-"),
    ],
)
def test_only_an_address_is_told_as_one(given, plain):
    assert plain_address(given) == plain
