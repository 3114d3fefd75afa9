"""The strings of ``[listen]`` become listening ports.

They are Twisted's endpoint descriptions (``unix:``, ``tcp:``, ``ssl:``, ``systemd:`` and what plugins add), with two
arguments of our own, taken out before Twisted sees them: ``group=NAME`` of a unix socket, and ``clientCA=FILE`` of
``ssl:``, which asks every client for a certificate that FILE vouches for.

``Listener.parse`` says what a string is without touching anything, so that what must not travel in clear is refused
before anything listens; ``Listener.listen`` listens.
"""

from __future__ import annotations

import grp
import ipaddress
import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet import endpoints, error
from twisted.logger import Logger
from twisted.python.failure import Failure

from mailhooks import inherited
from mailhooks.servers.ports import BACKLOG, TCPPort, UNIXPort, bind_unix

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twisted.internet.interfaces import IListeningPort, IProtocolFactory

DEFAULT_MODE = "0660"  # of a unix socket whose string does not say

_OWN = re.compile(r"(group|clientCA)=(.*)", re.DOTALL)
_PART = re.compile(r"(?:[^:\\]|\\.)*")
_NO_ARGUMENT = re.compile(r"unexpected keyword argument '(\w+)'")  # in Python's words

log = Logger()


class EndpointError(ValueError):
    """A string of ``[listen]`` cannot be used; the text names it and says why."""


@dataclass(frozen=True)
class Listener:
    """One string of ``[listen]``, taken apart."""

    text: str  # as the admin wrote it
    description: str  # what Twisted is given
    kind: str  # unix, tcp, ssl, systemd, ...
    arguments: Mapping[str, str]
    group: str | None
    client_ca: str | None

    @classmethod
    def parse(cls, text: str) -> Listener:
        """Take a string apart. Raises EndpointError."""
        own, others = dict[str, str](), list[str]()
        for part in _split(text):
            if match := _OWN.fullmatch(part):
                own[match[1]] = _plain(match[2])
            else:
                others.append(part)
        description = ":".join(others)
        kind, *parts = map(_plain, others or [""])
        arguments = dict(part.split("=", 1) for part in parts if "=" in part)
        if not kind or not parts:
            raise EndpointError(f"{text!r} is no endpoint: expected something like unix:/path:mode=0660 or tcp:9465")
        if "group" in own and kind != "unix":
            raise EndpointError(f"{text!r}: group= goes with unix: only")
        if "clientCA" in own and kind != "ssl":
            raise EndpointError(f"{text!r}: clientCA= goes with ssl: only")
        if kind == "unix" and "mode" not in arguments:
            description += f":mode={DEFAULT_MODE}"
        if kind in {"tcp", "tcp6", "ssl", "unix"} and "backlog" not in arguments:
            description += f":backlog={BACKLOG}"
        return cls(text, description, kind, arguments, own.get("group"), own.get("clientCA"))

    @property
    def private(self) -> bool:
        """Whether only those connect whom file permissions or a verified certificate let in."""
        return self.local or self.client_ca is not None

    @property
    def local(self) -> bool:
        """Whether this is a unix socket."""
        return self.kind == "unix" or (self.kind == "systemd" and self.arguments.get("domain") == "UNIX")

    @property
    def loopback(self) -> bool:
        """Whether only this machine connects."""
        if self.local:
            return True
        if self.kind == "systemd":
            passed = inherited.find(self.arguments)
            return passed is not None and passed.loopback
        interface = self.arguments.get("interface", "")
        try:
            return self.kind in {"tcp", "tcp6", "ssl"} and ipaddress.ip_address(interface).is_loopback
        except ValueError:
            return interface == "localhost"

    def listen(self, factory: IProtocolFactory, reactor: Any, default_group: str | int | None = None) -> IListeningPort:
        """Listen. A default group that does not exist is a warning, a named one an error. Raises EndpointError."""
        port: IListeningPort = self._made(_Listening(reactor, self, default_group), factory)
        return port

    def bind(self, default_group: str | int | None = None) -> tuple[socket.socket, Path]:
        """Make the socket of a ``unix:`` string, on which somebody else accepts; its path is the caller's to remove.

        Groups as with ``listen``. Raises EndpointError.
        """
        made: tuple[socket.socket, Path] = self._made(_Binding(None, self, default_group), None)
        return made

    def _made(self, listening: _Listening, factory: IProtocolFactory | None) -> Any:
        results: list[Any] = []
        try:
            endpoint = endpoints.serverFromString(listening, self.description)
            endpoint.listen(factory).addBoth(results.append)
            if results and isinstance(results[0], Failure):
                results[0].raiseException()
        except EndpointError:
            raise
        except Exception as problem:
            raise EndpointError(f"cannot listen on {self.text!r}: {_reason(problem)}") from problem
        if not results:
            raise EndpointError(f"cannot listen on {self.text!r}: this kind of endpoint does not listen at once")
        return results[0]


class _Listening:
    """The reactor, as far as endpoints need it, with our ports in place of Twisted's."""

    def __init__(self, reactor: Any, listener: Listener, default_group: str | int | None) -> None:
        self._reactor = reactor
        self._listener = listener
        self._default_group = default_group

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def listenTCP(self, port: int, factory: Any, backlog: int = BACKLOG, interface: str = "") -> TCPPort:  # noqa: N802
        result = TCPPort(port, factory, backlog, interface, self._reactor)
        result.startListening()
        return result

    def listenSSL(  # noqa: N802 - Twisted calls it
        self,
        port: int,
        factory: Any,
        contextFactory: Any,  # noqa: N803
        backlog: int = BACKLOG,
        interface: str = "",
    ) -> TCPPort:
        from twisted.protocols.tls import TLSMemoryBIOFactory  # noqa: PLC0415 - costs 5 MB, and few need it

        from mailhooks.tls import RenewedContext, files_of  # noqa: PLC0415 - the same

        listener = self._listener
        own = (listener.client_ca,) if listener.client_ca is not None else ()
        renewed = RenewedContext(
            contextFactory, listener.description, (*files_of(listener.arguments), *own), self._verify_clients
        )
        return self.listenTCP(port, TLSMemoryBIOFactory(renewed, False, factory, self._reactor), backlog, interface)

    def listenUNIX(  # noqa: N802 - Twisted calls it
        self,
        address: str,
        factory: Any,
        backlog: int = BACKLOG,
        mode: int = 0o600,
        wantPID: bool = False,  # noqa: ARG002, N803
    ) -> Any:
        path = Path(address)
        port = UNIXPort(self._bind(path, backlog, mode), factory, self._reactor, path)
        port.startListening()
        return port

    def _bind(self, path: Path, backlog: int, mode: int) -> socket.socket:
        sock = bind_unix(path, mode)
        try:
            self._give_to_group(path)
            path.chmod(mode)
            sock.listen(backlog)
        except BaseException:
            sock.close()
            path.unlink(missing_ok=True)
            raise
        return sock

    def adoptStreamPort(self, fileDescriptor: int, addressFamily: int, factory: Any) -> Any:  # noqa: N802, N803
        ports: Any = TCPPort
        if addressFamily == socket.AF_UNIX:
            port = UNIXPort(socket.socket(fileno=os.dup(fileDescriptor)), factory, self._reactor)
        else:
            port = ports._fromListeningDescriptor(self._reactor, fileDescriptor, addressFamily, factory)  # noqa: SLF001
        port.startListening()
        return port

    def _verify_clients(self, context: Any) -> None:
        if self._listener.client_ca is not None:
            _verify_clients(context, self._listener.client_ca)

    def _give_to_group(self, path: Path) -> None:
        group = self._listener.group if self._listener.group is not None else self._default_group
        if group is None:
            return
        try:
            os.chown(path, -1, group if isinstance(group, int) else grp.getgrnam(group).gr_gid)
        except (KeyError, OSError) as problem:
            why = "there is no such group" if isinstance(problem, KeyError) else _reason(problem)
            if self._listener.group is not None:
                raise EndpointError(f"cannot give {path} to the group {group}: {why}") from problem
            log.warn("cannot give {path} to the group {group}: {why}", path=str(path), group=group, why=why)


class _Binding(_Listening):
    """Makes unix sockets, and nobody to accept on them."""

    def listenUNIX(  # noqa: N802 - Twisted calls it
        self,
        address: str,
        factory: Any,  # noqa: ARG002
        backlog: int = BACKLOG,
        mode: int = 0o600,
        wantPID: bool = False,  # noqa: ARG002, N803
    ) -> tuple[socket.socket, Path]:
        path = Path(address)
        return self._bind(path, backlog, mode), path


def _verify_clients(context: Any, authorities: str) -> None:
    from OpenSSL import SSL  # noqa: PLC0415 - only for ssl: endpoints

    try:
        context.load_verify_locations(authorities)
    except SSL.Error as problem:
        raise EndpointError(f"clientCA={authorities} holds no certificates that can be read") from problem
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *arguments: bool(arguments[-1]))


def _split(description: str) -> list[str]:
    parts, at = [], 0
    while at <= len(description):
        match = _PART.match(description, at)
        assert match is not None  # noqa: S101 - the pattern matches the empty text
        parts.append(match[0])
        at = match.end() + 1
    return parts


def _plain(part: str) -> str:
    return part.replace("\\", "")


def _reason(problem: BaseException) -> str:
    if isinstance(problem, error.CannotListenError) and isinstance(problem.socketError, OSError):
        problem = problem.socketError
    if isinstance(problem, OSError) and problem.strerror:
        return f"{problem.strerror} ({problem.filename})" if problem.filename else problem.strerror
    if match := _NO_ARGUMENT.search(str(problem)):
        return f"this kind of endpoint has no argument {match[1]}="
    if isinstance(problem, LookupError):
        return "no such socket was inherited"
    return str(problem) or type(problem).__name__
