"""Scenario 5: a logged-in user sends as himself and whoever he was allowed to be."""

from __future__ import annotations

import pytest
from server import Server


def may_send(server: Server, login: str, sender: str) -> bool:
    with server.submit(login) as client:
        code = client.mail(sender)[0]
        if code == 250:
            code = client.rcpt("bob@example1.com")[0]
    assert code == 250 or 550 <= code <= 559, code
    return code == 250


@pytest.fixture(scope="module", autouse=True)
def _grants(server: Server):
    server.mailhooks("sender", "allow", "carol@example1.com", "press@elsewhere.test")
    server.mailhooks("sender", "allow", "bob@example1.com", "team@example1.com")
    server.mailhooks("sender", "allow", "bob@example2.com", "@example1.com")


@pytest.mark.parametrize(
    ("login", "sender", "allowed"),
    [
        ("adam@example1.com", "adam@example1.com", True),
        ("adam@example1.com", "Adam+News@Example1.com", True),
        ("adam@example1.com", "office@example1.com", True),  # an alias that delivers to him
        ("bob@example1.com", "office@example1.com", False),
        ("adam@example1.com", "team@example1.com", False),  # a list, no grant
        ("bob@example1.com", "team@example1.com", True),  # a list, granted
        ("carol@example1.com", "press@elsewhere.test", True),
        ("bob@example2.com", "anything@example1.com", True),  # a whole domain, granted
        ("bob@example2.com", "anything@elsewhere.test", False),
        ("adam@example1.com", "bob@example1.com", False),
        ("adam@example1.com", "stranger@elsewhere.test", False),
        ("adam@example1.com", "", False),  # the null sender
    ],
)
def test_sender(server: Server, login: str, sender: str, allowed: bool):
    assert may_send(server, login, sender) is allowed


def test_revoked_grant_is_gone_at_once(server: Server):
    assert may_send(server, "carol@example1.com", "press@elsewhere.test")
    server.mailhooks("sender", "revoke", "carol@example1.com", "press@elsewhere.test")
    assert not may_send(server, "carol@example1.com", "press@elsewhere.test")
    server.mailhooks("sender", "allow", "carol@example1.com", "press@elsewhere.test")


def test_outside_mail_that_names_a_local_sender_is_not_stopped(server: Server):
    """A mailing list elsewhere sends our users' mail back to us: port 25 does not check ownership."""
    server.deliver("by way of a list", "bob@example1.com", sender="adam@example1.com")
    server.arrives("by way of a list", "bob@example1.com")
