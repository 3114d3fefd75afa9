"""The HTTP port: /metrics, /healthz (the process lives) and /readyz (every hook answers a real lookup).

With a token, /metrics and /readyz ask for it (``Authorization: Bearer TOKEN``); /healthz tells nothing and never does.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.protocols.policies import WrappingFactory
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from twisted.internet.interfaces import IReactorTime
    from twisted.python.failure import Failure

    from mailhooks.counters import HookCounters

MAX_CONNECTIONS = 50  # a scraper and some probes; more is a mistake
IDLE_SECONDS = 60  # a scraper asks every 15 to 60 s and may keep its connection

TEXT = b"text/plain; charset=utf-8"

log = Logger()


class Nothing(Resource):
    """A path where there is nothing, like all paths below it."""

    def getChild(self, path: bytes, request: Any) -> Resource:  # noqa: ARG002 - Twisted gives them
        """Whatever is not put here is not there."""
        return Nothing()

    def render(self, request: Any) -> bytes | int:
        """Say so."""
        request.setResponseCode(404)
        request.setHeader(b"content-type", TEXT)
        return b"there are /metrics, /healthz and /readyz\n"


class Page(Nothing):
    """One path: ``make`` gives status and text, at once or later."""

    def __init__(
        self,
        make: Callable[[], tuple[int, bytes] | Deferred[tuple[int, bytes]]],
        content_type: bytes = TEXT,
        token: Callable[[], str] | None = None,
    ) -> None:
        super().__init__()
        self._make = make
        self._type = content_type
        self._token = token

    def render(self, request: Any) -> bytes | int:
        """Answer, if the token is right."""
        request.setHeader(b"content-type", TEXT)
        if request.method not in (b"GET", b"HEAD"):
            request.setResponseCode(405)
            request.setHeader(b"allow", b"GET, HEAD")
            return b"there is nothing to do but to read\n"
        if self._token is not None and (token := self._token()):
            given = request.getHeader(b"authorization") or b""
            if not hmac.compare_digest(given, b"Bearer " + token.encode()):
                request.setResponseCode(401)
                request.setHeader(b"www-authenticate", b"Bearer")
                return b"a bearer token is needed\n"
        made = self._make()
        if not isinstance(made, Deferred):
            return self._answer(request, made)
        Deferred.fromCoroutine(self._later(request, made)).addErrback(self._failed)
        return NOT_DONE_YET

    async def _later(self, request: Any, made: Deferred[tuple[int, bytes]]) -> None:
        gone: list[Any] = []
        request.notifyFinish().addErrback(gone.append)
        try:
            text = self._answer(request, await made)
        except Exception:  # noqa: BLE001 - our own fault is logged, and 500 to the client
            log.failure("http: a page could not be made")
            text = self._answer(request, (500, b"internal error\n"))
        if not gone:
            request.write(text)
            request.finish()

    def _answer(self, request: Any, result: tuple[int, bytes]) -> bytes:
        request.setResponseCode(result[0])
        request.setHeader(b"content-type", self._type)
        return result[1]

    def _failed(self, failure: Failure) -> None:
        log.failure("http: a page could not be made", failure)


class HttpFactory(WrappingFactory):
    """A web site with a limit of connections, counted like those of the other hooks."""

    noisy = False

    def __init__(self, pages: Mapping[bytes, Page], counters: HookCounters, clock: IReactorTime) -> None:
        root = Nothing()
        for path, page in pages.items():
            root.putChild(path, page)
        site = Site(root, timeout=IDLE_SECONDS, reactor=clock)
        site.noisy = False
        site.displayTracebacks = False
        site.log = lambda _request: None  # type: ignore[assignment]  # no log line per scrape
        super().__init__(site)
        self._counters = counters

    def buildProtocol(self, addr: Any) -> Any:
        """Make a connection unless there are too many."""
        if self._counters.connections >= MAX_CONNECTIONS:
            self._counters.protocol_errors["connections"] += 1
            return None
        return super().buildProtocol(addr)

    def registerProtocol(self, p: Any) -> None:
        """Count a connection."""
        self._counters.connections += 1
        super().registerProtocol(p)

    def unregisterProtocol(self, p: Any) -> None:
        """Count it no more."""
        self._counters.connections -= 1
        super().unregisterProtocol(p)

    def abort(self) -> None:
        """End all connections now."""
        for connection in list(self.protocols):
            connection.abortConnection()
