"""Logs in whoever is plainly right, past all that asks who else might be meant.

Nearly every login is one line of PLAIN for an account without any limits, with the right password, whose hash costs
microseconds or was verified lately. Such a one is granted here with one read of the store. To whatever else the answer
is None, and nothing was written or counted: the general way (``authenticator``) begins from the beginning. So there are
no refusals here, and what is granted is what the general way would grant.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from mailhooks import passdb, passwords
from mailhooks.address import fold
from mailhooks.store import Service, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailhooks.counters import Counters
    from mailhooks.servers.authenticator import Authenticator
    from mailhooks.store import Store
    from mailhooks.throttle import Throttle
    from mailhooks.wire.auth.whole import PlainLogin

SERVICES_AT_HAND = 64  # names of services, each with its label: there are a dozen, and clients can send any


class QuickLogins:
    """The authenticator's short way; it shares with it all that is remembered and counted."""

    def __init__(
        self,
        owner: Authenticator,
        counters: Counters,
        *,
        store: Store,
        throttle: Throttle | None,
        now: Callable[[], float],
    ) -> None:
        self._owner = owner
        self._counts = counters.auth
        self._store = store
        self._throttle = throttle
        self._now = now

    def grant(self, asked: PlainLogin) -> str | None:
        """Return who is logged in, at once and for certain; None: ask the general way."""
        try:
            return self._grant(asked)
        except Unavailable:
            return None
        except Exception:  # noqa: BLE001 - our own fault is no wrong password
            self._owner.fault()
            return None

    def _grant(self, asked: PlainLogin) -> str | None:
        _, service, _, network, login, password = asked
        owner, throttle = self._owner, self._throttle
        settings = owner.settings
        user = fold(login)
        if user is None or settings.rules.separator in login or (stored := self._store.password_alone(user)) is None:
            return None
        now = self._now()
        noted = None if throttle is None else throttle.unblemished(user, network)
        # To ask the throttle twice, here and on the general way, changes nothing: it answers the same.
        if noted is None and throttle is not None and throttle.ask(user, network, password, now) is not None:
            return None
        if passwords.verify_quick(stored, password, user=user):
            if settings.rehash and passwords.needs_rehash(stored):
                return None
        elif not owner.cache.knows(user, password, stored, now):
            return None
        if noted is not None and throttle is not None:
            throttle.note(noted, now)
        elif throttle is not None:
            throttle.right(user, network, now)
        to_send, label = _counted(service)
        self._counts[label] += 1
        if to_send and owner.tell_policy is not None:
            owner.tell_policy(user, network or "", passdb.MAIN)
        return user


@lru_cache(maxsize=SERVICES_AT_HAND)
def _counted(name: str) -> tuple[bool, tuple[str, str, str]]:
    """Tell whether a service is for sending mail, and how a login to it is counted."""
    service = passdb.service_of(name)
    return service is Service.SMTP, ("other" if service is None else service.value, "PLAIN", "accepted")
