"""Tells failed logins in the log, one line each, in a form that stays: fail2ban and people read it (docs/logs.rst).

    login failed: service=imap rip=192.0.2.7 reason=credentials user=adam@example1.com

The client's address comes from the daemon that asks, and is told only when it is one; the service is one of a closed
set; what the client chose stands last, as one word, so that no name can look like another line or another address.
Outages and throttled attempts are no failed logins and are told elsewhere.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from typing import TYPE_CHECKING

from twisted.logger import Logger

from mailhooks.log import word

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from mailhooks.passdb import Reason

WINDOW_SECONDS = 10.0
LINES = 500  # in a window, of all clients: a botnet must not fill the disk
LINES_OF_ONE = 20  # in a window, of one client: whoever counts failures has counted enough by then

log = Logger(namespace="mailhooks.login")


class FailedLogins:
    """One for all auth client sockets of a process."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._since = float("-inf")
        self._told: Counter[str] = Counter()  # at most LINES addresses
        self._held = 0

    def tell(self, service: str, address: str | None, reason: Reason, login: str) -> None:
        """Tell one, unless many were told just now."""
        now = self._clock.seconds()
        if now - self._since >= WINDOW_SECONDS:
            self._begin_window(now)
        who = plain_address(address)
        if self._told.total() >= LINES or self._told[who] >= LINES_OF_ONE:
            self._held += 1
            return
        self._told[who] += 1
        log.warn(
            "login failed: service={service} rip={rip} reason={reason} user={user}",
            service=service,
            rip=who,
            reason=reason.value,
            user=word(login),
        )

    def _begin_window(self, now: float) -> None:
        if self._held:
            log.warn("{held} more failed logins were not told", held=self._held)
        self._told.clear()
        self._held = 0
        self._since = now


def plain_address(text: str | None) -> str:
    """Return an IP address as it is usually written; "-" for what is none, a scope (RFC 4007) among it."""
    try:
        address = ipaddress.ip_address(text or "")
    except ValueError:
        return "-"
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            return "-"
        return str(address.ipv4_mapped or address)
    return str(address)
