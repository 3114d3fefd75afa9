"""Ends open sessions of a user whose password, state or rights have changed: IMAP, POP3, ManageSieve of this machine.

Dovecot asks mailhooks at login only, so a session that is open stays open. ``doveadm kick`` needs root, and talks to
the Dovecot that ``mailhooks up`` runs here; where there is none, or the command is not run by root, there is nothing to
do. Whatever goes wrong is a note: the change itself is done.
"""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from mailhooks.cli.errors import say
from mailhooks.config import ConfigError
from mailhooks.stack import paths

if TYPE_CHECKING:
    from pathlib import Path

    from mailhooks.config import Config

SECONDS = 10.0  # doveadm waits for every process that it ends
NOBODY = 68  # EX_NOHOST, as doveadm(1) says it: no session of this user


def kick(config: Config, address: str) -> None:
    """End the open sessions of a user here, if that is wanted and can be done."""
    if set("*?") & set(address):  # doveadm(1) takes a mask, which would fit others, and knows no escape
        if _wanted(config):
            say(f"open sessions of {address} go on: doveadm kick cannot name this user")
        return
    _kick(config, address)


def kick_domain(config: Config, domain: str) -> None:
    """End the open sessions of all users of a domain here."""
    _kick(config, f"*@{domain}")


def _kick(config: Config, mask: str) -> None:
    configuration = _wanted(config)
    if configuration is None:
        return
    command = ["doveadm", "-c", str(configuration), "kick", mask]
    try:
        done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        say(f"open sessions of {mask} may go on: doveadm kick: {type(error).__name__}")
        return
    if done.returncode not in (0, NOBODY):
        say(f"open sessions of {mask} may go on: doveadm kick ended with {done.returncode}")


def _wanted(config: Config) -> Path | None:
    return running(config) if config.server.kick and os.geteuid() == 0 else None


def running(config: Config) -> Path | None:
    """Return the configuration of the Dovecot that ``mailhooks up`` runs here, or None when it does not."""
    try:
        where = paths.layout(config)
    except ConfigError:  # no server was ever started with paths like these
        return None
    configuration = where.dovecot_config / "dovecot.conf"
    return configuration if configuration.is_file() and _runs(where.dovecot_base / "master.pid") else None


def _runs(pid_file: Path) -> bool:
    """Tell whether the process named in a file is there."""
    try:
        os.kill(int(pid_file.read_text(encoding="ascii")), 0)
    except (OSError, ValueError):
        return False
    return True
