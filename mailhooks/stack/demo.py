"""``make run``: a whole mail server with an example, on loopback ports, in the foreground until Ctrl-C.

    python -m mailhooks.stack.demo [--once] [--directory DIRECTORY]

The first start makes two domains with users, a list, an alias and a catch-all; a later one goes on with what is there.
Each start sends a mail by authenticated submission and reads it over IMAP. ``--once`` does that, checks also the list,
the alias, the catch-all and the folder, and ends: exit code 0 when every step was right.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mailhooks.stack.democlient import DemoError, Mailbox, Submission

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

DIRECTORY = Path("/var/lib/mailhooks-demo")  # root's, and every daemon's user can pass
HOSTNAME = "mail.example1.com"
USERS = ("adam@example1.com", "bob@example1.com", "adam@example2.com", "bob@example2.com")
LIST, ALIAS, CATCH_ALL = "team@example1.com", "office@example1.com", "@example2.com"

# Asked for in this order from each base, so that a second demo on the machine finds ports too.
SERVICES = ("smtp", "submission", "submissions", "imap", "imaps", "sieve", "reinject", "spamd", "http")
FIRST_BASE, LAST_BASE, STEP = 42500, 60000, 100

START_SECONDS = 120  # spamd compiles its rules on a slow machine
MAIL_SECONDS = 60
STOP_SECONDS = 30
POLL_SECONDS = 0.3


def main(arguments: list[str] | None = None) -> int:
    """Run the demo and return its exit code."""
    options = _options(arguments)
    if os.geteuid() != 0:
        print("demo: Postfix and Dovecot need root; run this as root, or: sudo make run")
        return 1
    directory: Path = options.directory
    demo = Demo(directory)
    try:
        with demo.running():
            demo.furnish()
            demo.show_a_mail()
            if options.once:
                demo.check_the_rest()
                print("demo: every step was right")
                return 0
            demo.explain()
            return demo.wait()
    except DemoError as error:
        print(f"demo: {error}")
        return 1
    except KeyboardInterrupt:
        return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make run", description="A whole mail server with an example.")
    parser.add_argument("--once", action="store_true", help="check each step, then end")
    parser.add_argument("--directory", type=Path, default=DIRECTORY, help=f"where it lives (default {DIRECTORY})")
    return parser.parse_args(arguments)


class Demo:
    """One demo server in its directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()
        self.config = self.directory / "mailhooks.toml"
        self.ports = self._ports()
        self.process: subprocess.Popen[bytes] | None = None

    # --- life ---------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Run ``mailhooks up`` as long as the block lasts; its log goes to our own standard output."""
        self._configure()
        say(f"the server lives in {self.directory}; its log follows")
        command = [*self._program(), "up"]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
        previous = signal.signal(signal.SIGTERM, _interrupt)
        try:
            self._await_ready()
            yield
        finally:
            signal.signal(signal.SIGTERM, previous)
            self._stop()

    def wait(self) -> int:
        """Stay until the server ends or Ctrl-C."""
        assert self.process is not None  # noqa: S101 - for the type checker
        return self.process.wait()

    def _stop(self) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise DemoError(f"the server did not end within {STOP_SECONDS} s") from None
        if code:
            raise DemoError(f"the server ended with exit code {code}")

    def _await_ready(self) -> None:
        """Wait for Postfix, which ``up`` starts last."""
        self._until("submission answers", self._submission_answers, START_SECONDS)

    def _submission_answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.ports["submission"]), 2) as connection:
                connection.recv(1000)
                connection.sendall(b"QUIT\r\n")
                return bool(connection.recv(1000))
        except OSError:
            return False

    def _until(self, what: str, probe: Callable[[], Any], seconds: float) -> Any:
        deadline = time.monotonic() + seconds
        while True:
            if self.process is not None and self.process.poll() is not None:
                raise DemoError(f"the server ended with exit code {self.process.returncode}")
            if answer := probe():
                return answer
            if time.monotonic() > deadline:
                raise DemoError(f"waited {seconds:g} s in vain: {what}")
            time.sleep(POLL_SECONDS)

    # --- configuration and accounts -----------------------------------------------------------------------------

    def _configure(self) -> None:
        self.directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        ports = {name: port for name, port in self.ports.items() if name != "http"}
        tables: dict[str, Mapping[str, object]] = {
            "server": {
                "root": str(self.directory),
                "interface": "127.0.0.1",
                "hostname": HOSTNAME,
                "spam_update": False,
            },
            "server.ports": ports,
            "listen": {"http": [f"tcp:{self.ports['http']}:interface=127.0.0.1"]},
        }
        lines = ["# Written by the demo, once; yours to change."]
        for name, values in tables.items():
            lines += ["", f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
        if not self.config.exists():
            self.config.write_text("\n".join(lines) + "\n")

    def _ports(self) -> dict[str, int]:
        """Return the ports of the last start, or free ones."""
        if self.config.exists():
            written = tomllib.loads(self.config.read_text())
            http = int(written["listen"]["http"][0].split(":")[1])
            return {**written["server"]["ports"], "http": http}
        for base in range(FIRST_BASE, LAST_BASE, STEP):
            ports = {service: base + offset for offset, service in enumerate(SERVICES)}
            if all(map(_is_free, ports.values())):
                return ports
        raise DemoError("no free loopback ports for the demo")

    def furnish(self) -> None:
        """Make the example where it is not there yet."""
        if "example1.com" in self.mailhooks("domain", "list"):
            say("goes on with the accounts and mails of the last start")
            return
        for domain in ("example1.com", "example2.com"):
            self.mailhooks("domain", "add", domain)
        say("users, with passwords that are shown only now:")
        for address in USERS:
            print(f"    {address:20} {self.mailhooks('user', 'add', address, '--generate').strip()}", flush=True)
        self.mailhooks("alias", "add", LIST, "adam@example1.com", "bob@example1.com")
        self.mailhooks("alias", "add", ALIAS, "adam@example1.com")
        self.mailhooks("alias", "add", CATCH_ALL, "bob@example2.com")
        say(f"{LIST} is a mailing list, {ALIAS} an alias, {CATCH_ALL} a catch-all")

    def mailhooks(self, *arguments: str) -> str:
        """Run the command line; return what it printed."""
        done = subprocess.run([*self._program(), *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            raise DemoError(f"mailhooks {' '.join(arguments[:2])}: {done.stderr.strip()}")
        return done.stdout

    @property
    def _command(self) -> str:
        """The program as it is installed: not the checkout, which the daemons' users may not be able to read."""
        return str(Path(sys.executable).with_name("mailhooks"))

    def _program(self) -> list[str]:
        return [self._command, "--config", str(self.config)]

    # --- mail ---------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _password(self, address: str) -> Iterator[str]:
        """Make a password for a moment: those of the users were shown once, and are stored nowhere."""
        label = f"demo-{os.getpid()}"
        password = self.mailhooks("app-password", "add", address, "--label", label, "--expires", "1h").strip()
        try:
            yield password
        finally:
            self.mailhooks("app-password", "revoke", address, "--label", label)

    def show_a_mail(self) -> None:
        """Send a mail as adam to bob, and read it as bob."""
        text = self._send("bob@example1.com", "bob@example1.com")
        print("".join(f"    {line}\n" for line in text.splitlines()), end="", flush=True)

    def check_the_rest(self) -> None:
        """Send to the list, the alias, the catch-all and a folder, and see each arrive."""
        self._send(LIST, "adam@example1.com")
        self._send(LIST, "bob@example1.com")
        self._send(ALIAS, "adam@example1.com")
        self._send("anybody@example2.com", "bob@example2.com")
        self._send("adam@example2.com", "adam@example2.com")
        with self._password("adam@example1.com") as password:
            Mailbox(self.ports["imap"], "adam@example1.com", password).make("Work")
        self._send("Adam+wORK@EXAMPLE1.COM", "adam@example1.com", folder="Work")

    def _send(self, recipient: str, reader: str, folder: str = "INBOX") -> str:
        subject = f"Hello {recipient}, it is {time.time():.3f}"
        sender = "adam@example1.com"
        with self._password(sender) as password:
            Submission(self.ports["submission"]).send(sender, password, recipient, subject)
        say(f"{sender} sent a mail to {recipient} by submission with TLS and AUTH")
        with self._password(reader) as password:
            mailbox = Mailbox(self.ports["imap"], reader, password)
            found: str = self._until("the mail arrives", lambda: mailbox.find(subject, folder), MAIL_SECONDS)
        say(f"{reader} reads it over IMAP in {folder}")
        return found

    def explain(self) -> None:
        """Print lines to try."""
        ports, program = self.ports, f"{self._command} --config {self.config}"
        print(
            f"""
demo: try, in another terminal (as root for mailhooks):

    openssl s_client -quiet -crlf -starttls smtp -connect 127.0.0.1:{ports["submission"]}
    openssl s_client -quiet -crlf -connect 127.0.0.1:{ports["imaps"]}
    swaks --server 127.0.0.1:{ports["smtp"]} --from joe@sender.test --to {LIST}
    swaks --server 127.0.0.1:{ports["submission"]} --tls --auth-user {USERS[1]} --from {USERS[1]} --to {ALIAS}
    {program} user list
    {program} user add carol@example1.com --generate
    {program} explain rcpt anybody@example2.com
    {program} lookup virtual_alias_maps {LIST}
    curl http://127.0.0.1:{ports["http"]}/metrics

demo: Ctrl-C ends it; the next start goes on with the same accounts and mails
""",
            flush=True,
        )


def say(text: str) -> None:
    """Write one line of ours between those of the server."""
    print(f"demo: {text}", flush=True)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


if __name__ == "__main__":
    sys.exit(main())
