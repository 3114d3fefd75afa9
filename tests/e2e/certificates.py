"""Certificates for servers, and what clients are shown of them."""

from __future__ import annotations

import contextlib
import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path

from server import Server, trusting

from mailhooks.stack import certificate


def write_pair(directory: Path, name: str) -> None:
    """Write a self-signed pair over what is there, as cp does: the files stay the same ones."""
    text, private = certificate.make(name, datetime.now(UTC))
    for path, data in ((directory / "key.pem", private), (directory / "cert.pem", text)):
        path.touch(mode=0o600)
        path.write_bytes(data)


def shown(server: Server, service: str) -> str:
    """Return the certificate that a service shows now, in PEM; nothing while it does not answer."""
    with contextlib.suppress(OSError):
        if service in {"smtp", "submission"}:
            with server.smtp() as client:
                client.starttls(context=trusting())
                return pem(client.sock)
        with (
            socket.create_connection(("127.0.0.1", server.port[service]), 30) as plain,
            trusting().wrap_socket(plain) as client,
        ):
            return pem(client)
    return ""


def pem(client: ssl.SSLSocket) -> str:
    """Return the peer's certificate."""
    return ssl.DER_cert_to_PEM_cert(client.getpeercert(binary_form=True) or b"")
