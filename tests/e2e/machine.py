"""Where the stock daemons run: this machine, or the root of another Debian release below it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Machine:
    """A root directory with Postfix, Dovecot and SpamAssassin in it, and the mailhooks program that fits."""

    name: str
    program: tuple[str, ...]  # how mailhooks is called there
    root: Path = Path("/")

    def command(self, *arguments: str) -> list[str]:
        """What to execute so that ``arguments`` run there."""
        return list(arguments) if self.root == Path("/") else ["chroot", str(self.root), *arguments]

    def run(self, *arguments: str, **options) -> subprocess.CompletedProcess[str]:
        """Run one program to its end, at most a minute."""
        return subprocess.run(
            self.command(*arguments),
            text=True,
            capture_output=True,
            timeout=60,
            check=False,
            **options,
        )

    def missing(self) -> list[str]:
        """Return the stock programs that are not installed there."""
        programs = ("postfix", "dovecot", "doveadm", "spamd", "spamc", "sievec")
        path = os.pathsep.join(str(self.root / each) for each in ("usr/sbin", "usr/bin", "sbin", "bin"))
        return [program for program in programs if not shutil.which(program, path=path)]


def this_machine() -> Machine:
    """Return the machine that runs the tests, with the mailhooks installed beside this Python."""
    return Machine("here", (str(Path(sys.executable).with_name("mailhooks")),))
