"""The socketmap server: one table name and one key in, one answer out (socketmap_table(5)).

Answers come from ``lookup`` at once, on the reactor thread; what a snapshot of the store answered is remembered by the
raw bytes of the request until the snapshot changes. Postfix has one request outstanding per connection, so a read is
nearly always exactly one frame: that goes past the parser.

NOTFOUND is said only when the store positively has no such row. Whatever else goes wrong is TEMP, and never remembered.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from mailhooks.servers.base import Connection, Server
from mailhooks.servers.replies import ReplyCache
from mailhooks.store.errors import Unavailable
from mailhooks.wire import socketmap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from twisted.internet.interfaces import IReactorTime

    from mailhooks.counters import HookCounters

SECRET_TABLES = frozenset({"smtp_sasl_password_maps"})  # only on private listeners; never remembered

_MALFORMED = socketmap.temporary("malformed request")
_UNAVAILABLE = socketmap.temporary("the account store cannot answer now")
_FAULT = socketmap.temporary("internal error")
_UNKNOWN = socketmap.temporary("there is no such table on this listener")


class SocketmapConnection(Connection):
    """One Postfix process."""

    def __init__(self, server: SocketmapServer) -> None:
        super().__init__(server)
        self.parser = socketmap.RequestParser()
        self._tables = server
        self._remembered = server.replies.young
        self._durations = server.counters.seconds.counts

    def dataReceived(self, data: bytes) -> None:
        """Answer one whole remembered request at once; all else goes the general way."""
        entry = self._remembered.get(data)
        if entry is None or self.half_since is not None or self.closing:
            super().dataReceived(data)
            return
        entry[1].value += 1
        self._durations[0] += 1  # a dict lookup is below the lowest bound: not worth two looks at the clock
        self.transport.write(entry[0])

    def received(self, data: bytes) -> bytes:
        """Answer what was read; exactly one whole frame without the parser."""
        if self.half_since is None:
            colon = data.find(b":", 1, 6)
            # A length with leading zeros, or too long, is for the parser to judge.
            if (
                colon > 0
                and data[-1] == 44  # noqa: PLR2004 - a comma
                and data[0] != 48  # noqa: PLR2004 - a zero
                and data[:colon].isdigit()
                and int(data[:colon]) == len(data) - colon - 2 <= socketmap.MAX_REQUEST
            ):
                return self._tables.reply(data, data[colon + 1 : -1])
        return super().received(data)

    def answer(self, value: bytes) -> bytes:
        """Return the reply to one payload of the parser."""
        return self._tables.reply(None, value)

    def error_reply(self, kind: str) -> bytes:  # noqa: ARG002 - the same for all
        """TEMP: a client that cannot frame a request may try again, but never takes it for a NOTFOUND."""
        return _MALFORMED


class SocketmapServer(Server):
    """Answers lookups in ``tables``; ``private`` says that the listener may hand out relay passwords."""

    def __init__(
        self,
        clock: IReactorTime,
        counters: HookCounters,
        *,
        tables: Iterable[str],
        lookup: Callable[[str, str], str | None],
        private: bool = True,
    ) -> None:
        super().__init__("socketmap", clock, counters)
        self.replies = ReplyCache()
        self._lookup = lookup
        served = [table for table in tables if private or table not in SECRET_TABLES]
        self._found = {table: counters.request(table, "found") for table in served}
        self._missing = {table: (socketmap.NOT_FOUND, counters.request(table, "notfound")) for table in served}

    def connection(self) -> SocketmapConnection:
        """Make the protocol of a new connection."""
        return SocketmapConnection(self)

    def reply(self, raw: bytes | None, payload: bytes) -> bytes:
        """Answer one request, and remember the answer by its ``raw`` bytes; WireError when it is no request."""
        started = perf_counter()
        entry = self.replies.find(raw) if raw else None
        if entry is None:
            table, key = socketmap.parse_request(payload)
            missing = self._missing.get(table)
            if missing is None:
                return self._temporary("unknown", _UNKNOWN, started)
            try:
                value = self._lookup(table, key)
            except Unavailable:
                return self._temporary(table, _UNAVAILABLE, started)
            except Exception:  # noqa: BLE001 - our own fault is logged, and TEMP to the client
                self.fault("TEMP answered")
                return self._temporary(table, _FAULT, started)
            entry = missing if value is None else (socketmap.ok(value), self._found[table])
            if entry[0].find(b":OK ", 1, 8) < 0 and value is not None:
                return self._temporary(table, entry[0], started)  # too long, or empty
            if raw and table not in SECRET_TABLES:
                self.replies.add(raw, entry)
        entry[1].value += 1
        self.counters.seconds.observe(perf_counter() - started)
        return entry[0]

    def _temporary(self, table: str, reply: bytes, started: float) -> bytes:
        self.counters.answered(table, "temporary", perf_counter() - started)
        return reply
