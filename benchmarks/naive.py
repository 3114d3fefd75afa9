"""Yardstick R: the socketmap server one would write first. Stock Twisted, a netstring parser by hand, a dict."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.protocol import Factory, Protocol


class Naive(Protocol):
    def connectionMade(self) -> None:  # noqa: N802 - Twisted's name
        self.buffer = b""

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        self.buffer += data
        while b":" in self.buffer:
            length, _, rest = self.buffer.partition(b":")
            size = int(length)
            if len(rest) <= size:
                return
            payload, self.buffer = rest[:size], rest[size + 1 :]
            value = self.factory.table.get(payload)
            reply = b"OK " + value if value is not None else b"NOTFOUND "
            self.transport.write(b"%d:%s," % (len(reply), reply))


def read(path: Path) -> dict[bytes, bytes]:
    """Return request payload -> value, from the pairs of load.c."""
    data, at, fields = path.read_bytes(), 0, []
    while at < len(data):
        (length,) = struct.unpack_from("I", data, at)
        fields.append(data[at + 4 : at + 4 + length].partition(b":")[2][:-1])
        at += 4 + length
    return {request: reply[3:] for request, reply in zip(fields[::2], fields[1::2], strict=True) if reply[:3] == b"OK "}


factory = Factory.forProtocol(Naive)
factory.table = read(Path(sys.argv[2]))
reactor.listenUNIX(sys.argv[1], factory, backlog=1024)
reactor.run()
