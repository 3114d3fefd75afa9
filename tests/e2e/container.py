"""The image as a machine: each server is a container of it, with its volumes in the server's directory.

The container listens on the ports that mail has, and is reached from outside, by ports published on loopback. What the
tests read and break in a server's directory lies in volumes and in /run; nothing else of the container is writable.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from machine import Machine

if TYPE_CHECKING:
    from server import Server

IMAGE = os.environ.get("MAILHOOKS_IMAGE", "localhost/mailhooks-test")  # `make test` builds it

# Podman where control groups are mounted in hybrid mode: crun fails, and limits cannot be raised.
PODMAN = ("podman", "--runtime", "runc")
LIMITS = ("--ulimit", "nofile=20000:20000", "--ulimit", "nproc=4096:4096")
NETWORK = ("--network", "slirp4netns:allow_host_loopback=true")

PORTS = {
    "smtp": 25,
    "submission": 587,
    "submissions": 465,
    "imap": 143,
    "imaps": 993,
    "pop3": 110,
    "pop3s": 995,
    "sieve": 4190,
}
SPAMD_PORT = 783  # on the container's own loopback
VOLUMES = ("var/lib/mailhooks", "var/mail", "var/spool/postfix", "run")
INSIDE = Path("/scenario")  # where the container sees the server's directory
COMPOSE = Path(__file__).parent.parent.parent / "docker/compose.yaml"


def hardening() -> list[str]:
    """Return the options of docker/compose.yaml that take rights from the container; what tests look at is a volume."""
    (mail,) = re.findall(r"^  mail:\n((?:    .*\n|\n)+)", COMPOSE.read_text(), re.MULTILINE)
    blocks = re.findall(r"^    (\w+):\n((?:      .*\n)+)", mail, re.MULTILINE)
    lists = {key: re.findall(r"- (\S+)", block) for key, block in blocks}
    assert "    read_only: true\n" in mail
    assert "    cap_drop: [ALL]\n" in mail
    tmpfs = [place for place in lists["tmpfs"] if place.partition(":")[0].lstrip("/") not in VOLUMES]
    return [
        *("--read-only", "--read-only-tmpfs=false", "--cap-drop", "ALL"),
        *(part for place in tmpfs for part in ("--tmpfs", place)),
        *(part for name in lists["cap_add"] for part in ("--cap-add", name)),
    ]


@dataclass(frozen=True)
class Image(Machine):
    """Containers of one image."""

    image: str = IMAGE
    loopback = "10.0.2.2"  # slirp4netns leads it to the loopback of the machine outside

    def command(self, *arguments: str) -> list[str]:
        """Run a program in a container of its own."""
        program, *rest = arguments
        options = ("--rm", "--network", "none", "--no-healthcheck", *LIMITS, "--entrypoint", program)
        return [*PODMAN, "run", *options, self.image, *rest]

    def missing(self) -> list[str]:
        """Return what is not there of podman and the image."""
        if not shutil.which("podman"):
            return ["podman"]
        exists = subprocess.run([*PODMAN, "image", "exists", self.image], check=False, timeout=60)
        return [f"the image {self.image}"] if exists.returncode else []

    def root_of(self, _server: Server) -> Path:
        """Return the mount point of the server's directory."""
        return INSIDE

    def tables(self, server: Server) -> dict[str, dict[str, Any]]:
        """Leave everything as the image has it; POP3 is off by default."""
        tables: dict[str, dict[str, Any]] = {"server": {}}
        if server.pop3:
            tables["server.ports"] = {name: PORTS[name] for name in ("pop3", "pop3s")}
        return tables

    def port(self, _server: Server, service: str) -> int:
        """Where the service listens within the container."""
        return {**PORTS, "spamd": SPAMD_PORT}[service]

    def up(self, server: Server) -> list[str]:
        """Run the image, with no more rights than docker/compose.yaml gives it."""
        for volume in VOLUMES:
            server.host(volume).mkdir(parents=True, exist_ok=True)
        mounts = {volume: f"/{volume}" for volume in VOLUMES} | {"etc/mailhooks": "/etc/mailhooks:ro", "": str(INSIDE)}
        return [
            *(*PODMAN, "run", "--rm", "--replace", "--name", server.host_root.name, "--hostname", "mail"),
            *("--no-healthcheck", "--log-driver", "none", *hardening(), *NETWORK, *LIMITS),
            *(part for name, port in PORTS.items() for part in ("-p", f"127.0.0.1:{server.port[name]}:{port}")),
            *(part for name, path in mounts.items() for part in ("-v", f"{server.host(name)}:{path}")),
            *(part for path in server.host("tls").glob("*") for part in ("-v", f"{path}:/etc/ssl/{path.name}:ro")),
            *(part for name, value in server.environment.items() for part in ("-e", f"{name}={value}")),
            self.image,
        ]

    def inside(self, server: Server, *arguments: str) -> list[str]:
        """Run a program in the server's container."""
        return [*PODMAN, "exec", "-i", server.host_root.name, *arguments]

    def supervisor(self, server: Server) -> int:
        """Return the child of the container's first process, tini."""
        shown = subprocess.run(
            [*PODMAN, "inspect", "--format", "{{.State.Pid}}", server.host_root.name],
            text=True,
            capture_output=True,
            check=True,
            timeout=60,
        )
        init = int(shown.stdout)
        return int(Path(f"/proc/{init}/task/{init}/children").read_text().split()[0])

    def remove(self, server: Server) -> None:
        """Remove the container, if it still is there."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(
                [*PODMAN, "rm", "--force", "--time", "0", "--volumes", "--ignore", server.host_root.name],
                capture_output=True,
                check=False,
                timeout=60,
            )
