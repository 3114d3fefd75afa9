"""Scenario 62: a container that is told everything by its environment takes 1,000 mails from 20 clients at once."""

from __future__ import annotations

import contextlib
import os
import re
import smtplib
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from server import Q, Server, message, trusting, until

MACHINES = ("container",)

ADAM, READERS = "adam@example1.com", ("adam@example1.com", "bob@example1.com", "carol@example1.com")
SECRET, RELAY_SECRET = "from a file", "relay-s3cret"
LIMIT = 2_000_000

CLIENTS, MAILS = 20, 1000
MAILS_OF_A_SESSION = 5
SIZES = (300, 1_000, 10_000, 3_000, 600_000)  # the last is more than what is scanned
GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
REPLIES = {"unknown": 550, "too large": 552}
SEND_SECONDS = 300
SCAN_SECONDS = 600


@pytest.fixture(scope="module")
def server(machine) -> Iterator[Server]:
    running = Server(machine)
    secrets = running.host("run/secrets")
    secrets.mkdir(parents=True, mode=0o700)
    for name, value in (("admin", SECRET), ("relay", RELAY_SECRET), ("token", "t0ken")):
        (secrets / name).write_text(value + "\n")
        (secrets / name).chmod(0o400)
    running.environment = {
        "MAIL_HOSTNAME": "mx.example.net",
        "MAIL_DOMAIN": "example1.com",
        "MAIL_ADMIN": ADAM,
        "MAIL_ADMIN_PASSWORD_FILE": "/run/secrets/admin",
        "RELAY_HOST": "[smtp.example.net]:587",
        "RELAY_USERNAME": "apikey",
        "RELAY_PASSWORD_FILE": "/run/secrets/relay",
        "MESSAGE_SIZE_LIMIT": str(LIMIT),
        "MAIL_PROTOCOLS": "smtp submission submissions imap imaps pop3s sieve",
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "info",
        "HTTP_TOKEN_FILE": "/run/secrets/token",
    }
    with running:
        for reader in READERS[1:]:
            running.add_user(reader)
        yield running


def test_the_environment_counts(server: Server):
    server.imap(ADAM, SECRET).logout()
    with server.smtp() as client:
        assert client.ehlo_resp is not None
        assert client.ehlo_resp.splitlines()[0] == b"mx.example.net"
        assert client.esmtp_features["size"] == str(LIMIT)
    relay = server.mailhooks("lookup", "smtp_sasl_password_maps", "[smtp.example.net]:587")
    assert relay.strip() == f"apikey:{RELAY_SECRET}"
    with (
        socket.create_connection(("127.0.0.1", server.port["pop3s"]), 60) as plain,
        trusting().wrap_socket(plain) as client,
    ):
        assert client.recv(3) == b"+OK"
    assert server.run("mailhooks", "ready").returncode == 0  # with the token
    assert any(line.startswith("{") for line in server.log.splitlines())
    assert not re.search(f"{SECRET}|{RELAY_SECRET}|t0ken", server.log)


@dataclass(frozen=True)
class Mail:
    """One of the thousand, and what is to become of it."""

    number: int

    @property
    def subject(self) -> str:
        return f"number {self.number}"

    @property
    def reader(self) -> str:
        return READERS[self.number % len(READERS)]

    @property
    def fate(self) -> str:
        if self.number % 100 == 50:
            return "too large"
        return {3: "unknown", 8: "unknown", 7: "Junk"}.get(self.number % 10, "INBOX")

    @property
    def recipient(self) -> str:
        return f"unknown{self.number}@example1.com" if self.fate == "unknown" else self.reader

    def data(self) -> bytes:
        size = LIMIT if self.fate == "too large" else SIZES[self.number % len(SIZES)]
        spam = GTUBE + "\n" if self.fate == "Junk" else ""
        return message(self.subject, to=self.reader, body=spam + "All work and no play.\n" * (size // 22)).as_bytes()


@dataclass
class Senders:
    """Twenty clients that share the mails among them; what each mail's sender heard last is kept."""

    server: Server
    replies: dict[Mail, int] = field(default_factory=dict)
    doubtful: list[Mail] = field(default_factory=list)  # the connection ended before the last reply

    def run(self) -> None:
        threads = [threading.Thread(target=self._send, args=(number,)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SEND_SECONDS)
            assert not thread.is_alive()

    def _send(self, client: int) -> None:
        waiting = [Mail(number) for number in range(client, MAILS, CLIENTS)]
        deadline = time.monotonic() + SEND_SECONDS
        while waiting and time.monotonic() < deadline:
            with contextlib.suppress(smtplib.SMTPException, OSError), self.server.smtp() as session:
                for mail in waiting[:MAILS_OF_A_SESSION]:
                    self.replies[mail] = self._offer(session, mail)
            # What was not settled is tried again, as a mail server does.
            waiting = [mail for mail in waiting if not is_settled(self.replies.get(mail, 0))]

    def _offer(self, session: smtplib.SMTP, mail: Mail) -> int:
        data = mail.data()
        session.rset()
        for ask in (
            lambda: session.mail("joe@sender.test", [f"size={len(data)}"]),
            lambda: session.rcpt(mail.recipient),
        ):
            code = ask()[0]
            if code != 250:
                return code
        try:
            return session.data(data)[0]
        except smtplib.SMTPServerDisconnected:
            self.doubtful.append(mail)
            raise


def is_settled(reply: int) -> bool:
    return reply == 250 or reply >= 500


def queued(server: Server) -> bool:
    """Tell whether Postfix has any mail, by its files: asking it for minutes would slow it down."""
    queue = server.host("var/spool/postfix")
    return any(files for name in ("maildrop", "incoming", "active", "deferred") for *_, files in os.walk(queue / name))


def received(server: Server, reader: str, folder: str) -> Counter[str]:
    """Return the subjects in a folder, without the bodies."""
    client = server.imap(reader, SECRET if reader == ADAM else Q)
    try:
        if client.select(folder, readonly=True)[0] != "OK":
            return Counter()
        headers = client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]
        return Counter(
            part[1].decode().strip().removeprefix("Subject: ") for part in headers if isinstance(part, tuple)
        )
    finally:
        client.logout()


def test_a_thousand_mails_are_all_accounted_for(server: Server):
    senders = Senders(server)
    senders.run()
    assert senders.doubtful == []
    heard = Counter((mail.fate, reply) for mail, reply in senders.replies.items())
    assert heard == Counter((mail.fate, REPLIES.get(mail.fate, 250)) for mail in map(Mail, range(MAILS)))

    until("everything is scanned and delivered", lambda: not queued(server), SCAN_SECONDS)
    for folder in ("INBOX", "Junk"):
        for reader in READERS:
            wanted = Counter(mail.subject for mail in senders.replies if (mail.fate, mail.reader) == (folder, reader))
            assert received(server, reader, folder) == wanted
    assert "status=bounced" not in server.log
