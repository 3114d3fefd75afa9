"""Who is meant by a login name: an account, by another of its addresses if that is allowed, or through a master user.

Rules
    A login name is first of all the address of an account. With ``alias_login`` it may also be the account's address
    with an extension, at an alias domain, or a personal alias: one with a single target, which is an account. Never a
    list, and never a catch-all.
    A master user logs in as another account, with the master's own password: ``login*master``, or the account as the
    authorization identity of PLAIN. Who is one, the configuration says. A master gets in where the owner could.

What it does not do
    It checks no password and no state (``mailhooks.passdb``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mailhooks import recipients
from mailhooks.address import AddressError, fold, normalise

if TYPE_CHECKING:
    from mailhooks.store import Store


@dataclass(frozen=True, slots=True)
class LoginRules:
    """What a login name may be."""

    delimiter: str = "+"  # between an address and its extension
    alias_login: bool = False
    masters: frozenset[str] = frozenset()  # canonical addresses of accounts
    separator: str = "*"  # between the account and the master
    master_smtp: bool = False  # whether a master may also send as another

    @classmethod
    def of(cls, auth: Any, delimiter: str) -> LoginRules:
        """Take them from the ``[auth]`` section. Raises ValueError, also for a master that is no address."""
        if len(auth.master_separator) != 1:
            raise ValueError("auth.master_separator is one character, such as *")
        try:
            masters = frozenset(map(normalise, auth.master_users))
        except AddressError as error:
            raise ValueError(f"auth.master_users: {error}") from error
        return cls(
            delimiter=delimiter,
            alias_login=auth.alias_login,
            masters=masters,
            separator=auth.master_separator,
            master_smtp=auth.master_smtp,
        )


@dataclass(frozen=True, slots=True)
class Who:
    """Whom a login name means. ``user`` is what was given where that is no address, or nobody's."""

    user: str  # the account that is used
    asked: str  # the name in its canonical spelling, without the master
    master: str = ""  # the account that logs in for it; empty: its owner

    @property
    def owner(self) -> str:
        """Whose password counts."""
        return self.master or self.user


STANDARD = LoginRules()


def who(store: Store, login: str, authzid: str = "", rules: LoginRules = STANDARD) -> Who | None:
    """Tell whom a login means; None when it would act as another without the right to. Raises Unavailable."""
    if rules.masters:
        target, between, name = login.rpartition(rules.separator)
        if between and (master := _master(store, name, rules)):
            return _named(store, target, rules, master)
        if authzid and (master := _master(store, login, rules)):
            meant = _named(store, authzid, rules, master)
            return meant if meant.user != master else _named(store, login, rules)
    meant = _named(store, login, rules)
    return meant if not authzid or fold(authzid) in (meant.user, meant.asked) else None


def _master(store: Store, login: str, rules: LoginRules) -> str:
    user = _named(store, login, rules).user
    return user if user in rules.masters else ""


def _named(store: Store, login: str, rules: LoginRules, master: str = "") -> Who:
    address = fold(login)
    if address is None:
        return Who(login, login, master)
    return Who(_account(store, address, rules), address, master)


def _account(store: Store, address: str, rules: LoginRules) -> str:
    """The account that an address stands for; itself where it stands for none."""
    if not rules.alias_login or store.has_mailbox(address):
        return address
    found = recipients.settle(store, address, rules.delimiter)
    if found.step in (recipients.Step.CATCH_ALL, recipients.Step.NOWHERE, recipients.Step.OUTSIDE):
        return address
    account = recipients.own_account(store, found.source, rules.delimiter)
    if account is None and len(found.targets) == 1:
        account = recipients.own_account(store, found.targets[0], rules.delimiter)
    return address if account is None else account.address
