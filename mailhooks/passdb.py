"""May this login in? Credentials of an account, for one service and one network, checked in three steps.

1. ``candidate`` reads the store: which credentials of the login count for this service and network.
2. ``Candidate.cached`` and ``Candidate.quick`` cost microseconds and may run on the reactor thread; what they do not
   answer goes to ``Candidate.verify`` in a worker, which computes and touches nothing else.
3. ``decide`` reads the store again and says Accepted or Refused: an account that was closed, or a password that was
   changed, while the worker was busy does not get in.

Rules. Unknown login, mailbox without a password and wrong password are one and the same refusal, and each costs at
least one slow hash. The reason of a closed or restricted account is said to the owner of the password only. A store
that cannot answer raises Unavailable, which is never a refusal. Not here: failure delay, throttling, SASL.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from mailhooks import address, passwords
from mailhooks.store import ALL_SERVICES, Service, State

if TYPE_CHECKING:
    from mailhooks.store import AppPassword, Mailbox, Store

# Credentials tried for one login: the account's own and 15 app passwords, so that one wrong password costs no more than
# 16 hashes (a third of a second). Of more that count for the same service and network the oldest 15 are tried.
MAX_CREDENTIALS = 16

MAIN = ""  # the label of the account's own password

# What the programs call themselves: Postfix `service=smtp`; Dovecot's login services, of 2.3 and 2.4.
_SERVICES = {
    "smtp": Service.SMTP,
    "submission": Service.SMTP,
    "submissions": Service.SMTP,
    "imap": Service.IMAP,
    "imaps": Service.IMAP,
    "imap-urlauth": Service.IMAP,
    "pop3": Service.POP3,
    "pop3s": Service.POP3,
    "sieve": Service.SIEVE,
    "managesieve": Service.SIEVE,
}

_NO_LOGIN = "login is switched off for this account"
_NO_SEND = "sending mail is switched off for this account"


class Reason(StrEnum):
    """Why a login was refused: for logs and metrics, from a closed set."""

    CREDENTIALS = "credentials"  # unknown login or wrong password: the client never learns which
    SERVICE = "service"  # the account does not allow this service
    STATE = "state"  # the account's state does not


@dataclass(frozen=True, slots=True)
class Accepted:
    """The login may in."""

    user: str  # canonical address
    label: str  # which app password; MAIN: the account's own
    rehash: str | None = field(repr=False)  # this stored hash is weaker than a new one: replace it (compare and set)


@dataclass(frozen=True, slots=True)
class Refused:
    """The login may not in; ``text`` is for the client and empty unless the password was right."""

    reason: Reason
    text: str = ""


@dataclass(frozen=True, slots=True)
class Credential:
    """A stored hash that counts for the service and network asked for."""

    label: str
    stored: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Candidate:
    """Who wants in, and what to check the password against."""

    user: str  # canonical address; what was given, when that is no address
    service: Service | None  # None: no service of ours, for which only an unrestricted account counts
    network: str | None
    credentials: tuple[Credential, ...]
    mailbox: Mailbox | None = field(default=None, repr=False)
    read_at: tuple[float, int] = (0.0, -1)  # time and change number for which all this is true

    @property
    def scheme(self) -> str:
        """The scheme of the hash that makes ``verify`` slow, a label for its timing."""
        slow = (credential.stored for credential in self.credentials if not passwords.is_quick(credential.stored))
        return passwords.scheme_of(next(slow, passwords.DUMMY))

    def cached(self, cache: passwords.VerifiedCache, password: str, now: float) -> Credential | None:
        """Find the credential that matched this very password lately; microseconds."""
        for credential in self.credentials:
            if cache.knows(self.user, password, credential.stored, now):
                return credential
        return None

    def quick(self, password: str) -> Credential | None:
        """Find the matching credential among those that cost microseconds. None says nothing: ask ``verify`` then."""
        for credential in self.credentials:
            if passwords.verify_quick(credential.stored, password, user=self.user):
                return credential
        return None

    def verify(self, password: str) -> Credential | None:
        """Find the matching credential; for a worker. None: there is none, found out with at least one slow hash."""
        slow = False
        for credential in self.credentials:
            slow = slow or not passwords.is_quick(credential.stored)
            if passwords.verify(credential.stored, password, user=self.user):
                return credential
        if not slow:
            passwords.verify(passwords.DUMMY, password)
        return None


def service_of(name: str) -> Service | None:
    """The service that a daemon's ``service=`` or ``protocol=`` means; None for others (doveadm, …)."""
    return _SERVICES.get(name.lower())


def candidate(store: Store, login: str, service: str, network: str | None, now: float) -> Candidate:
    """Read what ``login`` may be checked against; also for an unknown login, then with nothing to match.

    ``service`` is the daemon's word for it, ``network`` the client's IP address (None: not known). Raises Unavailable.
    """
    kind = service_of(service)
    user = address.fold(login)
    return Candidate(login, kind, network, ()) if user is None else _read(store, user, kind, network, now)


def decide(store: Store, asked: Candidate, matched: Credential | None, now: float) -> Accepted | Refused:
    """Say whether the login may in, by what the store holds now. Raises Unavailable."""
    if matched is None:
        return Refused(Reason.CREDENTIALS)
    if asked.read_at != (now, store.change_number):  # a worker was asked: what was read may be true no more
        asked = _read(store, asked.user, asked.service, asked.network, now)
    mailbox = asked.mailbox
    if mailbox is None or matched not in asked.credentials:
        return Refused(Reason.CREDENTIALS)  # removed, revoked, expired or changed meanwhile
    refusal = refusal_of(mailbox, asked.service)
    if refusal is not None:
        return refusal
    stored = matched.stored
    return Accepted(asked.user, matched.label, stored if passwords.needs_rehash(stored) else None)


def authenticate(
    store: Store, login: str, password: str, *, service: str, network: str | None, now: float
) -> Accepted | Refused:
    """All three steps in one, for callers that may wait: the command line. Raises Unavailable."""
    asked = candidate(store, login, service, network, now)
    return decide(store, asked, asked.verify(password), now)


def refusal_of(mailbox: Mailbox, service: Service | None) -> Refused | None:
    """Why an account may not use a service although its password is right; None when it may."""
    if service is Service.SMTP:
        if not mailbox.state.sends:
            return Refused(Reason.STATE, _text(mailbox, State.NO_SEND, _NO_SEND))
    elif not mailbox.state.logs_in:
        return Refused(Reason.STATE, _text(mailbox, State.NO_LOGIN, _NO_LOGIN))
    if not (mailbox.allow >= ALL_SERVICES if service is None else service in mailbox.allow):
        return Refused(Reason.SERVICE)
    return None


def _text(mailbox: Mailbox, said_for: State, default: str) -> str:
    """The reason, for the one state of which the interface says that the client hears it."""
    return (mailbox.reason or default) if mailbox.state is said_for else ""


def _read(store: Store, user: str, service: Service | None, network: str | None, now: float) -> Candidate:
    mailbox = store.mailbox(user)
    found: tuple[Credential, ...] = ()
    if mailbox is not None:
        if mailbox.password is not None:
            found = (Credential(MAIN, mailbox.password),)
        if apps := [app for app in store.app_passwords(user) if _counts(app, service, network, now)]:
            apps.sort(key=lambda app: app.id)
            found += tuple(Credential(app.label, app.hash) for app in apps[: MAX_CREDENTIALS - 1])
    return Candidate(user, service, network, found, mailbox, (now, store.change_number))


def _counts(app: AppPassword, service: Service | None, network: str | None, now: float) -> bool:
    if app.expires is not None and app.expires <= now:
        return False
    if not (app.services >= ALL_SERVICES if service is None else service in app.services):
        return False
    return not app.networks or _is_within(network, app.networks)


def _is_within(client: str | None, networks: tuple[str, ...]) -> bool:
    """Tell whether an address lies in one of the networks; an unknown address lies in none."""
    try:
        ip = ipaddress.ip_address(client or "")
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped  # a dual-stack listener shows IPv4 clients as ::ffff:192.0.2.1
    return any(ip in ipaddress.ip_network(network, strict=False) for network in networks)
