"""The environment variables that configure a server, as a container is given them; docs/container.rst is their page.

Each stands for a key of the configuration and beats the file; an empty one is as good as none. They count for every
command, since ``docker exec`` inherits them. What is no configuration but a wish for the first start (the domain, the
admin, the relay's credentials) is ``mailhooks.cli.first_start``'s; the reading of secrets is here, for both.

A wrong value is an error in one line that names the variable, the value (never a secret) and the cure.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping

MAX_SECRET_BYTES = 4096  # of a file with a password or token in it
MIN_MESSAGE_BYTES = 65_536  # what every server must take (RFC 5321 section 4.5.3.1.7)
MAX_MESSAGE_BYTES = 2**40  # no mail program makes a larger one, and no number here needs more digits
MAX_PORT = 65_535

# What MAIL_PROTOCOLS can name, and the port of each where the file names none.
PROTOCOLS = {
    "smtp": 25,
    "submission": 587,
    "submissions": 465,
    "imap": 143,
    "imaps": 993,
    "pop3": 110,
    "pop3s": 995,
    "sieve": 4190,
}
LEVELS = {"debug": "debug", "info": "info", "warn": "warn", "warning": "warn", "error": "error"}

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOSTNAME = re.compile(rf"(?=.{{1,253}}$)(?=.*[A-Za-z]){_LABEL}(?:\.{_LABEL})*")  # Postfix takes none without a letter
_NEXTHOP = re.compile(r"(?:\[(?P<inside>[A-Za-z0-9.:-]+)\]|(?P<bare>[A-Za-z0-9.-]+))(?::(?P<port>[A-Za-z0-9-]+))?")
_PORT = re.compile(r"\d{1,5}", re.ASCII)
_SIZE = re.compile(r"(\d{1,13})([KMG]?)B?", re.ASCII | re.IGNORECASE)
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}


class WrongVariable(ValueError):
    """An environment variable cannot be used; the text names it and the cure."""


@dataclass(frozen=True)
class Variable:
    """One environment variable and the configuration key that it sets."""

    name: str
    section: str
    key: str
    parse: Callable[[str], Any]  # raises ValueError with what was expected


def overlay(tables: dict[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the tables of a configuration file with what the environment says in place. Raises WrongVariable."""
    result = dict(tables)
    for variable in VARIABLES:
        if not (text := environment.get(variable.name, "").strip()):
            continue
        try:
            value = variable.parse(text)
        except ValueError as error:
            raise WrongVariable(f"{variable.name}={text!r}: {error}") from error
        section = result.get(variable.section, {})
        if isinstance(section, dict):  # else the configuration says what is wrong with it
            result[variable.section] = {**section, variable.key: value}
    if named := environment.get("MAIL_PROTOCOLS", "").split():
        result = _with_protocols(result, named)
    return result


def secret(name: str, environment: MutableMapping[str, str]) -> str | None:
    """Take a secret from ``name``, or from the file that ``name``_FILE names, and out of the environment.

    What starts later must not inherit it. Raises WrongVariable.
    """
    value, file = environment.pop(name, ""), environment.get(f"{name}_FILE", "")
    if value and file:
        raise WrongVariable(f"{name} and {name}_FILE are both set: leave one of them out")
    return read_secret(f"{name}_FILE", Path(file)) if file else value or None


def read_secret(variable: str, path: Path) -> str:
    """Read a file with one secret in it; the end of its line is no part of it. Raises WrongVariable."""
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_SECRET_BYTES + 1)
    except OSError as error:
        raise WrongVariable(f"{variable}={str(path)!r}: cannot be read: {error.strerror}") from error
    text = data.removesuffix(b"\n").removesuffix(b"\r")
    if not text:
        raise WrongVariable(f"{variable}={str(path)!r}: the file is empty")
    if len(data) > MAX_SECRET_BYTES or b"\n" in text or b"\0" in text:
        cure = f"expected a file with one line of at most {MAX_SECRET_BYTES} bytes"
        raise WrongVariable(f"{variable}={str(path)!r}: {cure}")
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise WrongVariable(f"{variable}={str(path)!r}: the file is not UTF-8") from error


def _with_protocols(tables: dict[str, Any], named: list[str]) -> dict[str, Any]:
    """Switch on the services that are named, each on the file's port or its own, and the others off."""
    wanted = [word.strip(",").lower() for word in named]
    for word in wanted:
        if word not in PROTOCOLS:
            raise WrongVariable(f"MAIL_PROTOCOLS={' '.join(named)!r}: {word!r} is none of {', '.join(PROTOCOLS)}")
    server = tables.get("server", {})
    ports = server.get("ports", {}) if isinstance(server, dict) else None
    if not isinstance(ports, dict):
        return tables
    chosen = {service: ports.get(service) or port if service in wanted else 0 for service, port in PROTOCOLS.items()}
    return {**tables, "server": {**server, "ports": {**ports, **chosen}}}


def hostname(text: str) -> str:
    """Check the name of a server. Raises ValueError with what was expected."""
    if not _HOSTNAME.fullmatch(text):
        raise ValueError(
            "expected a host name such as mail.example.com: letters, digits and hyphens, at most 63 between two dots"
        )
    return text


def nexthop(text: str) -> str:
    """Check a next hop as Postfix's relayhost spells it. Raises ValueError with what was expected."""
    found = _NEXTHOP.fullmatch(text)
    is_host = found is not None and _is_host(found["inside"] or found["bare"], bracketed=bool(found["inside"]))
    if found is None or not is_host or not _is_port(found["port"] or "25"):
        raise ValueError(
            "expected a host with a port that there is, such as [smtp.example.net]:587, as in Postfix's relayhost; an"
            " IP address stands in brackets"
        )
    return text


def message_size(size: int) -> int:
    """Check a limit of messages, in bytes. Raises ValueError with what was expected."""
    if not MIN_MESSAGE_BYTES <= size <= MAX_MESSAGE_BYTES:
        raise ValueError(
            f"expected from {MIN_MESSAGE_BYTES} (64K, what every mail server must take) to {MAX_MESSAGE_BYTES} bytes"
        )
    return size


def _is_host(name: str, *, bracketed: bool) -> bool:
    if _HOSTNAME.fullmatch(name):
        return True
    try:
        ipaddress.ip_address(re.sub("(?i)^ipv6:", "", name))
    except ValueError:
        return False
    return bracketed


def _is_port(text: str) -> bool:
    """Whether it is a number in range, or a service that this machine knows by name."""
    if text.isdigit():
        return _PORT.fullmatch(text) is not None and 0 < int(text) <= MAX_PORT
    try:
        return socket.getservbyname(text, "tcp") > 0
    except OSError:
        return False


def _size(text: str) -> int:
    match = _SIZE.fullmatch(text)
    if not match:
        raise ValueError("expected a number of bytes, or one with K, M or G, such as 50M")
    return message_size(int(match[1]) * _UNITS[match[2].upper()])


def _one_of(words: Mapping[str, str | bool]) -> Callable[[str], str | bool]:
    def parse(text: str) -> str | bool:
        if text.lower() not in words:
            raise ValueError(f"expected one of {', '.join(words)}")
        return words[text.lower()]

    return parse


def _listen(text: str) -> list[str]:
    """Make an endpoint string of ADDRESS:PORT; "off" is none."""
    if text.lower() == "off":
        return []
    host, _, port = text.rpartition(":")
    try:
        address = str(ipaddress.ip_address(host.removeprefix("[").removesuffix("]")))
    except ValueError:
        address = ""
    if not address or not port.isdigit() or not _is_port(port):
        raise ValueError("expected ADDRESS:PORT such as 0.0.0.0:9465 or [::]:9465, or off")
    return ["tcp:{}:interface={}".format(int(port), address.replace(":", r"\:"))]


def _path(text: str) -> str:
    if not text.startswith("/"):
        raise ValueError("expected an absolute path")
    return text


VARIABLES = (
    Variable("MAIL_HOSTNAME", "server", "hostname", hostname),
    Variable("RELAY_HOST", "server", "relayhost", nexthop),
    Variable("MESSAGE_SIZE_LIMIT", "server", "message_size_limit", _size),
    Variable("LOG_FORMAT", "log", "format", _one_of({"text": "text", "json": "json"})),
    Variable("LOG_LEVEL", "log", "level", _one_of(LEVELS)),
    Variable("LOG_COUNT_LINES", "log", "count_lines", _one_of({"on": True, "off": False})),
    Variable("HTTP_LISTEN", "listen", "http", _listen),
    Variable("HTTP_TOKEN_FILE", "http", "token_file", _path),
)
