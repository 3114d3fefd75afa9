"""Trying a relay host as Postfix's smtp(8) would: connect, STARTTLS, AUTH, and go.

What it does not do: look up MX records. A next hop without brackets is asked by its own name.
"""

from __future__ import annotations

import re
import smtplib
import ssl
from typing import TYPE_CHECKING, Literal

from mailhooks.cli.errors import BadInput, Negative
from mailhooks.store import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 30  # for each step: as long as Postfix waits for a connection (smtp_connect_timeout)
PORTS = {"": 25, "smtp": 25, "submission": 587, "submissions": 465, "smtps": 465}
WRAPPED = 465  # TLS from the first byte (RFC 8314)

_NEXTHOP = re.compile(r"(?:\[(?P<inside>[^\[\]]+)\]|(?P<bare>[^\[\]:\s]+))(?::(?P<port>[a-z0-9]+))?", re.IGNORECASE)

Level = Literal["encrypt", "verify", "may"]


def parse(nexthop: str) -> tuple[str, int]:
    """Split a next hop as Postfix spells it into host and port. Raises BadInput."""
    match = _NEXTHOP.fullmatch(nexthop)
    port = (match["port"] or "").lower() if match else ""
    if not match or not (port in PORTS or (port.isdigit() and 0 < int(port) < 2**16)):
        raise BadInput(f"{nexthop!r} is no next hop: expected one like [smtp.example.net]:587")
    return (match["inside"] or match["bare"]).lower().removeprefix("ipv6:"), PORTS.get(port) or int(port)


def log_in(nexthop: str, username: str, password: str, *, name: str, tls: Level) -> None:
    """Log in and leave. Raises Negative when the host says no, Unavailable when it cannot be asked."""
    host, port = parse(nexthop)
    try:
        with _connected(host, port, name, tls) as client:
            client.login(username, password)
    except smtplib.SMTPAuthenticationError as error:
        raise Negative(f"{nexthop} refuses {username}: {error.smtp_code} {_text(error.smtp_error)}") from error
    except smtplib.SMTPNotSupportedError as error:
        raise Negative(f"{nexthop} cannot be used: {error}") from error
    except smtplib.SMTPResponseException as error:
        raise Unavailable(f"{nexthop} answers {error.smtp_code} {_text(error.smtp_error)}") from error
    except ssl.SSLError as error:
        raise Negative(f"{nexthop}: TLS failed ({error.reason or error})") from error
    except (OSError, smtplib.SMTPException) as error:
        raise Unavailable(f"{nexthop} cannot be reached: {error}") from error


def _connected(host: str, port: int, name: str, tls: Level) -> smtplib.SMTP:
    context = _context(tls)
    local = name or None
    if port == WRAPPED:
        return smtplib.SMTP_SSL(host, port, local_hostname=local, timeout=SECONDS, context=context)
    client = smtplib.SMTP(host, port, local_hostname=local, timeout=SECONDS)
    try:
        _secure(client, context, tls)
    except BaseException:
        client.close()
        raise
    return client


def _secure(client: smtplib.SMTP, context: ssl.SSLContext, tls: Level) -> None:
    client.ehlo()
    if client.has_extn("starttls"):
        client.starttls(context=context)
        client.ehlo()
    elif tls != "may":
        raise Negative(f"the relay host offers no STARTTLS, and [server] relay_tls is {tls}")


def _context(tls: Level) -> ssl.SSLContext:
    """Check certificates exactly when Postfix would: only at the level verify."""
    context = ssl.create_default_context()
    if tls != "verify":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _text(reply: bytes | str) -> str:
    text = reply.decode(errors="replace") if isinstance(reply, bytes) else reply
    return " ".join(_printable(text)).strip()


def _printable(text: str) -> Iterator[str]:
    return ("".join(each if each.isprintable() else "?" for each in word) for word in text.split())
