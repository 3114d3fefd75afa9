"""Read an instance of Dovecot by ``doveconf -n``, whose braces are the same in 2.3 and 2.4."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailhooks.doctor.facts import Dovecot
from mailhooks.doctor.reading.tool import ask
from mailhooks.stack.generation import binary, dovecot_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def read(file: Path) -> Dovecot:
    """Read the instance that is configured in a file. Raises MissingBinaryError."""
    doveconf = binary("doveconf", "dovecot-core")
    line = dovecot_line(ask(binary("dovecot", "dovecot-core"), "--version").out)
    # -P: 2.3 hides the name of the key file like a password. What is a password is never told by a check.
    said = ask(doveconf, "-c", str(file), "-n", "-P")
    if said.code:
        words = [each for each in said.err.splitlines() if "Fatal" in each or "Error" in each] or [said.err]
        return Dovecot(file, line, {}, refused=" ".join(words[-1].split()))
    return Dovecot(file, line, dict(settings(said.out)))


def settings(text: str) -> Iterator[tuple[str, str]]:
    """Turn the braces into paths: "service imap-login" { chroot = } -> ("service imap-login/chroot", "")."""
    above: list[str] = []
    for raw in text.splitlines():
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if line == "}":
            above = above[:-1]
        elif line.endswith("{"):
            above.append(line[:-1].strip())
        else:
            name, _, value = line.partition("=")
            yield "/".join([*above, name.strip()]), value.strip()
