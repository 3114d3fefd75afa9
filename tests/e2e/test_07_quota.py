"""Scenario 7: full mailboxes are refused at RCPT, and everything about it is live."""

from __future__ import annotations

import pytest
from server import Server, until


def rcpt(server: Server, recipient: str, size: int = 0) -> int:
    with server.smtp() as client:
        assert client.mail("joe@sender.test", [f"SIZE={size}"] if size else [])[0] == 250
        return client.rcpt(recipient)[0]


@pytest.fixture
def full(server: Server, request: pytest.FixtureRequest) -> str:
    """Make a user whose mailbox is over its limit, and an alias to it."""
    address = f"full{abs(hash(request.node.name)) % 10_000}@example1.com"
    server.add_user(address, "--quota", "20K")
    server.mailhooks("alias", "add", f"to-{address}", address)
    server.deliver("filling", address, body="x" * 70 + ("\n" + "y" * 70) * 250)  # 18 kB
    server.arrives("filling", address)
    until("the usage is told", lambda: rcpt(server, address, 10_000) == 552)
    return address


def test_over_quota_is_refused_also_behind_an_alias(server: Server, full: str):
    assert rcpt(server, full, 10_000) == 552
    assert rcpt(server, f"to-{full}", 10_000) == 552
    assert rcpt(server, f"{full.partition('@')[0]}+folder@example1.com", 10_000) == 552


def test_what_still_fits_is_accepted(server: Server, full: str):
    assert rcpt(server, full, 100) == 250


def test_below_the_limit_after_deleting_mail(server: Server, full: str):
    client = server.imap(full)
    client.select("INBOX")
    client.store("1:*", "+FLAGS", "\\Deleted")
    client.expunge()
    client.logout()
    until("there is room again", lambda: rcpt(server, full, 10_000) == 250)


def test_raising_the_quota_works_at_once(server: Server, full: str):
    server.mailhooks("user", "set", full, "--quota", "1M")
    assert rcpt(server, full, 10_000) == 250
    server.mailhooks("user", "set", full, "--quota", "20K")
    assert rcpt(server, full, 10_000) == 552


def test_a_list_with_one_member_who_has_room_is_accepted(server: Server, full: str):
    server.mailhooks("alias", "add", f"some-{full}", full, "bob@example1.com")
    assert rcpt(server, f"some-{full}", 10_000) == 250
