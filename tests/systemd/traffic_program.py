"""Runs on the machine under test: senders, submitters and readers at work while something is done to the daemon.

Arguments: the password of adam@example.com, what is done, and how often. Prints what was heard, counted, as JSON. Each
of the clients must get on before it is done again.
"""

from __future__ import annotations

import imaplib
import json
import smtplib
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from email.message import EmailMessage

ADAM = "adam@example.com"
LIMIT = 120  # seconds for every client to get on
TIMEOUT = 100  # seconds for one answer: Postfix waits that long for a lookup
CLIENTS = 2  # of each kind

password, command, times = sys.argv[1], sys.argv[2], int(sys.argv[3])
heard: Counter[str] = Counter()
accepted: list[str] = []
done = threading.Event()
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE


def said(reply: tuple[int, bytes], expected: int) -> str:
    """The code, and the words of what is not expected."""
    return str(expected) if reply[0] == expected else f"{reply[0]} {reply[1].decode()}"


def send(name: str, number: int) -> None:
    with smtplib.SMTP("127.0.0.1", 25, timeout=TIMEOUT) as client:
        client.ehlo("sender.test")
        client.mail("joe@sender.test")
        heard[f"unknown {said(client.rcpt('nobody@example.com'), 550)}"] += 1
        code, _ = reply = client.rcpt(ADAM)
        heard[f"known {said(reply, 250)}"] += 1
        if code == 250 and number % 50 == 1:
            message = EmailMessage()
            message["From"], message["To"], message["Subject"] = "joe@sender.test", ADAM, f"traffic {name}-{number}"
            message.set_content("hello\n")
            if client.data(message.as_bytes())[0] == 250:
                accepted.append(message["Subject"])


def submit(_name: str, _number: int) -> None:
    with smtplib.SMTP("127.0.0.1", 587, timeout=TIMEOUT) as client:
        client.starttls(context=context)
        try:
            heard[f"submission {client.login(ADAM, password)[0]}"] += 1
        except smtplib.SMTPAuthenticationError as refused:
            heard[f"submission {refused.smtp_code}"] += 1


def read(_name: str, _number: int) -> None:
    with imaplib.IMAP4_SSL("127.0.0.1", 993, ssl_context=context, timeout=TIMEOUT) as client:
        try:
            client.login(ADAM, password)
            heard["imap OK"] += 1
        except imaplib.IMAP4.error as refused:
            heard[f"imap {refused}"] += 1


class Client(threading.Thread):
    """Goes on with one thing until all is done."""

    def __init__(self, work: Callable[[str, int], None], name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.work, self.number = work, 0

    def run(self) -> None:
        while not done.is_set():
            try:
                self.work(self.name, self.number)
            except (smtplib.SMTPException, imaplib.IMAP4.error, OSError) as error:
                heard[f"{self.work.__name__} {type(error).__name__} {error}"] += 1
                time.sleep(0.1)
            self.number += 1


clients = [Client(work, f"{work.__name__}{number}") for work in (send, submit, read) for number in range(CLIENTS)]
for client in clients:
    client.start()
for _ in range(times):
    before = [client.number for client in clients]
    subprocess.run(["sh", "-ec", command], check=True, timeout=LIMIT)
    deadline = time.monotonic() + LIMIT
    while any(client.number <= count for client, count in zip(clients, before, strict=True)):
        if time.monotonic() > deadline:
            sys.exit(f"somebody does not get on: {before} {[client.number for client in clients]} {heard}")
        time.sleep(0.02)
done.set()
for client in clients:
    client.join(LIMIT)
json.dump({"heard": heard, "accepted": accepted}, sys.stdout)
