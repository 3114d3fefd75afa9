"""Addresses beyond ASCII: what is accepted on port 25 arrives, and what could not arrive is not accepted."""

from __future__ import annotations

import pytest
from server import Server

ADAM, JOERG = "adam@xn--bcher-kva.example", "jörg@xn--bcher-kva.example"


@pytest.fixture(scope="module")
def server(machine):
    with Server(machine) as running:
        running.mailhooks("domain", "add", "bücher.example")
        running.add_user("adam@bücher.example")
        running.mailhooks("alias", "add", "jörg@bücher.example", "adam@bücher.example")
        yield running


def test_mail_to_an_alias_beyond_ascii_was_bounced(server: Server):
    """The filter asked for SMTPUTF8 on its behalf, which Dovecot's LMTP does not offer."""
    with server.smtp() as client:
        assert client.mail("joe@sender.test")[0] == 250
        client.send(b"RCPT TO:<" + JOERG.encode() + b">\r\n")
        assert client.getreply()[0] == 250
        assert client.data(b"Subject: to a name\r\n\r\nHello.\r\n")[0] == 250
    server.arrives("to a name", ADAM)


def test_what_dovecot_does_not_take_is_not_offered_outside(server: Server):
    with server.smtp() as client:
        assert not client.has_extn("smtputf8")
    with server.submit(ADAM) as client:
        assert client.has_extn("smtputf8")  # other servers may take it
    assert "status=bounced" not in server.log
