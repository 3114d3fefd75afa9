"""Who may send as an address: one answer for smtpd_sender_login_maps, the policy rule and ``explain send``.

Rules
    A login owns its own address and every extension of it, in each spelling that an alias domain gives; addresses that
    deliver to it through an alias or a catch-all, when at most one other address is behind them; and what a grant
    says (an address or ``@domain``). An alias with two or more others behind it is a mailing list: its address speaks
    for all of them, so only a grant gives it. The address of an account is its owner's alone: forwarding a copy to a
    colleague does not let the colleague send as the owner.

What it does not do
    It does not know whether a login may send at all (that is the account's state), and it does not see the From header.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailhooks import recipients
from mailhooks.address import split_extension

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailhooks.store import Store

MAX_PERSONAL = 2  # ends of an alias whose address is still a person's: the login itself and at most one other


def owns(store: Store, login: str, sender: str, delimiter: str) -> bool:
    """Tell whether ``login`` may send as ``sender``. Raises ``Unavailable``."""
    return sender == login or login in personal(store, sender, delimiter) or is_granted(store, login, sender, delimiter)


def owners(store: Store, sender: str, delimiter: str) -> tuple[str, ...]:
    """Name all logins that may send as ``sender``, each once: those that receive its mail first, then the granted."""
    found = [*personal(store, sender, delimiter), *granted(store, sender, delimiter)]
    return tuple(dict.fromkeys(found))


def personal(store: Store, sender: str, delimiter: str) -> tuple[str, ...]:
    """Name the accounts to which an address belongs without a grant."""
    found = recipients.settle(store, sender, delimiter)
    if found.step in (recipients.Step.EXACT, recipients.Step.WITHOUT_EXTENSION):
        if found.mailbox:
            return (found.mailbox,)
        account = recipients.own_account(store, found.source, delimiter)
        if account is not None:
            return (account.address,)
    accounts: set[str] = set()
    others: set[str] = set()
    for target in found.targets:
        for leaf in recipients.leaves(store, target, delimiter):
            if leaf.account is not None:
                accounts.add(leaf.name)
            elif leaf.outside:
                others.add(leaf.name)
            if len(accounts) + len(others) > MAX_PERSONAL:
                return ()
    return tuple(sorted(accounts))


def granted(store: Store, sender: str, delimiter: str) -> tuple[str, ...]:
    """Name the logins that a grant lets send as an address."""
    return tuple(
        dict.fromkeys(login for scope in scopes(store, sender, delimiter) for login in store.logins_granted(scope))
    )


def is_granted(store: Store, login: str, sender: str, delimiter: str) -> bool:
    """Tell whether a grant lets ``login`` send as ``sender``."""
    return any(login in store.logins_granted(scope) for scope in scopes(store, sender, delimiter))


def scopes(store: Store, sender: str, delimiter: str) -> Iterator[str]:
    """Spell what a rule about a sender can be filed under, the most specific first; an alias domain is the last resort.

    For ``adam+x@alias.example``: itself, without extension, ``@alias.example``, and the three of the hosted domain.
    """
    local, _, name = sender.rpartition("@")
    yield from _spellings(sender, name, delimiter)
    domain = store.domain(name)
    if domain is not None and domain.alias_of is not None:
        yield from _spellings(f"{local}@{domain.alias_of}", domain.alias_of, delimiter)


def _spellings(address: str, domain: str, delimiter: str) -> Iterator[str]:
    yield address
    base, _ = split_extension(address, delimiter)
    if base != address:
        yield base
    yield f"@{domain}"
