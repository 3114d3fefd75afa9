"""A Debian 12 in a container with systemd as its first process, and the page docs/bare-metal.rst as its manual.

The blocks ``.. code-block:: sh`` of the page are executed as they stand: the first two (packages, ``make install``)
when the image is built, the others on the running machine. The machine has no network beyond loopback.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs/bare-metal.rst"

TAG = "localhost/mailhooks-systemd"
LABEL = "content"  # of what the image was made: the same content is not built twice
SOURCES = ("mailhooks", "systemd", "scripts", "setup.cfg", "pyproject.toml", "constraints.txt", "Makefile")
SOURCES += ("README.rst", "LICENSE")
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")  # where pip finds this machine's own, should it have some
INSIDE = "/run/authorities.crt"

PODMAN = ("podman", "--runtime", "runc")  # crun fails where control groups are mounted in hybrid mode
LIMITS = ("--ulimit", "nofile=20000:20000", "--ulimit", "nproc=4096:4096")
BUILD_SECONDS = 900  # packages and wheels come over a network
COMMAND_SECONDS = 300
LIMIT = 120  # seconds for what takes a few on an idle machine

CONTAINERFILE = """\
FROM debian:bookworm-slim
ENV DEBIAN_FRONTEND=noninteractive
RUN echo 'APT::Get::Assume-Yes "true";' >/etc/apt/apt.conf.d/yes \\
    && apt-get update && apt-get install --no-install-recommends systemd systemd-sysv dbus
COPY packages.sh /
RUN sh -e /packages.sh
COPY source /source
COPY install.sh /
RUN cd /source && sh -e /install.sh
"""


def steps() -> list[str]:
    """The shell blocks of the page, in order."""
    found = re.findall(r"^( *)\.\. code-block:: sh\n\n((?:\1 +.*\n|\n)+)", PAGE.read_text(), re.MULTILINE)
    return [textwrap.dedent(block).strip() + "\n" for _, block in found]


def build() -> str:
    """Build the image, unless there is one of the same content; return its name."""
    packages, install, *_ = steps()
    with tempfile.TemporaryDirectory(prefix="mailhooks-systemd-") as name:
        context = Path(name)
        for source in SOURCES:
            target = context / "source" / source
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / source, target)
        for file, text in (("Containerfile", CONTAINERFILE), ("packages.sh", packages), ("install.sh", install)):
            (context / file).write_text(text)
        content = _digest(context)
        if (
            _podman("image", "inspect", "--format", f"{{{{index .Labels {LABEL!r}}}}}".replace("'", '"'), TAG)
            != content
        ):
            subprocess.run([ROOT / "scripts/container-base", "bookworm"], check=True, timeout=BUILD_SECONDS)
            _build(context, content)
    return TAG


def _build(context: Path, content: str) -> None:
    options = ["--format", "docker", "--isolation", "chroot", "--network", "host", "--label", f"{LABEL}={content}"]
    if AUTHORITIES.exists():
        options += ["--volume", f"{AUTHORITIES}:{INSIDE}:ro", "--env", f"PIP_CERT={INSIDE}"]
    before = _podman("image", "inspect", "--format", "{{.Id}}", TAG)
    built = subprocess.run(
        [*PODMAN, "build", *options, "--tag", TAG, str(context)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    assert built.returncode == 0, built.stdout[-5000:]
    if before:
        _podman("rmi", before)


def _podman(*arguments: str) -> str:
    """What podman says, or "" where it fails."""
    done = subprocess.run([*PODMAN, *arguments], capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def _digest(directory: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(directory.rglob("*")):
        digest.update(f"{path.relative_to(directory)}\0{os.access(path, os.X_OK)}\0".encode())
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


class Host:
    """The running machine."""

    def __init__(self, image: str) -> None:
        self.image = image
        self.passwords: dict[str, str] = {}

    def __enter__(self) -> Self:
        options = ("--detach", "--systemd=always", "--network", "none", "--hostname", "mail", *LIMITS)
        done = subprocess.run(
            [*PODMAN, "run", *options, self.image, "/lib/systemd/systemd"],
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        self.name = done.stdout.strip()
        try:
            self._booted()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(
            [*PODMAN, "rm", "--force", "--time", "5", self.name], capture_output=True, timeout=60, check=True
        )

    def walk(self) -> None:
        """Do the steps of the page that follow the installation."""
        for step in steps()[2:]:
            said = self.run(step)
            if "user add adam@example.com" in step:
                self.passwords["adam@example.com"] = said.split()[-1]

    def reboot(self) -> None:
        """Stop all services in order, and start the machine anew."""
        self._exec("systemctl", "--no-block", "poweroff")
        until("it is off", lambda: _podman("inspect", "--format", "{{.State.Running}}", self.name) == "false")
        assert _podman("start", self.name)
        self._booted()

    def run(self, script: str, *, fails: bool = False) -> str:
        """Run a shell script; return what it prints."""
        done = self._exec("sh", "-ec", script)
        assert bool(done.returncode) == fails, f"{script}\n{done.stdout}\n{done.stderr}\n{self._state()}"
        return done.stdout.strip()

    def python(self, program: str, *arguments: str) -> str:
        """Run a Python program; return what it prints."""
        done = self._exec("/opt/mailhooks/bin/python", "-", *arguments, input=program)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{self._state()}"
        return done.stdout.strip()

    def show(self, unit: str, name: str) -> str:
        """One property of a unit."""
        return self.run(f"systemctl show --value --property {name} {unit}")

    def journal(self, unit: str) -> str:
        """What a unit said since the machine started."""
        return self.run(f"journalctl --boot --no-pager --output cat --unit {unit}")

    def _booted(self) -> None:
        until("the machine is up", lambda: self._exec("test", "-S", "/run/dbus/system_bus_socket").returncode == 0)
        until(
            "every service is started",
            lambda: self._exec("systemctl", "is-system-running").stdout.strip() in {"running", "degraded"},
        )

    def _state(self) -> str:
        done = self._exec("sh", "-c", "systemctl --failed --no-pager; journalctl --boot --no-pager --lines 80")
        return done.stdout

    def _exec(self, *command: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*PODMAN, "exec", "--interactive", self.name, *command],
            **({"stdin": subprocess.DEVNULL} if "input" not in options else {}),
            **options,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )


def until(what: str, holds: Callable[[], Any], seconds: float = LIMIT) -> Any:
    """Wait until that holds; return what it gave."""
    deadline = time.monotonic() + seconds
    while not (result := holds()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.1)
    return result
