"""The admin's own lines for the stock daemons: small files beside mailhooks.toml, which no upgrade touches.

``postfix/main.cf.d/*.cf`` and ``postfix/master.cf.d/*.cf`` are put behind what is rendered and win: an earlier setting
of the same parameter, or an earlier service of the same name and type, is taken out, so that Postfix has nothing to
warn of. ``dovecot.d/*.conf`` and ``spamassassin.d/*.cf`` are read last. Files of one directory are taken in the order
of their names.

They are read with root's rights, so only files and directories count that nobody but root can write; any other stops
the start. What they say is the admin's: nothing here judges it (see ``judge``).
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import stat
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mailhooks.config import ConfigError
from mailhooks.stack import paths
from mailhooks.stack.directories import check_safe
from mailhooks.stack.render import Daemon, File

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

MAX_BYTES = 1_000_000  # such a file is written by hand
MAX_FILES = 100  # in one directory

PLACES: dict[Daemon, tuple[tuple[str, str], ...]] = {
    "postfix": (("postfix/main.cf.d", "*.cf"), ("postfix/master.cf.d", "*.cf")),
    "dovecot": (("dovecot.d", "*.conf"),),
    "spamassassin": (("spamassassin.d", "*.cf"),),
}

_LAST = "zz_admin.cf"  # SpamAssassin reads files in the order of their names
_PARAMETER = re.compile(r"[A-Za-z0-9_]+(?=\s*=)")


@dataclass(frozen=True)
class DropIn:
    """One file of the admin's."""

    path: Path
    text: str


def find(where: paths.Layout, daemon: Daemon) -> tuple[DropIn, ...]:
    """Read what the admin left for a daemon. Raises ConfigError, which names the file and the cure."""
    found: list[DropIn] = []
    for name, pattern in PLACES[daemon]:
        directory = where.admin / name
        chosen = sorted(directory.glob(pattern))
        if len(chosen) > MAX_FILES:
            raise ConfigError(f"{directory} has more than {MAX_FILES} files")
        found += map(_read, chosen)
    return tuple(found)


def add(rendered: Iterable[File], daemon: Daemon, given: Iterable[DropIn], where: paths.Layout) -> tuple[File, ...]:
    """Return a daemon's files with the admin's lines in their places."""
    given = tuple(given)
    if daemon == "postfix":
        merged = {"main.cf": _parameter, "master.cf": _service}
        return tuple(
            replace(file, text=_merge(file.text, (x for x in given if x.path.parent.name == f"{name}.d"), merged[name]))
            if (name := file.path.name) in merged
            else file
            for file in rendered
        )
    if daemon == "dovecot":  # included, so that Dovecot names file and line
        lines = "".join(f"!include {each.path}\n" for each in given)
        return tuple(
            replace(file, text=file.text + lines) if file.path.name == "dovecot.conf" else file for file in rendered
        )
    # Not included: spamd is started anew only where a file of ours has changed.
    text = "".join(f"\n# {each.path}\n{each.text}\n" for each in given)
    return (*rendered, File(where.spamassassin_config / _LAST, f"# Rendered by mailhooks: the admin's own.\n{text}"))


def _read(path: Path) -> DropIn:
    paths.check_plain(str(path), "the name of a file")
    try:
        check_safe(path.resolve().parent)
        check_safe(path.parent)
        with path.open("rb") as stream:
            status = os.fstat(stream.fileno())
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode) or status.st_uid != 0 or status.st_mode & 0o022:
        raise ConfigError(f"{path} is not taken, for others than root can change it: chown 0:0 and chmod 644 {path}")
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{path} has more than {MAX_BYTES} bytes: that is no configuration file")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8") from error
    first = next((line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")), "")
    if first[:1].isspace() and path.suffix == ".cf":
        raise ConfigError(f"{path} begins with a blank, which continues a line that is not there")
    return DropIn(path, text)


# --- Postfix ------------------------------------------------------------------------------------------------------


def _merge(rendered: str, given: Iterable[DropIn], name_of: Callable[[str], object]) -> str:
    """Put the admin's lines behind ours, without what they replace."""
    text = rendered + "".join(f"\n# {each.path}\n{each.text}\n" for each in given)
    lines = list(_logical(text))
    last = {name: number for number, line in enumerate(lines) if (name := name_of(line)) is not None}
    kept = (line for number, line in enumerate(lines) if last.get(name_of(line), number) == number)
    return "".join(kept)


def _logical(text: str) -> Iterator[str]:
    """Yield the logical lines of main.cf or master.cf, and what stands between them (postconf(5), master(5))."""
    line = between = ""
    for physical in text.removesuffix("\n").split("\n"):
        if not physical.strip() or physical.lstrip().startswith("#"):
            between += physical + "\n"
        elif physical[0].isspace():
            line += between + physical + "\n"
            between = ""
        else:
            yield line
            yield between
            line, between = physical + "\n", ""
    yield line
    yield between


def _parameter(line: str) -> str | None:
    found = _PARAMETER.match(line)
    return found[0] if found else None


def _service(line: str) -> tuple[str, str] | None:
    """Return a service's name and type; 25 and smtp are one port."""
    fields = line.split(maxsplit=2)
    if len(fields) < 2 or line.startswith("#"):  # noqa: PLR2004 - name and type
        return None
    name, kind = fields[:2]
    host, colon, port = name.rpartition(":")
    if kind == "inet" and not port.isdigit():
        with contextlib.suppress(OSError):  # Postfix will say that it is no service
            port = str(socket.getservbyname(port, "tcp"))
    return f"{host}{colon}{port}", kind
