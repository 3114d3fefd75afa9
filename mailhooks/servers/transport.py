"""Transports that send at once: Twisted's own, less two system calls a request.

Twisted's ``write()`` always goes through the reactor (epoll_ctl, epoll_wait, send, epoll_ctl); these send in
``write()`` while nothing is buffered, and hand Twisted's buffer only what the kernel did not take. Everything after
that (order, producers, loss) is Twisted's. ``unix.Server`` reads with recvmsg for file descriptors that nobody sends
here: plain recv.

A failed send is never reported from inside ``write()``: the bytes go to the buffer, where the reactor meets the same
error and ends the connection in its own time, so no protocol is re-entered.
"""

from __future__ import annotations

import socket
import struct
from typing import Any

from twisted.internet import main, tcp, unix

# Read first: nearly always all there is. Each read has a buffer of its own, and to make one of 64 KB, as Twisted does,
# takes 0.3 µs more.
FIRST_BYTES = 16_384
_UCRED = struct.Struct("iII")  # struct ucred: pid, uid, gid (unix(7))


class SendAtOnce(tcp.Server):
    """A server's side of a connection whose ``write()`` sends while nothing is waiting to be sent."""

    def doRead(self) -> Any:
        """Read as much as tcp.Connection and hand it over, in one call where that makes two."""
        try:
            data = self.socket.recv(FIRST_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            return main.CONNECTION_LOST
        if not data:
            return main.CONNECTION_DONE
        if len(data) == FIRST_BYTES:
            data += self._rest()
        self.protocol.dataReceived(data)
        return None

    def _rest(self) -> bytes:
        try:
            return self.socket.recv(self.bufferSize - FIRST_BYTES)
        except OSError:  # nothing (EAGAIN), or lost: the next read finds out which
            return b""

    def write(self, data: bytes) -> None:
        """Send now what the kernel takes; the reactor sends the rest."""
        if self._tempDataLen or self.dataBuffer or self.TLS or self._writeDisconnecting or not self.connected:
            super().write(data)
            return
        try:
            sent = self.socket.send(data)
        except OSError:  # full (EAGAIN) or lost: the reactor finds out which
            sent = 0
        if sent != len(data):
            super().write(data[sent:])


class TCPTransport(SendAtOnce):
    """For tcp.Port; a peer that vanished without a word is noticed by the kernel."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.setTcpNoDelay(True)
        self.setTcpKeepAlive(True)


class UNIXTransport(SendAtOnce, unix.Server):
    """For unix.Port; receives no file descriptors."""


def peer_uid(transport: Any) -> int | None:
    """The user at the other end of a unix socket (SO_PEERCRED); None where there is no such thing."""
    handle = getattr(transport, "socket", None)
    if not isinstance(handle, socket.socket) or handle.family != socket.AF_UNIX:
        return None
    try:
        uid: int = _UCRED.unpack(handle.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))[1]
    except OSError:
        return None
    return uid
