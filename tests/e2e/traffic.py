"""Senders and readers at work while something happens to a server."""

from __future__ import annotations

import smtplib
import threading
from collections import Counter
from typing import Self

from server import Server, message, until

CLIENTS = 4


class Traffic:
    """Senders and readers at work until stopped; what they heard is counted."""

    def __init__(self, server: Server) -> None:
        self.server, self.heard, self.accepted = server, Counter(), []
        self.done = threading.Event()
        self.threads = [threading.Thread(target=self._send, args=(number,)) for number in range(CLIENTS)]
        self.threads += [threading.Thread(target=self._login)]

    def __enter__(self) -> Self:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        for thread in self.threads:
            thread.join(90)
            assert not thread.is_alive()

    def goes_on(self, more: int) -> None:
        """Wait until that many more mails were accepted."""
        wanted = len(self.accepted) + more
        until("traffic goes on", lambda: len(self.accepted) >= wanted, 90)

    def _send(self, client_number: int) -> None:
        number = 0
        while not self.done.is_set():
            number += 1
            subject = f"{client_number}-{number}"
            try:
                with self.server.smtp() as client:
                    client.mail("joe@sender.test")
                    self.heard["unknown", client.rcpt("nobody@example1.com")[0]] += 1
                    code = client.rcpt("adam@example1.com")[0]
                    self.heard["known", code] += 1
                    if code == 250 and client.data(message(subject).as_bytes())[0] == 250:
                        self.accepted.append(subject)
            except (smtplib.SMTPException, OSError) as error:
                self.heard["smtp", type(error).__name__] += 1

    def _login(self) -> None:
        while not self.done.is_set():
            try:
                self.server.submit("adam@example1.com").quit()
                self.heard["login", 235] += 1
            except smtplib.SMTPAuthenticationError as refused:
                self.heard["login", refused.smtp_code] += 1
            except (smtplib.SMTPException, OSError) as error:
                self.heard["login", type(error).__name__] += 1


def everything_arrives(server: Server, subjects: list[str]) -> None:
    server.drain()
    assert Counter(server.subjects("adam@example1.com")) & Counter(subjects) == Counter(subjects)
    assert "status=bounced" not in server.log
