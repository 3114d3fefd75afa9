"""Whether the daemon can listen where it is told to, found out before anything starts.

It would end at once and be started again and again, with the reason somewhere in the log. What it may not have is tried
as its own user: root has every port.
"""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

from mailhooks.config import Config, ConfigError
from mailhooks.endpoints import EndpointError, Listener
from mailhooks.hooks import enabled
from mailhooks.stack import directories, sockets

if TYPE_CHECKING:
    from collections.abc import Mapping


def check(config: Config, environment: Mapping[str, str], *, token: bool) -> None:
    """Raise ConfigError for a listener that cannot be, by the name of HTTP_LISTEN where that says it."""
    try:
        with directories.as_service(config):
            for (hook, table), listeners in enabled(config, None, token=token).items():
                for listener in listeners:
                    _try(f"listen.{hook}.{table}" if table else f"listen.{hook}", listener)
    except EndpointError as error:
        raise ConfigError(_said(str(error), environment.get("HTTP_LISTEN", "").strip())) from error


def _said(text: str, given: str) -> str:
    where, _, why = text.partition(": ")
    return f"HTTP_LISTEN={given!r}: {why}" if given and where.startswith("listen.http ") else text


def _try(where: str, listener: Listener) -> None:
    """Bind a TCP port and let go of it; one that is taken now may be free in a moment, and is tried again then."""
    if listener.kind not in ("tcp", "ssl"):
        return
    address = sockets.find_behind_tls(listener.text, where)
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            trial.bind((address.host.strip("[]"), address.port))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise EndpointError(f"{where} = {listener.text!r}: nobody can listen there: {error.strerror}") from error
