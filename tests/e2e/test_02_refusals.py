"""Scenario 2: what is unknown is refused at RCPT, at once after each change."""

from __future__ import annotations

import pytest
from server import Server


@pytest.mark.parametrize(
    ("recipient", "code"),
    [("nobody@example1.com", 550), ("someone@elsewhere.test", 554), ("nobody+x@example1.com", 550)],
)
def test_unknown_recipient_and_foreign_domain(server: Server, recipient: str, code: int):
    with server.smtp() as client:
        client.mail("joe@sender.test")
        assert client.rcpt(recipient)[0] == code


@pytest.mark.parametrize("service", ["smtp", "submission"])
@pytest.mark.parametrize(
    ("recipient", "answer"),
    [("team", (504, b"need fully-qualified address")), ("adam@example1.com@[127.0.0.1]", (550, b"5.1.3"))],
)
def test_no_spelling_of_a_recipient_gets_around_the_policy(server: Server, service, recipient, answer):
    with server.submit("adam@example1.com") if service == "submission" else server.smtp() as client:
        client.mail("adam@example1.com" if service == "submission" else "joe@sender.test")
        code, text = client.docmd("RCPT", f"TO:<{recipient}>")
    assert (code, answer[1] in text) == (answer[0], True), text


def test_user_removed_in_an_open_session_is_refused_at_the_next_rcpt(server: Server):
    server.add_user("dora@example1.com")
    with server.smtp() as client:
        client.mail("joe@sender.test")
        assert client.rcpt("dora@example1.com")[0] == 250
        server.mailhooks("user", "remove", "dora@example1.com")
        assert client.rcpt("dora@example1.com")[0] == 550


def test_user_made_in_an_open_session_is_accepted_at_the_next_rcpt(server: Server):
    with server.smtp() as client:
        client.mail("joe@sender.test")
        assert client.rcpt("emil@example1.com")[0] == 550
        server.add_user("emil@example1.com")
        assert client.rcpt("emil@example1.com")[0] == 250


@pytest.mark.parametrize("state", ["closed", "send-only"])
def test_account_that_does_not_receive_is_refused_with_its_reason(server: Server, state: str):
    address = f"{state}@example1.com"
    server.add_user(address)
    server.mailhooks("user", "set", address, "--state", state, "--reason", "left us in May")
    with server.smtp() as client:
        client.mail("joe@sender.test")
        code, text = client.rcpt(address)
    assert code == 550
    assert b"left us in May" in text


@pytest.mark.parametrize("state", ["no-login", "no-send"])
def test_account_that_only_receives_gets_its_mail(server: Server, state: str):
    address = f"{state}@example1.com"
    server.add_user(address)
    server.mailhooks("user", "set", address, "--state", state)
    with server.smtp() as client:
        client.mail("joe@sender.test")
        assert client.rcpt(address)[0] == 250


def test_address_made_again_never_sees_the_old_mail(server: Server):
    server.add_user("frida@example1.com")
    server.deliver("of the first frida", "frida@example1.com")
    server.arrives("of the first frida", "frida@example1.com")
    server.mailhooks("user", "remove", "frida@example1.com")
    server.add_user("frida@example1.com")
    assert server.subjects("frida@example1.com") == []
