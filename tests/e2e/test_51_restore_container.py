"""Scenario 51: a backup is restored into a new volume of a container, as docs/backup.rst shows."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from container import PODMAN

MACHINES = ("container",)


@pytest.fixture
def volume() -> Iterator[str]:
    name = f"mailhooks-{secrets.token_hex(6)}"
    yield name
    subprocess.run([*PODMAN, "volume", "rm", "--force", name], check=True, capture_output=True)


def test_a_restore_made_files_of_root_that_the_daemon_could_not_write(machine, volume: str, tmp_path: Path):
    def run(*arguments: str) -> str:
        command = machine.command(*arguments)
        mounts = ["-v", f"{volume}:/var/lib/mailhooks", "-v", f"{tmp_path}:/backups"]
        command[command.index("--rm") : command.index("--rm")] = mounts
        done = subprocess.run(command, text=True, capture_output=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("mailhooks", "domain", "add", "example1.com")
    backup = run("mailhooks", "store", "backup", "/backups", "--keep", "14").strip()
    subprocess.run([*PODMAN, "volume", "rm", volume], check=True, capture_output=True)
    run("mailhooks", "store", "restore", backup)
    assert run("mailhooks", "domain", "list").startswith("example1.com\t")
    assert set(run("find", "/var/lib/mailhooks", "-printf", "%U %p\\n").split()[::2]) == {"900"}
