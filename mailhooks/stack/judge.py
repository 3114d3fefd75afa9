"""The daemons judge what was rendered for them, before it takes the place of what they run by.

Everything is written to a staging directory first and shown to each daemon's own checker there, so that a refusal
changes nothing. When the admin's own files are among it, they are added one by one to find which of them is refused.
"""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from mailhooks.config import Config, ConfigError
from mailhooks.stack import children, dropins, paths, render
from mailhooks.stack.directories import ROOT, account, ensure
from mailhooks.stack.generation import binary

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from mailhooks.stack.generation import Generation

CHECK_SECONDS = 60
MAX_WORDS = 1000  # characters of what a daemon says: it is one line of ours
NAMES: dict[render.Daemon, str] = {"postfix": "Postfix", "dovecot": "Dovecot", "spamassassin": "SpamAssassin"}


class Refused(Exception):
    """A daemon refuses its configuration; the text is what it says."""


def judged(config: Config, found: Generation) -> dict[render.Daemon, tuple[render.File, ...]]:
    """Render every daemon's files and have them judged. Raises ConfigError with the daemon's words."""
    where = paths.layout(config)
    result: dict[render.Daemon, tuple[render.File, ...]] = {}
    for daemon in render.DAEMONS:
        if daemon == "spamassassin" and not config.server.spam_filter:
            continue
        plain, given = render.files(config, found, daemon), dropins.find(where, daemon)
        files = dropins.add(plain, daemon, given, where)
        try:
            _judge(where, daemon, files, with_admins=bool(given))
        except Refused as refusal:
            raise ConfigError(_blame(where, daemon, plain, given, str(refusal))) from refusal
        result[daemon] = files
    return result


def compile_scripts(directory: Path) -> None:
    """Compile the site's Sieve scripts: the mail user could not, where only root writes. Raises ConfigError."""
    try:
        _compile(directory)
    except Refused as refusal:
        raise ConfigError(f"Dovecot refuses a Sieve script that was rendered for it: {refusal}") from refusal


def _blame(
    where: paths.Layout,
    daemon: render.Daemon,
    plain: Iterable[render.File],
    given: tuple[dropins.DropIn, ...],
    words: str,
) -> str:
    """Find the admin's file with which the refusal begins, and say it in one line."""
    for number in range(len(given) + 1):
        try:
            _judge(where, daemon, dropins.add(plain, daemon, given[:number], where), with_admins=bool(number))
        except Refused as refusal:
            if number:
                return f"{given[number - 1].path}: {NAMES[daemon]} refuses it: {refusal}"
            return f"{NAMES[daemon]} refuses the configuration that was rendered for it: {refusal}"
    return f"{NAMES[daemon]} refuses the configuration that was rendered for it: {words}"


def _judge(where: paths.Layout, daemon: render.Daemon, files: Iterable[render.File], *, with_admins: bool) -> None:
    """Write the files to the staging directory and let the daemon look at them. Raises Refused."""
    directory = where.staging / daemon
    ensure(directory, ROOT, 0o755)
    render.write(replace(file, path=directory / file.path.name) for file in files)
    if daemon == "postfix":
        for option in ("-n", "-M"):
            _ask(binary("postconf", "postfix"), "-c", str(directory), option)
        _ask(binary("postfix", "postfix"), "-c", str(directory), "check")  # makes the queue's directories, too
    elif daemon == "dovecot":
        _ask(binary("doveconf", "dovecot-core"), "-c", str(directory / "dovecot.conf"), "-n")
        _compile(directory)
    elif with_admins:  # takes seconds: not for what every start renders alike
        user = children.as_user(account(render.SPAM_USER, "apt-get install spamd"), ())
        lint = (binary("spamassassin", "spamassassin"), "--lint", "-L", "-x", f"--siteconfigpath={directory}")
        _ask(binary("setpriv", "util-linux"), *user, *lint)


def _compile(directory: Path) -> None:
    settings = str(directory / "dovecot.conf")
    for script in sorted(directory.glob("*.sieve")):
        _ask(binary("sievec", "dovecot-sieve"), "-c", settings, str(script))


def _ask(*command: str) -> None:
    """Run a checker; Postfix's says why only to a terminal (src/postfix/postfix.c). Raises Refused."""
    terminal, end = pty.openpty()
    said: list[bytes] = []
    reader = threading.Thread(target=_read, args=(terminal, said))
    reader.start()
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=end, timeout=CHECK_SECONDS, check=False
        )
    finally:
        os.close(end)
        reader.join(CHECK_SECONDS)
        os.close(terminal)
    if done.returncode:
        words = " ".join(b"".join(said).decode(errors="replace").split())
        raise Refused(words[-MAX_WORDS:] or f"{command[0]} ends with {done.returncode}")


def _read(terminal: int, said: list[bytes]) -> None:
    with contextlib.suppress(OSError):  # EIO: the last who had the other end is gone
        while data := os.read(terminal, 4096):
            said.append(data)
