"""Listening sockets whose connections send at once, made so that nobody connects before mode and group are right.

Twisted's own UNIX port gives an inherited socket mode 0666, and at the end removes its path and shuts it down for
everybody who holds it; a new one it shows to all for a moment (bind, then chmod). Here a socket is made first,
complete, and the port never touches the path; a path that we made is removed at the end, unless another process has
taken it over meanwhile.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from typing import TYPE_CHECKING, Any

from twisted.internet import tcp, unix

from mailhooks.servers.transport import TCPTransport, UNIXTransport

if TYPE_CHECKING:
    from pathlib import Path

    from twisted.internet.interfaces import IProtocolFactory
    from twisted.python.failure import Failure

BACKLOG = 1024  # connections that wait for accept: a mail burst starts hundreds of smtpd at once
MAX_PATH = 107  # bytes of a path, sizeof(sun_path) less the NUL (unix(7))
DIRECTORY_MODE = 0o755  # of directories that are made for a socket

_NO_PATH = b"\0not ours to touch"  # keeps Twisted's port from chmod and unlink


class TCPPort(tcp.Port):
    """A TCP port."""

    transport = TCPTransport  # type: ignore[assignment]


class UNIXPort(unix.Port):
    """Accepts on a listening socket that is complete; removes ``path`` at the end if it is still that socket."""

    transport = UNIXTransport

    def __init__(self, sock: socket.socket, factory: IProtocolFactory, reactor: Any, path: Path | None = None) -> None:
        super().__init__(_NO_PATH, factory, BACKLOG, reactor=reactor)
        self._preexistingSocket = sock
        self._shouldShutdown = path is not None  # an inherited one goes on listening for whoever serves it next
        self._path = path
        self._identity = identity(path) if path else None

    def connectionLost(self, reason: Failure) -> None:
        """Stop, and remove the path."""
        if self._path and identity(self._path) == self._identity:
            self._path.unlink(missing_ok=True)
        super().connectionLost(reason)


def bind_unix(path: Path, mode: int) -> socket.socket:
    """Make a socket at ``path`` that only its owner could use, and nobody yet: ``listen`` is the caller's last step.

    A stale socket is removed, a live one is not; missing directories are made. Raises OSError.
    """
    if len(os.fsencode(path)) > MAX_PATH:
        raise OSError(errno.ENAMETOOLONG, f"the path of a unix socket has at most {MAX_PATH} bytes")
    path.parent.mkdir(DIRECTORY_MODE, parents=True, exist_ok=True)
    _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        os.fchmod(sock.fileno(), mode & stat.S_IRWXU)  # Linux gives the path this mode, so no umask is touched
        sock.bind(os.fsencode(path))
    except OSError:
        sock.close()
        raise
    return sock


def _remove_stale(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.EEXIST, "there is something that is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(os.fsencode(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except FileNotFoundError:
            return
        except BlockingIOError:  # its backlog is full: it lives
            pass
    raise OSError(errno.EADDRINUSE, "another process listens there")


def identity(path: Path) -> tuple[int, int] | None:
    """Device and inode of what is at a path, None for nothing."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
