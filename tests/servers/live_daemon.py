"""``mailhooks serve`` as a process of its own, over a directory of a test."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from mailhooks import passwords
from mailhooks.hooks import HOOKS
from mailhooks.store import open_store
from mailhooks.wire import socketmap

ROOT = Path(__file__).parent.parent.parent
LIMIT = 20  # seconds for anything that takes milliseconds on an idle machine
ADAM = socketmap.request("virtual_mailbox_maps", "adam@example1.com")
FOUND = socketmap.ok("adam@example1.com")


class Daemon:
    """One ``mailhooks serve`` over a directory."""

    def __init__(self, directory, **changes):
        self.directory = directory
        self.process = None
        self.config = directory / "mailhooks.toml"
        self.sockets = {hook: directory / hook for hook in HOOKS if hook not in ("http", "tcp_table")}
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.listen = {hook: f"unix:{path}:mode=0600" for hook, path in self.sockets.items()}
        self.listen |= {"http": f"tcp:{self.port}:interface=127.0.0.1"} | changes
        self.write()

    def write(self, more=""):
        listen = "".join(f"{hook} = {[text] if text else []}\n" for hook, text in self.listen.items())
        self.config.write_text(
            f"[store]\nurl = 'sqlite:///{self.directory}/mailhooks.db'\nkey_file = '{self.directory}/key'\n"
            f"[spam]\npreferences = '{self.directory}/spam/preferences.db'\n[auth]\nfailure_delay = 0\n"
            f"[listen]\n{listen}{more}"
        )

    def fill(self):
        """Make the store with adam in it."""
        url = f"sqlite:///{self.directory}/mailhooks.db"
        store = open_store(url, key_file=self.directory / "key", create=True)
        with store.change("test") as change:
            change.add_domain("example1.com")
            change.add_mailbox("adam@example1.com", password=passwords.hash_password("right"))
        store.close()  # a handle left open would count as a user of the file

    def change(self, work):
        store = open_store(f"sqlite:///{self.directory}/mailhooks.db")
        with store.change("test") as change:
            work(change)
        store.close()

    def start(self, *arguments, ready=True):
        told = self.directory / "notify"
        told.unlink(missing_ok=True)
        self.told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.told.bind(str(told))
        self.told.settimeout(LIMIT)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mailhooks", "--config", str(self.config), "serve", *arguments],
            cwd=ROOT,
            env=os.environ | {"NOTIFY_SOCKET": str(told)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if ready:
            while self.told.recv(1000) != b"READY=1":  # a neighbour that was started before may tell its status here
                pass
        return self

    def fails(self, *arguments):
        """Start, and return the exit code and what is said when that ends at once."""
        self.start(*arguments, ready=False)
        said, _ = self.process.communicate(timeout=LIMIT)
        return self.process.returncode, said

    def connect(self, hook):
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(LIMIT)
        client.connect(str(self.sockets[hook]))
        return client

    def ask(self, request=ADAM):
        with self.connect("socketmap") as client:
            client.sendall(request)
            return client.recv(1000)

    def asks_until(self, expected):
        """Ask until the answer is that: a change is seen within moments."""
        end = time.monotonic() + LIMIT
        while (heard := self.ask()) != expected:
            assert time.monotonic() < end, heard

    def get(self, path, token=None):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=LIMIT) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def hears(self, state):
        """Read what it tells the service manager until it is that."""
        while self.told.recv(1000) != state:
            pass

    def says(self, text):
        """Read the log until a line holds that."""
        for line in self.process.stdout:
            if text in line:
                return line
        raise AssertionError(f"the log ended without {text!r}")

    def end(self):
        """Send SIGTERM; return the exit code, the seconds it took and the rest of the log."""
        begun = time.monotonic()
        self.process.terminate()
        said, _ = self.process.communicate(timeout=LIMIT)
        return self.process.returncode, time.monotonic() - begun, said

    def close(self):
        if self.process is not None:
            if self.process.poll() is None:
                self.process.kill()
            self.process.communicate()
            self.told.close()
