"""Postfix lookup tables: the name of a Postfix parameter -> a function of store, key and recipient_delimiter.

Rules
    The key is what Postfix sends: one whole address or name in any case, quoted or raw, domains as U-labels with
    SMTPUTF8, and also ``*``, ``<>``, ``"<>"``, ``""`` or a bare domain where an address is expected (trivial-rewrite's
    probes, the null sender). All of these have an answer. ``None`` says that the store positively has no such row;
    ``Unavailable`` says that it cannot answer. A value is never empty.
    Nothing here makes mail bounce that was accepted before: see ``recipients.deliverable``.

What it does not do
    It refuses nobody. Accounts that do not receive are found like others; the policy rule ``recipient_access`` refuses
    them with their reason.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from mailhooks import recipients, senders
from mailhooks.address import fold, fold_domain, render, split_extension

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mailhooks.store import Store

# What separates logins in the value of smtpd_sender_login_maps (smtpd_check.c, CHARS_COMMA_SP).
_SEPARATOR = re.compile(r"[,\s]")


class UnknownTable(LookupError):
    """There is no table of that name; the text names the nearest one."""


def virtual_mailbox_domains(store: Store, key: str, _delimiter: str) -> str | None:
    """Say whether a domain is hosted here; the value is the domain."""
    name = fold_domain(key)
    domain = store.domain(name) if name is not None else None
    return domain.name if domain is not None and domain.alias_of is None else None


def virtual_alias_domains(store: Store, key: str, _delimiter: str) -> str | None:
    """Say whether a domain is another spelling of a hosted one; the value is the hosted domain."""
    name = fold_domain(key)
    domain = store.domain(name) if name is not None else None
    return domain.alias_of if domain is not None else None


def virtual_mailbox_maps(store: Store, key: str, delimiter: str) -> str | None:
    """Say whether an address is a mailbox, with or without its extension; the value is the mailbox."""
    address = fold(key)
    if address is None:
        return None
    if store.has_mailbox(address):
        return render(address)
    base, _ = split_extension(address, delimiter)
    if base == address or not store.has_mailbox(base) or store.live_targets(address) is None:
        return None  # an alias of the whole address that has ended ended it: nothing takes the address over
    return render(base)


def virtual_alias_maps(store: Store, key: str, delimiter: str) -> str | None:
    """Say where mail for an alias goes; several targets are joined by commas (virtual(5))."""
    address = fold(key)
    if address is None:
        return None
    targets = recipients.resolve(store, address, delimiter).targets
    if not targets:
        return None
    return ",".join(map(render, recipients.deliverable(store, address, targets, delimiter))) or None


def smtpd_sender_login_maps(store: Store, key: str, delimiter: str) -> str | None:
    """Name the logins that may send as an address, joined by commas.

    A login that holds a separator cannot be said in this table: one made to look like a list would be read as
    another's name, so it is left out. The policy rule ``sender_ownership`` knows it.
    """
    address = fold(key)
    if address is None:
        return None
    owners = senders.owners(store, address, delimiter)
    return ",".join(owner for owner in owners if not _SEPARATOR.search(owner)) or None


def smtp_sasl_password_maps(store: Store, key: str, delimiter: str) -> str | None:
    """Give ``user:password`` for a sender address, a host name, or a next hop exactly as relayhost spells it."""
    if "@" not in key:
        return _credentials(store.relay_credentials(key.lower()))
    address = fold(key)
    if address is None:
        return None
    for scope in senders.scopes(store, address, delimiter):
        nexthop = store.relay_nexthop(scope)
        if nexthop is not None:
            return _credentials(store.relay_credentials(nexthop, scope))
    return None


def sender_dependent_relayhost_maps(store: Store, key: str, delimiter: str) -> str | None:
    """Name the next hop for mail of a sender."""
    address = fold(key)
    if address is None:
        return None
    for scope in senders.scopes(store, address, delimiter):
        nexthop = store.relay_nexthop(scope)
        if nexthop is not None:
            return nexthop
    return None


def smtp_tls_policy_maps(store: Store, key: str, _delimiter: str) -> str | None:
    """Say ``encrypt`` to a next hop that is a relay host: one with credentials, or with the mail of a sender.

    What is rendered for Postfix puts ``[server] relay_tls`` in its place. Servers that mail goes straight to are not
    found.
    """
    return "encrypt" if key.isascii() and store.is_relay(key.lower()) else None


TABLES: Mapping[str, Callable[[Store, str, str], str | None]] = {
    table.__name__: table
    for table in (
        virtual_mailbox_domains,
        virtual_mailbox_maps,
        virtual_alias_domains,
        virtual_alias_maps,
        smtpd_sender_login_maps,
        smtp_sasl_password_maps,
        sender_dependent_relayhost_maps,
        smtp_tls_policy_maps,
    )
}


def lookup(store: Store, table: str, key: str, delimiter: str) -> str | None:
    """Answer one query of one table. Raises ``UnknownTable`` and ``Unavailable``."""
    try:
        answer = TABLES[table]
    except KeyError:
        near = difflib.get_close_matches(table, TABLES, 1, 0.4)
        cure = f"did you mean {near[0]}?" if near else f"known here: {', '.join(TABLES)}"
        raise UnknownTable(f"there is no table {table!r}: {cure}") from None
    return answer(store, key, delimiter)


def _credentials(found: tuple[str, str] | None) -> str | None:
    """Join what Postfix splits at the first colon; without a user name there is nothing to log in with."""
    return f"{found[0]}:{found[1]}" if found is not None and found[0] else None
