"""The listening sockets that a service manager made for us and passes on (sd_listen_fds(3), systemd.socket(5)).

systemd keeps them open while the daemon restarts, so that a client waits for a moment where it would be refused. Each
has a name (``FileDescriptorName=``), and those that are named after a hook need no configuration: they stand in for the
strings of that hook that would have made sockets of their kind. A hook that is switched off stays off, TLS stays TLS,
and a hook whose strings say ``systemd:`` is served on exactly these.
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from twisted.internet import endpoints

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

# Which strings of [listen] a socket of each family stands in for.
STANDS_IN_FOR = {"UNIX": ("unix:",), "INET": ("tcp:",), "INET6": ("tcp:", "tcp6:")}


@dataclass(frozen=True)
class Inherited:
    """One socket."""

    index: int  # its place among them
    name: str
    family: str  # UNIX, INET, INET6 or one that nobody here listens on
    host: str  # the IP address, "" where there is none

    @property
    def text(self) -> str:
        """The endpoint string that listens on it: by its place, since several may have one name."""
        return f"systemd:domain={self.family}:index={self.index}"

    @property
    def loopback(self) -> bool:
        """Whether only this machine connects."""
        return self.family == "UNIX" or (bool(self.host) and ipaddress.ip_address(self.host).is_loopback)


def sockets() -> list[Inherited]:
    """Return what was passed to this process; asked before the first of them is listened on, which closes it."""
    # Twisted takes the variables out of the environment as soon as it is imported, so it is asked.
    passed = endpoints._SystemdParser._sddaemon  # noqa: SLF001
    return [
        _look_at(index, name, descriptor)
        for index, (descriptor, name) in enumerate(zip(passed.inheritedDescriptors(), passed._names, strict=True))  # noqa: SLF001
    ]


def find(arguments: Mapping[str, str]) -> Inherited | None:
    """Return the socket that the arguments of a ``systemd:`` string mean."""
    for each in sockets():
        if arguments.get("index") == str(each.index) or arguments.get("name") == each.name:
            return each
    return None


def place(hook: str, texts: tuple[str, ...], passed: Collection[Inherited]) -> tuple[str, ...]:
    """Return the strings of a hook, with the sockets that bear its name in the place of those they stand in for."""
    if any(text.startswith("systemd:") for text in texts):
        return texts
    mine = [
        each
        for each in passed
        if each.name == hook and any(text.startswith(STANDS_IN_FOR.get(each.family, ())) for text in texts)
    ]
    replaced = tuple({kind for each in mine for kind in STANDS_IN_FOR.get(each.family, ())})
    return (*(each.text for each in mine), *(text for text in texts if not text.startswith(replaced)))


def _look_at(index: int, name: str, descriptor: int) -> Inherited:
    sock = socket.socket(fileno=descriptor)
    try:
        family = sock.family.name.removeprefix("AF_")
        return Inherited(index, name, family, sock.getsockname()[0] if family.startswith("INET") else "")
    finally:
        sock.detach()
