"""Read an instance of Postfix by ``postconf``: -x all values, -n what main.cf sets, -M and -P master.cf."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailhooks.doctor.facts import Postfix, Service
from mailhooks.doctor.reading.tool import ask
from mailhooks.stack.generation import binary

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

_FIELDS = 8  # of a line of master.cf before the program's arguments, master(5)


def read(directory: Path) -> Postfix:
    """Read the instance that is configured in a directory. Raises MissingBinaryError."""
    postconf = (binary("postconf", "postfix"), "-c", str(directory))
    everything = ask(*postconf, "-x")
    master = ask(*postconf, "-M")
    for said in (everything, master):
        if said.code:
            return Postfix(directory, {}, {}, (), refused=" ".join(said.err.split()))
    given = ask(*postconf, "-nx")
    parameters = dict(_settings(everything.out))
    overrides = _overrides(_settings(ask(*postconf, "-Px").out))
    # chroot "-" means yes only in the oldest compatibility mode (postconf(5), compatibility_level)
    old = parameters.get("compatibility_level", "0").split(".")[0] == "0"
    return Postfix(
        directory,
        parameters,
        dict(_settings(given.out)),
        tuple(_services(master.out, overrides, old=old)),
        tuple(line.partition("warning: ")[2] or line for line in given.err.splitlines()),
    )


def _settings(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        name, equals, value = line.partition(" =")
        if equals:
            yield name, value.strip()


def _overrides(settings: Iterable[tuple[str, str]]) -> Mapping[str, Mapping[str, str]]:
    """Sort "submission/inet/name = value" by service."""
    found: dict[str, dict[str, str]] = {}
    for path, value in settings:
        service, _, name = path.rpartition("/")
        found.setdefault(service, {})[name] = value
    return found


def _services(text: str, overrides: Mapping[str, Mapping[str, str]], *, old: bool) -> Iterator[Service]:
    for line in text.splitlines():
        fields = line.split(None, _FIELDS)
        if len(fields) < _FIELDS:
            continue
        name, kind, chroot, command = fields[0], fields[1], fields[4], fields[7]
        arguments = fields[_FIELDS] if len(fields) > _FIELDS else ""
        chrooted = old if chroot == "-" else chroot == "y"
        yield Service(name, kind, chrooted, command, arguments, overrides.get(f"{name}/{kind}", {}))
