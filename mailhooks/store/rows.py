"""From rows to values and back: the spellings that columns have and values do not."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from mailhooks.store.model import ALL_SERVICES, EXPIRED, AppPassword, Mailbox, Service, State

if TYPE_CHECKING:
    from collections.abc import Iterable

MAILBOX_COLUMNS = (
    "address, name, state, reason, until, allow, networks, quota, password, expires, "
    "CASE WHEN quota IS NULL THEN (SELECT d.quota FROM domain d WHERE d.name = mailbox.domain) ELSE quota END"
)
APP_PASSWORD_COLUMNS = "id, address, label, hash, services, networks, expires"  # noqa: S105 - names of columns


def mailbox(row: tuple[Any, ...], now: float) -> Mailbox:
    """Make a Mailbox of a row of MAILBOX_COLUMNS; a state that has run out is active again, what has expired closed."""
    address, name, state, reason, until, allow, networks, own_quota, password, expires, quota = row
    if until is not None and until <= now:
        state, reason, until = State.ACTIVE, "", None
    if expires is not None and expires <= now:
        state, reason, until = State.CLOSED, reason or EXPIRED, None
    return Mailbox(
        address,
        name,
        _STATES[state],
        reason,
        until,
        services(allow),
        quota or None,
        own_quota,
        password,
        tuple(networks.split()),
        expires,
    )


def app_password(row: tuple[Any, ...]) -> AppPassword:
    """Make an AppPassword of a row of APP_PASSWORD_COLUMNS."""
    number, address, label, hashed, allowed, networks, expires = row
    return AppPassword(number, address, label, hashed, services(allowed), tuple(networks.split()), expires)


@lru_cache(maxsize=64)  # there are 2^4 of them
def services(column: str | None) -> frozenset[Service]:
    """Read a column of services; NULL is all of them."""
    if column is None:
        return ALL_SERVICES
    return frozenset(Service(name) for name in column.split(",") if name)


def services_column(allowed: Iterable[Service]) -> str | None:
    """Write services as a column."""
    chosen = frozenset(allowed)
    return None if chosen == ALL_SERVICES else ",".join(sorted(chosen))


_STATES = {state.value: state for state in State}
