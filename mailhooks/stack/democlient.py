"""The two ends of the demo's mail: submission with STARTTLS and AUTH, and IMAP with STARTTLS."""

from __future__ import annotations

import contextlib
import email
import email.message
import email.policy
import email.utils
import imaplib
import smtplib
import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT = 30  # seconds for each answer


class DemoError(Exception):
    """A step of the demo went wrong; the text says which."""


class Submission:
    """A mail program that sends."""

    def __init__(self, port: int) -> None:
        self._port = port

    def send(self, login: str, password: str, recipient: str, subject: str) -> None:
        """Send one small mail. Raises DemoError."""
        mail = email.message.EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = login, recipient, subject
        mail["Date"] = email.utils.localtime()
        mail["Message-ID"] = email.utils.make_msgid(domain="example1.com")
        mail.set_content("This mail travelled through Postfix and Dovecot, which know you from mailhooks.\n")
        try:
            with smtplib.SMTP("127.0.0.1", self._port, local_hostname="localhost", timeout=TIMEOUT) as smtp:
                smtp.starttls(context=_context())
                smtp.login(login, password)
                smtp.send_message(mail)
        except (OSError, smtplib.SMTPException) as error:
            raise DemoError(f"submission by {login}: {error}") from error


class Mailbox:
    """A mail program that reads."""

    def __init__(self, port: int, login: str, password: str) -> None:
        self._port, self._login, self._password = port, login, password

    def find(self, subject: str, folder: str) -> str | None:
        """Return the mail with this subject, or None while it is not there. Raises DemoError."""
        with self._session() as imap:
            if imap.select(folder, readonly=True)[0] != "OK":
                return None
            for number in imap.search(None, "ALL")[1][0].split()[::-1]:
                raw = imap.fetch(number.decode(), "(BODY.PEEK[])")[1][0]
                text: bytes = raw[1] if isinstance(raw, tuple) else b""
                if email.message_from_bytes(text, policy=email.policy.default)["Subject"] == subject:
                    return text.decode(errors="replace")
        return None

    def make(self, folder: str) -> None:
        """Make a folder, if it is not there. Raises DemoError."""
        with self._session() as imap:
            imap.create(folder)

    @contextlib.contextmanager
    def _session(self) -> Iterator[imaplib.IMAP4]:
        try:
            with imaplib.IMAP4("127.0.0.1", self._port, timeout=TIMEOUT) as imap:
                imap.starttls(_context())
                imap.login(self._login, self._password)
                yield imap
        except (OSError, imaplib.IMAP4.error) as error:
            raise DemoError(f"IMAP for {self._login}: {error}") from error


def _context() -> ssl.SSLContext:
    """Take the self-signed certificate: this is loopback."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
