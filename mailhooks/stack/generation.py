"""Which generation of the stock daemons is on this machine, asked of the binaries themselves."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import Literal

DovecotLine = Literal["2.3", "2.4"]

ASK_SECONDS = 10  # a binary that prints its version answers at once
NEWEST: DovecotLine = "2.4"

# What Debian puts outside an ordinary user's PATH.
_SBIN = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"

# Parameters that Postfix gained against SMTP smuggling; Debian 12 has them as backports, plain 3.7.0 has not.
GUARDS = ("smtpd_forbid_bare_newline", "smtpd_forbid_unauth_pipelining", "cleanup_replace_stray_cr_lf")


class MissingBinaryError(Exception):
    """A stock program is not installed; the text names it and its package."""


@dataclass(frozen=True)
class Generation:
    """What the rendering has to know about the installed daemons."""

    dovecot: DovecotLine
    postfix: tuple[int, int]
    guards: frozenset[str] = frozenset(GUARDS)


def find() -> Generation:
    """Ask Dovecot and Postfix which generation they are. Raises MissingBinaryError."""
    return Generation(find_dovecot(), find_postfix(), find_guards())


def find_guards() -> frozenset[str]:
    """Ask ``postconf`` which of GUARDS this Postfix knows. Raises MissingBinaryError."""
    known = {line.split(" ", 1)[0] for line in _ask(binary("postconf", "postfix"), "-d").splitlines()}
    return frozenset(known.intersection(GUARDS))


def find_dovecot() -> DovecotLine:
    """Ask ``dovecot --version``: "2.3" or "2.4". Raises MissingBinaryError."""
    return dovecot_line(_ask(binary("dovecot", "dovecot-core"), "--version"))


def find_postfix() -> tuple[int, int]:
    """Ask ``postconf`` for the version: (3, 7). Raises MissingBinaryError."""
    return postfix_version(_ask(binary("postconf", "postfix"), "-dh", "mail_version"))


def dovecot_line(answer: str) -> DovecotLine:
    """Read what ``dovecot --version`` prints ("2.3.19.1 (9b53102964)"). Raises MissingBinaryError for others."""
    found = re.match(r"2\.(\d+)", answer.strip())
    if found and int(found[1]) == 3:  # noqa: PLR2004 - Dovecot 2.3
        return "2.3"
    if found and int(found[1]) >= 4:  # noqa: PLR2004 - Dovecot 2.4 and what follows it
        return "2.4"
    raise MissingBinaryError(f"Dovecot 2.3 or 2.4 is needed, and this one says {answer.strip()!r}")


def postfix_version(answer: str) -> tuple[int, int]:
    """Read mail_version ("3.7.11", "3.10.13"). Raises MissingBinaryError for what is older than 3.5."""
    found = re.match(r"(\d+)\.(\d+)", answer.strip())
    version = (int(found[1]), int(found[2])) if found else (0, 0)
    if version < (3, 5):
        raise MissingBinaryError(f"Postfix 3.5 or newer is needed, and this one says {answer.strip()!r}")
    return version


def binary(name: str, package: str) -> str:
    """Return the absolute path of a stock program. Raises MissingBinaryError, which names its Debian package."""
    found = shutil.which(name) or shutil.which(name, path=_SBIN)
    if found is None:
        raise MissingBinaryError(f"{name} is not installed: apt-get install {package}")
    return found


def _ask(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ASK_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise MissingBinaryError(f"{command[0]} does not say its version: {error}") from error
    return done.stdout
