"""Dovecot's dict protocol (lib-dict/dict-client.h, versions 3 and 4), for every namespace of ``mailhooks.dicts``.

A client says ``H`` with the name of its dict and goes on at once; ``H`` is never answered. Lookups, iterations and
commits are answered in the order they came, plainly: no ``*``, no ``+``, no timings. Writes belong to a transaction,
several of which may be open on a connection, told apart by id. A commit is answered after the database has it; what
the client sends meanwhile waits, so that a lookup behind a commit sees what was committed.

The peer's uid decides what it hears, since the protocol believes any user name: root and the user that all mail belongs
to hear of every user, a name that tells of everybody hears root only, and who else reaches the socket hears a refusal.

By default Dovecot opens a connection for each operation and closes it behind the answer. A malformed answer kills the
mail process that asked (2.3 dies by SIGSEGV): all of them are made by ``wire.dict``, in one place below.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, cast

from twisted.python.failure import Failure

from mailhooks.dicts import NAMESPACES, Namespace
from mailhooks.servers.base import Server
from mailhooks.servers.budget import Budget
from mailhooks.servers.dict_state import MAX_TOTAL_BYTES, NO_TEXT, NotForThisPeer, Transaction
from mailhooks.servers.in_order import InOrder
from mailhooks.store import Refused, Store, Unavailable
from mailhooks.wire import dict as wire
from mailhooks.wire.errors import WireError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from twisted.internet.interfaces import IReactorTime

    from mailhooks.counters import Counters
    from mailhooks.workers import Writer

MAJORS = (3, 4)  # 2.3.17 and later; 2.4
MAX_OPEN = 32  # transactions of one connection; Dovecot's METADATA opens two
MAX_ROWS = 10_000  # of one iteration over what is kept per user, which is far below

ROOT = 0

RECURSE, SORT_KEY, SORT_VALUE, NO_VALUE, EXACT_KEY = 1, 2, 4, 8, 16  # enum dict_iterate_flags

TRY_AGAIN = "the store cannot answer now"
FAULT = "internal error, see the log of mailhooks"


class DictConnection(InOrder):
    """One client of the dict."""

    server: DictServer

    def __init__(self, server: DictServer) -> None:
        super().__init__(server, server.budget)
        self.parser = wire.DictParser()
        self._namespace: Namespace | None = None
        self._name = ""
        self._open: dict[int, Transaction] = {}

    def incomplete(self) -> bool:
        """Half a line; an open transaction too is nothing that may stay for ever."""
        return super().incomplete() or bool(self._open)

    def lost(self) -> None:
        """Whatever was not committed is rolled back; what was is written, only the answer has no reader."""
        super().lost()
        for transaction in self._open.values():
            transaction.forget()
        self._open.clear()

    def oldest_begun(self) -> float | None:
        """When the oldest transaction that is open was begun."""
        return min((transaction.began for transaction in self._open.values()), default=None)

    def take(self, message: wire.Message) -> bytes:
        """Answer one command."""
        if isinstance(message, wire.Hello):
            self._hello(message)
            return b""
        if self._namespace is None:
            raise WireError("order", "a command before the hello")
        match message:
            case wire.Lookup(key, user):
                return self._read_store(lambda: self._lookup(key, user))
            case wire.Iterate() if self._namespace.everybody:
                return self._stream(message)
            case wire.Iterate():
                return self._read_store(lambda: self._iterate(message))
            case wire.Commit(number):
                return self._commit(number)
            case wire.Begin():
                self._begin(message, self._namespace)
            case _:
                self._change(message)
        return b""

    def _begin(self, begin: wire.Begin, namespace: Namespace) -> None:
        if begin.id in self._open or len(self._open) >= MAX_OPEN:
            raise WireError("order", "a transaction is begun twice, or too many are open")
        self._open[begin.id] = Transaction(begin, namespace, self.server.clock.seconds(), self.budget)

    def _change(self, message: wire.Message) -> None:
        """Take what belongs to a transaction and has no answer."""
        match message:
            case wire.Set() | wire.Unset() | wire.Increment():
                self._transaction(message.id).add(message)
            case wire.SetBinary():
                self._transaction(message.id).refuse(NO_TEXT)
            case wire.Timestamp():
                if self._transaction(message.id).changes:
                    raise WireError("order", "a timestamp behind a change")
            case wire.HideValues():  # nothing here logs a value
                self._transaction(message.id)
            case wire.Rollback(number):
                self._transaction(number).forget()
                del self._open[number]

    def _hello(self, hello: wire.Hello) -> None:
        if self._namespace is not None:
            raise WireError("order", "a second hello")
        if hello.major not in MAJORS:
            raise WireError("version", "a version of the dict protocol that is not spoken here")
        namespace = self.server.namespaces.get(hello.name)
        if namespace is None:
            raise WireError("field", "a dict of this name is not served here")
        self._name = hello.name
        self._namespace = namespace if self._may(namespace) else NotForThisPeer(self.peer_uid)

    def _may(self, namespace: Namespace) -> bool:
        """Whether this peer may ask about any user it names."""
        return self.peer_uid in (self.server.private_uids if namespace.everybody else self.server.uids)

    def _transaction(self, number: int) -> Transaction:
        transaction = self._open.get(number)
        if transaction is None:
            raise WireError("order", "a transaction that was not begun")
        return transaction

    def _read_store(self, answer: Callable[[], tuple[str, bytes]]) -> bytes:
        """Count an answer that is at hand, or say why there is none."""
        began = self.server.clock.seconds()
        try:
            result, reply = answer()
        except Unavailable:
            result, reply = "temporary", wire.failed(TRY_AGAIN)
        except Refused as error:
            result, reply = "permanent", wire.failed(str(error))
        except Exception:  # noqa: BLE001 - our own fault must not end a user's mail session
            self.server.fault("F answered")
            result, reply = "temporary", wire.failed(FAULT)
        return self._counted((result, reply), began)

    def _counted(self, outcome: tuple[str, bytes], began: float) -> bytes:
        result, reply = outcome
        self.counters.answered(self._name, result, self.server.clock.seconds() - began)
        return reply

    def _lookup(self, key: str, user: str) -> tuple[str, bytes]:
        assert self._namespace is not None  # noqa: S101 - for the type checker
        value = self._namespace.lookup(self.server.store, key, user)
        return ("notfound", wire.missing()) if value is None else ("found", wire.found(value))

    def _iterate(self, asked: wire.Iterate) -> tuple[str, bytes]:
        assert self._namespace is not None  # noqa: S101 - for the type checker
        rows = self._namespace.rows(self.server.store, asked.path, asked.user)
        wanted = list(islice((row for row in rows if _is_asked(row[0], asked)), MAX_ROWS + 1))
        if len(wanted) > MAX_ROWS:
            raise Refused(f"more than {MAX_ROWS} rows")
        if asked.flags & (SORT_KEY | SORT_VALUE):
            wanted.sort(key=lambda row: row[1] if asked.flags & SORT_VALUE else row[0])
        if asked.max_rows:
            del wanted[asked.max_rows :]
        lines = b"".join(wire.row(key, "" if asked.flags & NO_VALUE else value) for key, value in wanted)
        return "found" if lines else "notfound", lines + wire.END_OF_ROWS

    def _stream(self, asked: wire.Iterate) -> bytes:
        """List what may be as long as the list of all users; it comes in the order of the keys, however asked for."""
        assert self._namespace is not None  # noqa: S101 - for the type checker
        began = self.server.clock.seconds()
        rows = self._namespace.rows(self.server.store, asked.path, asked.user)
        self.stream(_lines(rows, asked), lambda error: self._counted(self._end_of_rows(error), began))
        return b""

    def _end_of_rows(self, error: Exception | None) -> tuple[str, bytes]:
        if error is None:
            return "found", wire.END_OF_ROWS
        if isinstance(error, Unavailable):
            return "temporary", wire.failed(TRY_AGAIN)
        self.server.fault("F answered", Failure(error))  # type: ignore[no-untyped-call]
        return "temporary", wire.failed(FAULT)

    def _commit(self, number: int) -> bytes:
        transaction = self._transaction(number)
        del self._open[number]
        began = self.server.clock.seconds()
        is_written = transaction.commit()
        if transaction.refusal is not None:
            result, text = transaction.refusal
            return self._counted((result, wire.failed(text, number)), began)
        if not is_written:
            transaction.forget()
            return wire.committed(number)

        written = self.server.writer.batch(transaction.write)
        written.addCallbacks(
            lambda result: _outcome(result, number),
            lambda failure: self._not_committed(failure, number),
        )
        if written.called:  # refused at once: in its place among the replies to this read
            transaction.forget()
            return self._counted(cast("tuple[str, bytes]", written.result), began)
        self.answer_later()

        def answered(outcome: tuple[str, bytes]) -> None:
            transaction.forget()  # first: what waits behind it may need the room
            self.answered(self._counted(outcome, began))

        written.addCallback(answered)
        return b""

    def _not_committed(self, failure: Failure, number: int) -> tuple[str, bytes]:
        if isinstance(failure.value, Unavailable):
            return "temporary", wire.failed(TRY_AGAIN, number)
        if isinstance(failure.value, Refused):
            return "permanent", wire.failed(str(failure.value), number)
        self.server.fault("F answered", failure)
        return "temporary", wire.failed(FAULT, number)


def _outcome(result: bool | Refused, number: int) -> tuple[str, bytes]:
    if isinstance(result, Refused):
        return "permanent", wire.failed(str(result), number)
    return ("ok", wire.committed(number)) if result else ("notfound", wire.missing(number))


def _lines(rows: Iterable[tuple[str, str]], asked: wire.Iterate) -> Iterator[bytes]:
    wanted = (row for row in rows if _is_asked(row[0], asked))
    for key, value in islice(wanted, asked.max_rows or None):
        yield wire.row(key, "" if asked.flags & NO_VALUE else value)


def _is_asked(key: str, asked: wire.Iterate) -> bool:
    if asked.flags & EXACT_KEY:
        return key == asked.path
    return key.startswith(asked.path) and bool(asked.flags & RECURSE or "/" not in key[len(asked.path) :])


class DictServer(Server):
    """The dict hook: which namespaces are served, and the store behind them."""

    def __init__(
        self,
        clock: IReactorTime,
        counters: Counters,
        *,
        store: Store,
        writer: Writer,
        namespaces: Mapping[str, Namespace] = NAMESPACES,
        uids: Collection[int] = (),
        private_uids: Collection[int] = (),
    ) -> None:
        """Serve ``namespaces`` to root and ``uids``, and to root and ``private_uids`` what tells of everybody."""
        super().__init__("dict", clock, counters.hooks["dict"])
        self.store = store
        self.writer = writer
        self.budget = Budget(MAX_TOTAL_BYTES)
        self.namespaces = namespaces
        self.uids = {ROOT, *uids, None}  # None: behind TLS, which has checked the client's certificate
        self.private_uids = {ROOT, *private_uids}

    def oldest_transaction(self) -> float:
        """Return for how many seconds the oldest open transaction has been open; 0 without any."""
        begun = (connection.oldest_begun() for connection in self.connections if isinstance(connection, DictConnection))
        now = self.clock.seconds()
        return now - min((each for each in begun if each is not None), default=now)

    def connection(self) -> DictConnection:
        """Make the protocol of a new connection."""
        return DictConnection(self)
