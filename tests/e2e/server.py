"""One whole mail server for a scenario, started by ``mailhooks up`` in a directory of its own on loopback ports."""

from __future__ import annotations

import contextlib
import email.message
import imaplib
import json
import os
import shutil
import signal
import smtplib
import socket
import sqlite3
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from machine import Machine

START_SECONDS = 90  # a noisy machine compiles SpamAssassin's rules slowly
MAIL_SECONDS = 90  # from acceptance to the mailbox, through the spam filter
DRAIN_SECONDS = 120
POLL_SECONDS = 0.1
SERVICES = ("smtp", "submission", "submissions", "imap", "imaps", "pop3", "pop3s", "sieve", "reinject", "spamd")

Q = "secret-Q7"  # the password of every user made here


def until(what: str, probe: Callable[[], Any], seconds: float = MAIL_SECONDS) -> Any:
    """Ask ``probe`` until it answers something true; fail after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        if answer := probe():
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain: {what}")
        time.sleep(POLL_SECONDS)


def free_ports(count: int) -> list[int]:
    """Return loopback ports that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def trusting() -> ssl.SSLContext:
    """Return a client's TLS context that takes the self-signed certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def message(subject: str, *, sender: str = "", to: str = "", body: str = "Hello.") -> email.message.EmailMessage:
    """Make a small mail."""
    mail = email.message.EmailMessage()
    mail["Subject"] = subject
    mail["From"] = sender or "joe@sender.test"
    mail["To"] = to or "undisclosed-recipients:;"
    mail.set_content(body)
    return mail


def header(text: bytes, name: str) -> str:
    """Return one header of a raw mail, unfolded."""
    return " ".join(str(email.message_from_bytes(text).get(name, "")).split())


@dataclass
class Server:
    """A mail server in a private directory; ``with Server(machine) as server`` starts and removes it."""

    machine: Machine
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)  # more lines for mailhooks.toml
    pop3: bool = False
    environment: dict[str, str] = field(default_factory=dict)  # beyond our own, as a container gives it

    def __post_init__(self) -> None:
        base = self.machine.root / "var/tmp"
        self.host_root = Path(tempfile.mkdtemp(prefix="mailhooks-", dir=base))
        self.host_root.chmod(0o755)  # the daemons' users must be able to pass
        self.root = self.machine.root_of(self)  # as the daemons name it
        self.port = dict(zip((*SERVICES, "http"), free_ports(len(SERVICES) + 1), strict=True))
        self.process: subprocess.Popen[bytes] | None = None
        self.log_path = self.host_root / "up.log"
        self._write_configuration()

    # --- life -------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        finally:
            self.machine.remove(self)
            shutil.rmtree(self.host_root, ignore_errors=True)

    def start(self) -> None:
        """Start ``mailhooks up`` and wait until it can take mail and logins."""
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                self.machine.up(self),
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env={**os.environ, **self.environment},
            )
        try:
            until("the server is ready", self._ready, START_SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log[-8000:]}") from error

    def stop(self) -> int:
        """End ``mailhooks up`` as an admin would; return its exit code."""
        if self.process is None:
            return 0
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(40)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)
            raise AssertionError(f"up did not stop within 40 s\n{self.log[-4000:]}") from None
        finally:
            self.process = None
        return code

    def _ready(self) -> bool:
        assert self.process is not None
        code = self.process.poll()
        assert code is None, f"up ended with {code}\n{self.log[-8000:]}"
        switched_off = {name for name, port in self.settings.get("server.ports", {}).items() if not port}
        return all(
            self._greets(name) for name in ("smtp", "submission", "imap", "sieve", "spamd") if name not in switched_off
        )

    def _greets(self, service: str) -> bool:
        if service == "spamd":
            return self.run("spamc", "-K", "-p", str(self.machine.port(self, "spamd"))).returncode == 0
        try:
            with socket.create_connection(("127.0.0.1", self.port[service]), 5) as connection:
                return bool(connection.recv(1))
        except OSError:
            return False

    # --- files and programs -----------------------------------------------------------------------------------

    @property
    def config(self) -> Path:
        """mailhooks.toml, as the daemons name it."""
        return self.root / "etc/mailhooks/mailhooks.toml"

    @property
    def services(self) -> tuple[str, ...]:
        """What is not switched off by default."""
        return tuple(name for name in SERVICES if self.pop3 or "pop3" not in name)

    @property
    def store(self) -> Path:
        """The store's file, as the tests reach it."""
        return self.host_root / "var/lib/mailhooks/mailhooks.db"

    @property
    def log(self) -> str:
        """Everything that the server and its daemons wrote."""
        return self.log_path.read_text(errors="replace")

    def host(self, path: str) -> Path:
        """Where a file of the server lies for the tests."""
        return self.host_root / path

    def _write_configuration(self) -> None:
        tables = self.machine.tables(self)
        tables["server"].setdefault("hostname", "mail.example1.com")
        for name, values in self.settings.items():
            tables.setdefault(name, {}).update(values)
        path = self.host("etc/mailhooks/mailhooks.toml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            "\n".join(
                f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
                for name, values in tables.items()
            )
        )

    def mailhooks(self, *arguments: str, given: str | None = None, code: int = 0) -> str:
        """Run the command line as the admin; return what it printed to stdout."""
        done = subprocess.run(
            self.machine.inside(self, *self.machine.program, "--config", str(self.config), *arguments),
            input=given,
            text=True,
            capture_output=True,
            timeout=120,
            check=False,
            env={**os.environ, **self.environment},
        )
        assert done.returncode == code, f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def add_user(self, address: str, *options: str, password: str = Q) -> None:
        """Make an account with a password."""
        self.mailhooks("user", "add", address, "--password-stdin", *options, given=password + "\n")

    def furnish(self) -> None:
        """Make the example of the old manual: two domains, users, an alias, a list of three, a catch-all."""
        for domain in ("example1.com", "example2.com"):
            self.mailhooks("domain", "add", domain)
        for address in ("adam", "bob", "carol"):
            self.add_user(f"{address}@example1.com")
        for address in ("adam", "bob"):
            self.add_user(f"{address}@example2.com")
        self.mailhooks("alias", "add", "office@example1.com", "adam@example1.com")
        self.mailhooks(
            "alias", "add", "team@example1.com", *(f"{each}@example1.com" for each in ("adam", "bob", "carol"))
        )
        self.mailhooks("alias", "add", "@example2.com", "bob@example2.com")

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a program beside the daemons to its end, at most a minute."""
        return subprocess.run(
            self.machine.inside(self, *arguments), text=True, capture_output=True, timeout=60, check=False
        )

    def doveadm(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the stock doveadm against this server's Dovecot."""
        return self.run("doveadm", "-c", f"{self.root}/run/mailhooks-stack/dovecot/dovecot.conf", *arguments)

    def postqueue(self) -> list[dict[str, Any]]:
        """Return the messages waiting in Postfix's queue."""
        done = self.run("postqueue", "-c", f"{self.root}/run/mailhooks-stack/postfix", "-j")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def flush(self) -> None:
        """Let Postfix try again at once what it deferred."""
        self.run("postqueue", "-c", f"{self.root}/run/mailhooks-stack/postfix", "-f")

    def drain(self) -> None:
        """Wait until everything has left the queue, however often it was deferred."""
        until("the queue is empty", lambda: not self.postqueue() or self.flush(), DRAIN_SECONDS)

    @contextlib.contextmanager
    def locked_store(self) -> Iterator[None]:
        """Hold the store's write lock, as a stuck process would."""
        connection = sqlite3.connect(self.store, isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")
            connection.close()

    @property
    def supervisor(self) -> int:
        """The process of ``mailhooks up``."""
        return self.machine.supervisor(self)

    def pids(self, pattern: str) -> list[int]:
        """Return the processes of this server (below ``up``) whose command line holds ``pattern``."""
        top = self.supervisor
        found, waiting = [], [top]
        while waiting:
            pid = waiting.pop()
            with contextlib.suppress(OSError):
                waiting += [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
                line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if pattern in line and pid != top:
                    found.append(pid)
        return found

    # --- clients ----------------------------------------------------------------------------------------------

    def smtp(self, service: str = "smtp") -> smtplib.SMTP:
        """Connect as another mail server (smtp) or as a mail program (submission, submissions)."""
        kind = smtplib.SMTP_SSL if service == "submissions" else smtplib.SMTP
        options = {"context": trusting()} if service == "submissions" else {}
        client = kind("127.0.0.1", self.port[service], local_hostname="client.test", timeout=60, **options)
        try:
            client.ehlo()
            if service == "submission":
                client.starttls(context=trusting())
                client.ehlo()
        except BaseException:
            client.close()
            raise
        return client

    def submit(self, login: str, password: str = Q, service: str = "submission") -> smtplib.SMTP:
        """Connect as a mail program and log in."""
        client = self.smtp(service)
        try:
            client.login(login, password)
        except BaseException:
            client.close()
            raise
        return client

    def deliver(self, subject: str, *recipients: str, sender: str = "joe@sender.test", body: str = "Hello.") -> None:
        """Send a mail from outside; every recipient must be accepted."""
        with self.smtp() as client:
            refused = client.send_message(message(subject, body=body), sender, recipients)
            assert refused == {}

    def imap(self, login: str, password: str = Q) -> imaplib.IMAP4:
        """Log in over IMAP with TLS."""
        client = imaplib.IMAP4_SSL("127.0.0.1", self.port["imaps"], ssl_context=trusting(), timeout=60)
        try:
            client.login(login, password)
        except BaseException:
            client.shutdown()
            raise
        return client

    def mails(self, login: str, folder: str = "INBOX", password: str = Q) -> list[bytes]:
        """Return every mail in a folder; none when there is no such folder."""
        client = self.imap(login, password)
        try:
            if client.select(folder, readonly=True)[0] != "OK":
                return []
            ids = client.search(None, "ALL")[1][0].split()
            return [client.fetch(each.decode(), "(BODY.PEEK[])")[1][0][1] for each in ids]
        finally:
            client.logout()

    def subjects(self, login: str, folder: str = "INBOX") -> list[str]:
        """Return the subjects in a folder, sorted."""
        return sorted(header(mail, "Subject") for mail in self.mails(login, folder))

    def arrives(self, subject: str, login: str, folder: str = "INBOX") -> bytes:
        """Wait until a mail is in a folder and return it."""

        def find() -> bytes | None:
            return next((mail for mail in self.mails(login, folder) if header(mail, "Subject") == subject), None)

        found: bytes = until(f"{subject!r} arrives in {folder} of {login}", find)
        return found
