"""What stands on the command line, turned into values; what cannot be is refused in one line that names the cure."""

from __future__ import annotations

import ipaddress
import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import click

from mailhooks import address
from mailhooks.store.model import ALL_SERVICES, Posting, Service, State

if TYPE_CHECKING:
    from collections.abc import Callable
    from enum import StrEnum

    ParamType = click.ParamType[Any]
else:
    ParamType = click.ParamType  # generic for type checkers of new versions only

MAX_BYTES = 2**63 - 1  # what the store keeps, and far more than any disk
MAX_TEXT = 1000  # characters of a name, reason or label: it is shown in one line
MAX_NETWORKS = 100  # of one credential: they are compared one after another at each login

_UNITS = {"": 1, "B": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_SIZE = re.compile(r"(\d{1,18}(?:\.\d{1,3})?)\s*([KMGT]?)(?:I?B)?", re.ASCII | re.IGNORECASE)
_DURATION = re.compile(r"(\d{1,6})([mhdwy])", re.ASCII)
_SPANS = {
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
    "y": timedelta(days=365),
}


class Kind(ParamType):
    """A kind of value: a name for --help, and a function that raises ValueError with the cure."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse what was typed; a default that is a value already stays."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def size(text: str) -> int | None:
    """Read ``500M``, ``1.5G``, a number of bytes, or ``none`` (None)."""
    if text.lower() in ("none", "unlimited"):
        return None
    match = _SIZE.fullmatch(text.strip())
    if not match:
        raise ValueError(f"{text!r} is no size: expected a number with K, M, G or T, or none")
    number = int(Fraction(match[1]) * _UNITS[match[2].upper()])
    if number > MAX_BYTES:
        raise ValueError(f"{text!r} is more than any disk holds: expected at most {MAX_BYTES // 2**40}T")
    return number


def mailbox_size(text: str) -> int | None:
    """Read the size of a mailbox: none is explicitly no limit (0), default is the domain's (None)."""
    if text.lower() == "default":
        return None
    return size(text) or 0


def moment(text: str) -> float:
    """Read an ISO date or time (the machine's own time zone unless it names one) that lies ahead."""
    try:
        when = datetime.fromisoformat(text).astimezone()
        stamp = when.timestamp()
    except (ValueError, OverflowError, OSError) as error:
        raise ValueError(f"{text!r} is no date: expected one like 2031-12-24 or 2031-12-24T18:00") from error
    if stamp <= datetime.now(UTC).timestamp():
        raise ValueError(f"{text!r} has passed: expected a date ahead")
    return stamp


def moment_or_none(text: str) -> float | None:
    """Read a date ahead, or ``none``."""
    return None if text.lower() in ("none", "never") else moment(text)


def expiry(text: str) -> float | None:
    """Read when a credential ends: a time from now (``90d``), a date, or ``never``."""
    if text.lower() in ("none", "never"):
        return None
    match = _DURATION.fullmatch(text)
    if not match:
        try:
            return moment(text)
        except ValueError as error:
            raise ValueError(f"{error}, or a time like 12h, 90d, 8w, 1y, or never") from error
    span = _SPANS[match[2]] * int(match[1])
    if not span:
        raise ValueError(f"{text!r} is over at once: expected a time like 90d")
    try:
        return (datetime.now(UTC) + span).timestamp()
    except OverflowError as error:
        raise ValueError(f"{text!r} is too long: expected a time like 90d, or never") from error


def one_of(words: type[StrEnum]) -> Callable[[str], StrEnum]:
    """Return a function that reads one of some words."""

    def parse(text: str) -> StrEnum:
        try:
            return words(text.lower())
        except ValueError as error:
            raise ValueError(f"{text!r} is none of {', '.join(words)}") from error

    return parse


def services(text: str) -> frozenset[Service]:
    """Read ``imap,smtp``, ``all`` or ``none``."""
    if text.lower() == "all":
        return ALL_SERVICES
    if text.lower() == "none":
        return frozenset()
    try:
        return frozenset(Service(name.strip().lower()) for name in text.split(","))
    except ValueError as error:
        known = ",".join(Service)
        raise ValueError(f"{text!r} names an unknown service: expected some of {known}, or all") from error


def some_services(text: str) -> frozenset[Service]:
    """Read the services of a credential: at least one."""
    found = services(text)
    if not found:
        raise ValueError("a credential for no service is of no use: name some, or revoke it")
    return found


def networks(text: str) -> tuple[str, ...]:
    """Read networks in CIDR notation, joined by commas."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) > MAX_NETWORKS:
        raise ValueError(f"more than {MAX_NETWORKS} networks: join them into larger ones")
    try:
        return tuple(str(ipaddress.ip_network(part)) for part in parts)
    except ValueError as error:
        raise ValueError(f"{error}: expected networks like 192.0.2.0/24,2001:db8::/32") from error


def networks_or_any(text: str) -> tuple[str, ...]:
    """Read networks, or ``any`` for everywhere."""
    return () if text.lower() == "any" else networks(text)


def line(text: str) -> str:
    """Read a text of one line."""
    if not text.isprintable():
        raise ValueError("this holds control or invisible characters: expected one line of text")
    if len(text) > MAX_TEXT:
        raise ValueError(f"this is longer than {MAX_TEXT} characters")
    return text


def scope(text: str) -> str:
    """Read whose preference it is: an address, ``@domain`` or ``@GLOBAL``."""
    return "@GLOBAL" if text.upper() == "@GLOBAL" else address.normalise_source(text)


ADDRESS = Kind("address", address.normalise)
SOURCE = Kind("address|@domain", address.normalise_source)
DOMAIN = Kind("domain", address.normalise_domain)
SIZE = Kind("size", size)
MAILBOX_SIZE = Kind("size", mailbox_size)
UNTIL = Kind("date", moment_or_none)
EXPIRY = Kind("time", expiry)
SERVICES = Kind("services", services)
SOME_SERVICES = Kind("services", some_services)
NETWORKS = Kind("networks", networks)
NETWORKS_OR_ANY = Kind("networks", networks_or_any)
LINE = Kind("text", line)
SCOPE = Kind("user|@domain|@GLOBAL", scope)
STATE = Kind("|".join(State), one_of(State))
SERVICE = Kind("|".join(Service), one_of(Service))
POSTING = Kind("|".join(Posting), one_of(Posting))
