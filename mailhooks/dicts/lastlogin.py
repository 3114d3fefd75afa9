"""When each user last logged in, told by Dovecot's last_login plugin (last-login/last-login-plugin.c).

The plugin writes ``shared/last-login/<user>``, or what ``last_login_key`` says; the configuration that mailhooks
renders puts the service before the user, ``shared/last-login/<service>/<user>``. The value is in seconds.

The user in the key is the user of the command: nobody logs in for another. A user without a mailbox: as in ``quota``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailhooks.address import fold
from mailhooks.dicts.namespace import Operation, Write, number
from mailhooks.store import Batch, Refused, Store
from mailhooks.wire.dict import Set

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PREFIX = "shared/last-login/"
SERVICES = ("imap", "pop3", "sieve", "smtp")
ANY_SERVICE = ""  # the plugin's own key names none
MAX_SECONDS = 10**11  # the year 5138: beyond it, the plugin was told to count in milliseconds or less


class LastLogins:
    """``shared/last-login/`` of each user, with and without the service."""

    everybody = False

    def lookup(self, store: Store, key: str, user: str) -> str | None:
        """Seconds since the epoch, None before the first login."""
        return dict(self.rows(store, key, user)).get(key)

    def rows(self, store: Store, path: str, user: str) -> Iterable[tuple[str, str]]:  # noqa: ARG002 - all are few
        """One row for each service; the row without a service is the latest of all."""
        address = fold(user)
        logins = store.last_logins(address) if address else ()
        if logins:
            yield f"{PREFIX}{user}", str(int(max(login.at for login in logins)))
        for login in logins:
            if login.service != ANY_SERVICE:
                yield f"{PREFIX}{login.service}/{user}", str(int(login.at))

    def prepare(self, operations: Sequence[Operation], user: str) -> Write:
        """Keep the times."""
        logins = [_login(operation, user) for operation in operations]
        address = fold(user)

        def write(batch: Batch) -> bool:
            if address is not None:
                for service, at in logins:
                    batch.set_last_login(address, service, at)
            return True

        return write


def _login(operation: Operation, user: str) -> tuple[str, int]:
    service, slash, whose = operation.key.removeprefix(PREFIX).partition("/")
    if not slash or service not in SERVICES:  # a local part may hold a slash
        service, whose = ANY_SERVICE, operation.key.removeprefix(PREFIX)
    if not operation.key.startswith(PREFIX) or fold(whose) != fold(user):
        raise Refused(f"the lastlogin dict has no key {operation.key} for this user: only {PREFIX}[SERVICE/]USER")
    if not isinstance(operation, Set):
        raise Refused("the time of a login is only ever set")
    at = number(operation.value, operation.key)
    if not 0 <= at < MAX_SECONDS:
        raise Refused("the time of a login is in seconds: last_login_precision = s")
    return service, at
