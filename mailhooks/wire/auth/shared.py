"""What both auth protocols share: versions, parameters, and the way from a line to a message."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

from mailhooks.wire import tabs
from mailhooks.wire.errors import WireError
from mailhooks.wire.integers import unsigned

MAX_LINE = 16_384  # bytes: AUTH_CLIENT_MAX_LINE_LENGTH (src/lib-auth/auth-client-interface.h), both ways
MAJOR = 1  # another major is another protocol; the minor is free
MAX_ID = 2**32 - 1  # ids are unsigned int, and 0 is none

Generation = Literal["2.3", "2.4"]
Message = TypeVar("Message")
Commands = Mapping[str, Callable[[list[str]], Message]]  # by the first field of a line, what all its fields make


@dataclass(frozen=True, slots=True)
class Version:
    """The client's version of the protocol; the major is ours, else it would not have come this far."""

    major: int
    minor: int


def version(fields: list[str]) -> Version:
    """Parse ``VERSION major minor``."""
    if len(fields) < 3:  # noqa: PLR2004 - the fields of the line above
        raise WireError("field", "VERSION without its numbers")
    result = Version(unsigned(fields[1]), unsigned(fields[2]))
    if result.major != MAJOR:
        raise WireError("version", f"the client speaks another major version than {MAJOR}")
    return result


def identifier(fields: list[str]) -> int:
    """Return the id of a request, which is its first field."""
    value = unsigned(fields[1]) if len(fields) > 1 else 0
    if not 0 < value <= MAX_ID:
        raise WireError("field", "a request without an id")
    return value


def parameters(fields: Iterable[str]) -> dict[str, str]:
    """Parse fields ``name=value``; a bare name is a flag, whose value is empty."""
    result = {}
    for field in fields:
        name, _, value = field.partition("=")
        result[name] = value
    return result


def service(given: Mapping[str, str]) -> str:
    """Return what the client serves: Dovecot 2.4 says ``protocol=`` for what was ``service=``."""
    name = given.get("protocol") or given.get("service")
    if not name:
        raise WireError("field", "a request with neither service= nor protocol=")
    return name


def generation(given: Mapping[str, str]) -> Generation:
    """Return which Dovecot asks: the two understand different userdb fields."""
    return "2.4" if "protocol" in given else "2.3"


def in_clear_from_here(given: Mapping[str, str]) -> bool:
    """Tell whether a login came without TLS from the server's own address, and not over loopback.

    Dovecot takes such a connection for one of the same machine and lets passwords through in clear (login-common
    client-common.c). Behind the published port of a container every client can bear the container's own address.
    """
    remote = given.get("rip")
    if remote is None or remote != given.get("lip") or given.get("secured") == "tls":
        return False
    return not (remote.startswith("127.") or remote == "::1")


def message(commands: Commands[Message], line: bytes) -> Message:
    """Parse one line without its LF by its first field."""
    fields = tabs.split(line)
    command = commands.get(fields[0])
    if command is None:
        raise WireError("unknown_command", "a command that the protocol does not have")
    return command(fields)
