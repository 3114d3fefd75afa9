"""mailhooks itself, as it is installed: a store made by its own import, the daemon by its own command."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

START_SECONDS = 30
MAILHOOKS = Path(sys.executable).with_name("mailhooks")


class Subject:
    """One ``mailhooks serve`` over a store of its own."""

    def __init__(
        self, directory: Path, *, pinned: bool = False, settings: dict[str, dict[str, object]] | None = None
    ) -> None:
        self.directory = directory
        directory.mkdir()
        self.pinned = pinned
        hooks = ("socketmap", "policy", "postfix_auth", "login", "auth_master", "auth_userdb", "dict")
        self.config = directory / "mailhooks.toml"
        self.config.write_text(
            f"[store]\nurl = 'sqlite:///{directory}/mailhooks.db'\nkey_file = '{directory}/key'\n"
            f"[spam]\npreferences = '{directory}/spam/preferences.db'\n[listen]\nhttp = []\n"
            + "".join(f"{hook} = ['unix:{self.socket(hook)}:mode=0600']\n" for hook in hooks)
            + "".join(
                f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
                for name, values in (settings or {}).items()
            )
        )
        self.process: subprocess.Popen[bytes] | None = None

    def socket(self, hook: str) -> Path:
        """Where a hook listens."""
        return self.directory / hook

    def mailhooks(self, *arguments: str) -> None:
        """Run the command line."""
        subprocess.run([MAILHOOKS, "--config", self.config, *arguments], check=True, stdout=subprocess.DEVNULL)

    def fill(self, users: Iterable[str], domains: Iterable[str], aliases: Iterable[str] = ()) -> float:
        """Import the flat files; return the seconds it took. ``users`` are lines of a passwd-file."""
        seed = self.directory / "seed"
        seed.mkdir()
        (seed / "users").write_text("".join(f"{line}\n" for line in users))
        (seed / "domains").write_text("".join(f"{name} .\n" for name in domains))
        (seed / "aliases").write_text("".join(f"{line}\n" for line in aliases))
        begin = time.perf_counter()
        self.mailhooks("import", "seed", str(seed))
        elapsed = time.perf_counter() - begin
        shutil.rmtree(seed)
        return elapsed

    def start(self, ask: bytes = b"22:virtual_mailbox_maps x,") -> float:
        """Start the daemon; return the seconds until its first answer."""
        command = [MAILHOOKS, "--config", self.config, "serve"]
        if self.pinned:
            command = ["taskset", "-c", "0", *command]
        log = (self.directory / "log").open("ab")
        begin = time.perf_counter()
        self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        log.close()
        while time.perf_counter() < begin + START_SECONDS:
            try:
                with socket.socket(socket.AF_UNIX) as connection:
                    connection.connect(str(self.socket("socketmap")))
                    connection.sendall(ask)
                    if connection.recv(100):
                        return time.perf_counter() - begin
            except OSError:
                time.sleep(0.002)
        raise TimeoutError((self.directory / "log").read_text()[-2000:])

    @property
    def pid(self) -> int:
        """The daemon's process."""
        assert self.process is not None
        return self.process.pid

    def stop(self) -> None:
        """End the daemon."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)
            self.process = None
