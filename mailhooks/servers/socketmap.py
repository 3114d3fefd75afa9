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
from mailhooks.wire.errors import WireError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from twisted.internet.interfaces import IReactorTime

    from mailhooks.counters import HookCounters

SECRET_TABLES = frozenset({"smtp_sasl_password_maps"})  # only on private listeners; never remembered

COMMA = ord(",")
ZERO = ord("0")

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
        """Answer exactly one whole request here and now; all else goes the general way.

        This is the path of nearly every request, so it calls as little as possible.
        """
        if self.half_since is None and not self.closing:
            entry = self._remembered.get(data)
            if entry is not None:
                entry[1].value += 1
                self._durations[0] += 1  # a dict lookup is below the lowest bound: not worth two looks at the clock
                self.transport.write(entry[0])
                return
            colon = data.find(b":", 1, 6)
            # A length with a leading zero, or too long, is for the parser to judge.
            if (
                colon > 0
                and data[-1] == COMMA
                and data[0] != ZERO
                and data[:colon].isdigit()
                and int(data[:colon]) == len(data) - colon - 2 <= socketmap.MAX_REQUEST
            ):
                try:
                    reply = self._tables.reply(data, data[colon + 1 : -1])
                except WireError as error:
                    self.refuse(error.kind)
                else:
                    self.transport.write(reply)
                return
        super().dataReceived(data)

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
        tables: Mapping[str, Callable[[str], str | None]],
        private: bool = True,
    ) -> None:
        super().__init__("socketmap", clock, counters)
        self.replies = ReplyCache()
        self._durations = counters.seconds
        self._tables = {
            name: (table, (socketmap.NOT_FOUND, counters.request(name, "notfound")), counters.request(name, "found"))
            for name, table in tables.items()
            if private or name not in SECRET_TABLES
        }

    def connection(self) -> SocketmapConnection:
        """Make the protocol of a new connection."""
        return SocketmapConnection(self)

    def reply(self, raw: bytes | None, payload: bytes) -> bytes:
        """Answer one request, and remember the answer by its ``raw`` bytes; WireError when it is no request."""
        started = perf_counter()
        replies = self.replies
        entry = replies.find(raw) if raw and replies.old else None
        if entry is None:
            name, key = socketmap.parse_request(payload)
            if name not in self._tables:
                return self._temporary("unknown", _UNKNOWN, started)
            table, missing, found = self._tables[name]
            try:
                value = table(key)
            except Unavailable:
                return self._temporary(name, _UNAVAILABLE, started)
            except Exception:  # noqa: BLE001 - our own fault is logged, and TEMP to the client
                self.fault("TEMP answered")
                return self._temporary(name, _FAULT, started)
            if value is None:
                entry = missing
            else:
                entry = (socketmap.ok(value), found)
                if entry[0].find(b":OK ", 1, 8) < 0:
                    return self._temporary(name, entry[0], started)  # too long, or empty
            trace = self.counters.trace
            if trace is not None:
                trace(name, "notfound" if value is None else "found", perf_counter() - started, key)
            elif raw and name not in SECRET_TABLES:  # what is remembered is not told
                replies.add(raw, entry)
        entry[1].value += 1
        self._durations.observe(perf_counter() - started)
        return entry[0]

    def _temporary(self, table: str, reply: bytes, started: float) -> bytes:
        self.counters.answered(table, "temporary", perf_counter() - started)
        return reply
