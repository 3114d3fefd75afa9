"""The command line as an admin has it, against a store, key and mail directory of its own."""

from __future__ import annotations

import json
import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mailhooks.cli import main
from mailhooks.store import Store


@dataclass
class Shell:
    """Runs commands; ``ok`` wants exit 0, ``fails`` wants one line on stderr and an unchanged store."""

    directory: Path

    @property
    def store_path(self) -> Path:
        return self.directory / "state/mailhooks.db"

    @property
    def mail(self) -> Path:
        return self.directory / "mail"

    def run(self, *arguments: str, given: str | bytes | None = None, **options: Any) -> Result:
        config = ["--config", str(self.directory / "mailhooks.toml")]
        return CliRunner().invoke(main, [*config, *arguments], input=given, **options)

    def ok(self, *arguments: str, given: str | bytes | None = None) -> str:
        result = self.run(*arguments, given=given)
        assert result.exit_code == 0, result.output
        return result.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self.ok(*arguments, "--json"))

    def fails(self, code: int, *arguments: str, given: str | bytes | None = None) -> str:
        before = self.contents()
        result = self.run(*arguments, given=given)
        assert result.exit_code == code, (result.exit_code, result.output)
        assert result.stdout == ""
        assert result.stderr.count("\n") == 1, result.stderr
        assert self.contents() == before
        return result.stderr

    def contents(self) -> list[str]:
        """Every row that is in the store, none when nothing was ever changed."""
        if not self.store_path.exists():
            return []
        connection = sqlite3.connect(self.store_path)
        try:
            rows = [line for line in connection.iterdump() if line.startswith("INSERT")]
            return rows if any('"audit"' in line for line in rows) else []
        finally:
            connection.close()

    def store(self) -> Store:
        return Store(f"sqlite:///{self.store_path}", key_file=self.directory / "state/key")


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    for name in ("MAILHOOKS_STORE", "MAILHOOKS_CONFIG", "SUDO_USER"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "state").mkdir()
    (tmp_path / "mailhooks.toml").write_text(
        f'[store]\nurl = "sqlite:///{tmp_path}/state/mailhooks.db"\nkey_file = "{tmp_path}/state/key"\n'
        f'[mail]\nhome = "{tmp_path}/mail/%d/%n"\n'
    )
    return Shell(tmp_path)


@pytest.fixture
def site(shell: Shell) -> Shell:
    """example1.com with adam and bob, who have the password "secret"; example1.net is the same domain."""
    shell.ok("domain", "add", "example1.com", "--quota", "1G")
    shell.ok("domain", "add", "example1.net", "--alias-of", "example1.com")
    for address in ("adam@example1.com", "bob@example1.com"):
        shell.ok("user", "add", address, "--hash-stdin", given="{PLAIN}secret\n")
    return shell


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
