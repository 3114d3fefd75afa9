"""``main.cf``: of Postfix's parameters the three that the replaced image took from it (postconf(5))."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mailhooks.address import AddressError, normalise_domain
from mailhooks.seed.files import logical

if TYPE_CHECKING:
    from collections.abc import Mapping

# Parameter -> the store's setting; ``mailhooks config`` and ``up`` use it where the configuration says nothing.
SETTINGS = {"hostname": "hostname", "myhostname": "hostname", "relayhost": "relayhost"}
DOMAINS = "virtual_mailbox_domains"
MAX_DEPTH = 10  # of parameters that name parameters

_ASSIGNMENT = re.compile(r"([A-Za-z0-9_]+)\s*=\s*(.*)", re.DOTALL)
_REFERENCE = re.compile(r"\$(?:\{([A-Za-z0-9_]+)\}|\(([A-Za-z0-9_]+)\)|([A-Za-z0-9_]+))")


@dataclass(slots=True)
class MainCf:
    """What counts of it, each with its line."""

    settings: dict[str, tuple[int, str]] = field(default_factory=dict)
    domains: list[tuple[int, str]] = field(default_factory=list)
    notes: list[tuple[int, str]] = field(default_factory=list)
    problems: list[tuple[int, str]] = field(default_factory=list)


def parse(lines: list[str]) -> MainCf:
    """Read the file; as in Postfix the last line for a parameter counts. Raises SeedError."""
    found = MainCf()
    parameters: dict[str, tuple[int, str]] = {}
    for number, line in logical(lines):
        match = _ASSIGNMENT.fullmatch(line)
        if not match:
            found.problems.append((number, "is no line like parameter = value"))
            continue
        parameters[match[1]] = number, match[2].strip()
    values = {name: value for name, (_, value) in parameters.items()}
    for name, (number, _) in parameters.items():
        if name not in SETTINGS and name != DOMAINS:
            found.notes.append((number, f"{name} is not used"))
            continue
        try:
            value = expand(values[name], values)
            if name == DOMAINS:
                _domains(found, number, value)
            elif value:
                found.settings[SETTINGS[name]] = number, _checked(SETTINGS[name], value)
        except ValueError as error:
            found.problems.append((number, f"{name}: {error}"))
    return found


def expand(value: str, parameters: Mapping[str, str], depth: int = 0) -> str:
    """Put in the values of other parameters. Raises ValueError for one that does not stand in this file."""
    if depth > MAX_DEPTH:
        raise ValueError("its value names itself")

    def one(match: re.Match[str]) -> str:
        name = match[1] or match[2] or match[3]
        if name not in parameters:
            raise ValueError(f"names ${name}, which does not stand in this file: write the value itself")
        return expand(parameters[name], parameters, depth + 1)

    return _REFERENCE.sub(one, value)


def lines(settings: Mapping[str, str]) -> list[str]:
    """Write what the store's settings say."""
    names = {"hostname": "myhostname", "relayhost": "relayhost"}
    return [f"{name} = {settings[setting]}" for setting, name in names.items() if settings.get(setting)]


def _domains(found: MainCf, number: int, value: str) -> None:
    for word in value.replace(",", " ").split():
        if "/" in word or ":" in word:
            found.notes.append((number, f"{word} is a table: domains are read from the file domains"))
        else:
            found.domains.append((number, word))


def _checked(setting: str, value: str) -> str:
    if setting == "hostname":
        try:
            return normalise_domain(value)
        except AddressError as error:
            raise ValueError(str(error)) from error
    if len(value.split()) != 1:
        raise ValueError(f"{value!r} is no next hop: expected one like [smtp.example.net]:587")
    return value
