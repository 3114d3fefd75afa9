"""The tcp_table server: one port per lookup table, ``get key`` in, a code and a text out (tcp_table(5)).

Postfix asks ten times with a second between when the connection ends without an answer, so 400 is said wherever
possible. 500 is said only when the store positively has no such row.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from mailhooks.servers.base import Connection, Server
from mailhooks.store.errors import Unavailable
from mailhooks.wire import tcp_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IReactorTime

    from mailhooks.counters import HookCounters

_MALFORMED = tcp_table.temporary("malformed request")
_UNAVAILABLE = tcp_table.temporary("the account store cannot answer now")
_FAULT = tcp_table.temporary("internal error")


class TcpTableConnection(Connection):
    """One Postfix process."""

    def __init__(self, server: TcpTableServer) -> None:
        super().__init__(server)
        self.parser = tcp_table.RequestParser()
        self._table = server

    def answer(self, value: bytes) -> bytes:
        """Return the reply to one line."""
        return self._table.reply(tcp_table.parse_request(value))

    def error_reply(self, kind: str) -> bytes:  # noqa: ARG002 - the same for all
        """Say 400."""
        return _MALFORMED


class TcpTableServer(Server):
    """Answers lookups in one table."""

    def __init__(
        self,
        clock: IReactorTime,
        counters: HookCounters,
        *,
        table: str,
        lookup: Callable[[str], str | None],
    ) -> None:
        super().__init__("tcp_table", clock, counters)
        self._name = table
        self._lookup = lookup

    def connection(self) -> TcpTableConnection:
        """Make the protocol of a new connection."""
        return TcpTableConnection(self)

    def reply(self, key: str) -> bytes:
        """Answer one key."""
        started = perf_counter()
        result, reply = self._answer(key)
        self.counters.answered(self._name, result, perf_counter() - started, key)
        return reply

    def _answer(self, key: str) -> tuple[str, bytes]:
        try:
            value = self._lookup(key)
        except Unavailable:
            return "temporary", _UNAVAILABLE
        except Exception:  # noqa: BLE001 - our own fault is logged, and 400 to the client
            self.fault("400 answered")
            return "temporary", _FAULT
        if value is None:
            return "notfound", tcp_table.not_found()
        reply = tcp_table.found(value)
        return ("found" if reply.startswith(b"200 ") else "temporary"), reply
