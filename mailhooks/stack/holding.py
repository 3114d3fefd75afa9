"""The unix sockets of the daemon, which ``up`` makes and holds: while ``serve`` restarts, clients wait a moment.

Without that they would be refused, and an smtpd that begins while nobody listens on the auth socket dies, whereupon
Postfix shows nothing on that port for a minute. ``serve`` inherits them as from systemd (sd_listen_fds(3)).
"""

from __future__ import annotations

import errno
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailhooks.config import Config, ConfigError
from mailhooks.endpoints import EndpointError, Listener
from mailhooks.hooks import default_group, enabled
from mailhooks.lifecycle import END_SECONDS
from mailhooks.servers.ports import identity
from mailhooks.stack import directories

if TYPE_CHECKING:
    import socket
    from pathlib import Path

# A daemon that a killed ``up`` left behind still has them, and ends by itself within END_SECONDS.
LEFT_BEHIND_SECONDS = END_SECONDS + 3
LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Socket:
    """One that listens."""

    name: str  # of the hook, or of the table of tcp_table, that is served on it
    sock: socket.socket
    path: Path
    identity: tuple[int, int] | None

    def close(self) -> None:
        """Let go of it, and remove the path unless another process has taken it over."""
        if identity(self.path) == self.identity:
            self.path.unlink(missing_ok=True)
        self.sock.close()


@dataclass(frozen=True)
class Held:
    """All of them."""

    sockets: tuple[Socket, ...] = ()

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What the daemon inherits, from descriptor 3 on."""
        return tuple(each.sock.fileno() for each in self.sockets)

    @property
    def environment(self) -> dict[str, str]:
        """What tells the daemon of them, but for LISTEN_PID, which only its own process knows."""
        if not self.sockets:
            return {}
        names = ":".join(each.name for each in self.sockets)
        return {"LISTEN_FDS": str(len(self.sockets)), "LISTEN_FDNAMES": names}

    def close(self) -> None:
        """Let go of all."""
        for each in self.sockets:
            each.close()


NOTHING = Held()


def make(config: Config, *, token: bool) -> Held:
    """Make every unix socket of ``[listen]``, owned by the daemon's user. Raises ConfigError, and holds nothing.

    ``token``: the HTTP port asks for one.
    """
    made: list[Socket] = []
    until = time.monotonic() + LEFT_BEHIND_SECONDS
    try:
        # As the daemon itself would: their directories are its own, and what root does there it could lead elsewhere.
        with directories.as_service(config):
            for (hook, table), listeners in enabled(config, None, token=token).items():
                for listener in listeners:
                    if listener.kind == "unix":
                        sock, path = _bind(listener, default_group(config, hook), until)
                        made.append(Socket(table or hook, sock, path, identity(path)))
    except EndpointError as error:
        Held(tuple(made)).close()
        raise ConfigError(str(error)) from error
    return Held(tuple(made))


def _bind(listener: Listener, group: str | int | None, until: float) -> tuple[socket.socket, Path]:
    while True:
        try:
            return listener.bind(group)
        except EndpointError as error:
            cause = error.__cause__
            if not (isinstance(cause, OSError) and cause.errno == errno.EADDRINUSE) or time.monotonic() >= until:
                raise
        time.sleep(LOOK_SECONDS)
