"""Where the stock daemons run: this machine, the root of the other Debian generation below it, or a container."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from server import Server

# Where `make test` puts it (scripts/debian13-root).
DEBIAN13 = Path(os.environ.get("MAILHOOKS_DEBIAN13", "/var/cache/mailhooks-debian13"))

# A mount namespace of its own, so that nothing stays mounted whatever happens to the program.
ENTER = 'mount --rbind /proc "$0/proc" && mount --rbind /dev "$0/dev" && exec chroot "$0" "$@"'


@dataclass(frozen=True)
class Machine:
    """A root directory with Postfix, Dovecot and SpamAssassin in it, and the mailhooks program that fits."""

    name: str
    program: tuple[str, ...]  # how mailhooks is called there
    root: Path = Path("/")

    def command(self, *arguments: str) -> list[str]:
        """What to execute so that ``arguments`` run there."""
        if self.root == Path("/"):
            return list(arguments)
        return ["unshare", "--mount", "sh", "-c", ENTER, str(self.root), *arguments]

    def run(self, *arguments: str, **options) -> subprocess.CompletedProcess[str]:
        """Run one program to its end, at most a minute."""
        return subprocess.run(
            self.command(*arguments), text=True, capture_output=True, timeout=60, check=False, **options
        )

    def missing(self) -> list[str]:
        """Return what the scenarios need and is not installed there."""
        programs = ("postfix", "dovecot", "doveadm", "spamd", "spamc", "sievec")
        directories = ("usr/sbin", "usr/bin", "sbin", "bin")
        path = os.pathsep.join(str(self.root / each) for each in directories)
        absent = [program for program in programs if not shutil.which(program, path=path)]
        ours = self.root / self.program[0].lstrip("/")
        return absent if ours.exists() else [*absent, str(ours)]

    # --- one server there -------------------------------------------------------------------------------------

    # How a server here reaches the loopback ports of the machine on which the tests run.
    loopback = "127.0.0.1"

    def root_of(self, server: Server) -> Path:
        """What the daemons call the server's directory."""
        return Path("/") / server.host_root.relative_to(self.root)

    def tables(self, server: Server) -> dict[str, dict[str, Any]]:
        """What mailhooks.toml says so that the server shares nothing with another one."""
        return {
            "store": {"url": f"sqlite:///{server.root}/var/lib/mailhooks/mailhooks.db"},
            "listen": {"http": [f"tcp:{server.port['http']}:interface=127.0.0.1"]},
            "server": {"root": str(server.root), "interface": "127.0.0.1", "spam_update": False},
            "server.ports": {name: self.port(server, name) for name in server.services},
        }

    def port(self, server: Server, service: str) -> int:
        """Where the service listens, as a program beside it says."""
        return server.port[service]

    def up(self, server: Server) -> list[str]:
        """The command that starts the server and ends with it."""
        return self.inside(server, *self.program, "--config", str(server.config), "up")

    def inside(self, _server: Server, *arguments: str) -> list[str]:
        """What to execute so that ``arguments`` run beside the daemons of this server."""
        return self.command(*arguments)

    def supervisor(self, server: Server) -> int:
        """Return the process of ``mailhooks up``."""
        assert server.process is not None
        return server.process.pid

    def remove(self, server: Server) -> None:
        """Remove what the server left outside its directory."""


def machines() -> dict[str, Machine]:
    """Return this machine, with the mailhooks beside this Python, and the Debian 13 root."""
    return {
        "here": Machine("here", (str(Path(sys.executable).with_name("mailhooks")),)),
        "debian13": Machine("debian13", ("/opt/mailhooks/bin/mailhooks",), DEBIAN13),
    }
