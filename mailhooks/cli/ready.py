"""``mailhooks ready``: ask the daemon that runs here whether every hook answers: a health check.

It reads ``/readyz`` where ``[listen] http`` says, with the token that is set. The certificate of an ``ssl:`` endpoint
is not judged: whoever could listen there in its place could as well replace this program. Where http is switched off
every hook is asked through its own socket, with the questions that ``/readyz`` asks.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from typing import TYPE_CHECKING

import click

from mailhooks.cli.errors import Negative
from mailhooks.cli.session import Session, pass_session
from mailhooks.stack import http_token, sockets

if TYPE_CHECKING:
    from mailhooks.config import Config

TIMEOUT = 8.0  # seconds: less than a health check's own, so that the reason is still told
MAX_ANSWER = 65_536  # bytes of it that are read: one line for each hook


@click.command()
@pass_session
def command(session: Session) -> None:
    """Ask the running daemon whether every hook answers: exit code 0, or 1 and the reason."""
    config = session.config
    status, text = _ask_http(config) if config.listen.http else _ask_hooks(config)
    if status != http.HTTPStatus.OK:
        raise Negative(f"not ready: {text}")
    click.echo(text)


def _ask_http(config: Config) -> tuple[int, str]:
    token = http_token.read(config)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        connection = _connection(config)
        connection.request("GET", "/readyz", headers=headers)
        response = connection.getresponse()
        return response.status, response.read(MAX_ANSWER).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        raise Negative(f"not ready: the daemon does not answer on {config.listen.http[0]!r}: {error}") from error


def _ask_hooks(config: Config) -> tuple[int, str]:
    from mailhooks.stack import hookcheck  # noqa: PLC0415 - Twisted, which the other way does without

    return hookcheck.ask(config)


def _connection(config: Config) -> http.client.HTTPConnection:
    endpoint = config.listen.http[0]
    secure = endpoint.startswith("ssl:")
    address = sockets.find_behind_tls(endpoint, "http")
    if address.path:
        connection = http.client.HTTPConnection("localhost", timeout=TIMEOUT)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(TIMEOUT)
        connection.sock.connect(address.path)
        return connection
    host = address.host.strip("[]")
    if secure:
        unverified = ssl._create_unverified_context()  # noqa: S323, SLF001 - see above
        return http.client.HTTPSConnection(host, address.port, timeout=TIMEOUT, context=unverified)
    return http.client.HTTPConnection(host, address.port, timeout=TIMEOUT)
