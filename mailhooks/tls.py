"""TLS listeners follow their files: a certificate that was renewed on disk is shown to the next client.

Before each handshake the files of the endpoint are looked at (three ``stat``, microseconds); when one has changed the
endpoint's description is read anew. A pair that does not fit, half a file, no file: the old certificate stays in use,
and the log says so once for each such state.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from OpenSSL import SSL
from twisted.internet import endpoints
from twisted.internet.endpoints import wrapClientTLS
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator
from twisted.logger import Logger
from zope.interface import implementer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# The arguments of ssl: that are files (twisted.internet.endpoints), and ours.
FILES = ("privateKey", "certKey", "extraCertChain", "dhParameters")

Signature = tuple[tuple[int, int, int] | None, ...]

log = Logger()


@implementer(IOpenSSLServerConnectionCreator)
class RenewedContext:
    """Makes the TLS side of each new connection, of files that are read again when they change."""

    def __init__(self, first: Any, description: str, files: tuple[str, ...], prepare: Callable[[Any], None]) -> None:
        """``prepare`` is done to each new context. Raises what it raises."""
        self._description = description
        self._files = files
        self._prepare = prepare
        self._signature = self._look()
        self._context = first.getContext()
        prepare(self._context)

    def serverConnectionForTLS(self, tlsProtocol: Any) -> Any:  # noqa: N802, N803, ARG002 - Twisted calls it
        """Begin with a new client."""
        return SSL.Connection(self._current(), None)

    def _current(self) -> Any:
        signature = self._look()
        if signature != self._signature:
            self._signature = signature
            try:
                made = _context(self._description)
                self._prepare(made)
            except Exception as problem:  # noqa: BLE001 - whatever it is, clients are served as before
                log.error(
                    "the certificate in {files} has changed and cannot be used, the old one stays: {why}",
                    files=", ".join(self._files),
                    why=type(problem).__name__,
                )
            else:
                self._context = made
                log.info("took up the new certificate in {files}", files=", ".join(self._files))
        return self._context

    def _look(self) -> Signature:
        return tuple(_signature(name) for name in self._files)


@implementer(IOpenSSLClientConnectionCreator)
class _AnyServer:
    """The client's side of TLS for who only wants to see that somebody answers: no certificate is verified or shown."""

    def clientConnectionForTLS(self, tlsProtocol: Any) -> Any:  # noqa: N802, N803, ARG002 - Twisted calls it
        """Begin with a server."""
        return SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)


def any_server(endpoint: Any) -> Any:
    """Wrap a client endpoint in TLS that trusts whoever answers; for probes of our own listeners."""
    return wrapClientTLS(_AnyServer(), endpoint)


def files_of(arguments: Mapping[str, str]) -> tuple[str, ...]:
    """Return the files that an ``ssl:`` endpoint reads; without ``privateKey`` it is server.pem."""
    named = {"privateKey": "server.pem", **arguments}
    return tuple(named[name] for name in FILES if name in named)


def _signature(name: str) -> tuple[int, int, int] | None:
    try:
        status = os.stat(name)  # noqa: PTH116 - once for each connection
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _context(description: str) -> Any:
    """Let Twisted read an endpoint's description anew, and take its context instead of listening."""
    taken: list[Any] = []

    class Taker:
        """As much of a reactor as an ``ssl:`` endpoint calls."""

        def listenSSL(self, *_: Any, contextFactory: Any, **__: Any) -> None:  # noqa: N802, N803 - Twisted calls it
            taken.append(contextFactory)

    endpoint: Any = endpoints.serverFromString(Taker(), description)
    endpoint.listen(None)
    return taken[0].getContext()
