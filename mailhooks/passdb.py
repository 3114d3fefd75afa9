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

from mailhooks import address, logins, passwords
from mailhooks.logins import STANDARD, LoginRules, Who
from mailhooks.passwords import scram
from mailhooks.store import ALL_SERVICES, Service, State, Unavailable

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
    login: str = ""  # the address that was given, where it is another than the user's
    master: str = ""  # the account that logged in for the user; empty: its owner

    @property
    def owner(self) -> str:
        """Whose password it was."""
        return self.master or self.user


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
class Question:
    """What somebody wants, as it was asked."""

    login: str
    service: Service | None  # None: no service of ours, for which only an unrestricted account counts
    network: str | None  # the client's IP address
    mechanism: str = ""
    authzid: str = ""  # whom to act as; empty: as oneself
    rules: LoginRules = STANDARD


@dataclass(frozen=True, slots=True)
class Candidate:
    """Who wants in, and what to check the password against."""

    question: Question
    who: Who | None  # None: would act as another without the right to
    credentials: tuple[Credential, ...]  # of the owner
    mailbox: Mailbox | None = field(default=None, repr=False)
    owner: Mailbox | None = field(default=None, repr=False)  # whose credentials these are: a master's, or the mailbox
    read_at: tuple[float, int] = (0.0, -1)  # time and change number for which all this is true

    @property
    def user(self) -> str:
        """Whose password is asked for: canonical address; what was given, when that is no address."""
        return self.who.owner if self.who else address.fold(self.question.login) or self.question.login

    def proven(self, mechanism: str, keys: str) -> Credential | None:
        """Find the SCRAM keys that a proof fitted among those that count now."""
        wanted = _scram(mechanism, keys)
        return next((credential for credential in self.credentials if credential.stored == wanted), None)

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

    def compared(self, cache: passwords.VerifiedCache, now: float) -> tuple[Credential, ...]:
        """Return those with which ``quick`` and ``cached`` compare: a password that misses one is not that one's."""
        return tuple(
            credential
            for credential in self.credentials
            if passwords.is_quick(credential.stored) or cache.holds(self.user, credential.stored, now)
        )

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


def candidate(
    store: Store,
    login: str,
    service: str,
    network: str | None,
    now: float,
    *,
    mechanism: str = "",
    authzid: str = "",
    rules: LoginRules = STANDARD,
) -> Candidate:
    """Read what ``login`` may be checked against; also for an unknown login, then with nothing to match.

    ``service`` is the daemon's word for it, ``network`` the client's IP address (None: not known). Raises Unavailable.
    """
    return _read(store, Question(login, service_of(service), network, mechanism, authzid, rules), now)


def scram_keys(store: Store, login: str, mechanism: str, rules: LoginRules = STANDARD) -> str:
    """Return what a SCRAM login is asked with: the account's keys, or such as nothing fits. Raises Unavailable.

    Only the account's own address, or a master's behind the separator, is asked with its keys: one salt for several
    names would tell that they are one account's, while each name of nobody has its own. Both are looked for always, so
    that the time does not tell who has keys.
    """
    meant = logins.who(store, login, rules=rules)
    name = login.rpartition(rules.separator)[2] if meant and meant.master else login
    name = address.fold(name) or name
    nobody = scram.fake(store.scram_seed(), mechanism, name)
    return store.scram_keys(name, mechanism) or nobody


def decide(store: Store, asked: Candidate, matched: Credential | None, now: float) -> Accepted | Refused:
    """Say whether the login may in, by what the store holds now. Raises Unavailable."""
    if matched is None:
        return Refused(Reason.CREDENTIALS)
    checked_for = asked.user
    if asked.read_at != (now, store.change_number):  # a worker was asked: what was read may be true no more
        asked = _read(store, asked.question, now)
    who, mailbox, owner = asked.who, asked.mailbox, asked.owner
    if who is None or mailbox is None or owner is None:
        return Refused(Reason.CREDENTIALS)  # removed meanwhile
    if matched not in asked.credentials:
        if asked.user == checked_for and any(each.label == matched.label for each in asked.credentials):
            # Another login may have made a new hash of this very password: that is no reason to say it was wrong.
            raise Unavailable("the credential was changed while it was checked")
        return Refused(Reason.CREDENTIALS)  # revoked or expired meanwhile
    question = asked.question
    refusal = refusal_of(owner, question.service)
    if who.master and refusal is None:
        sends = question.service is Service.SMTP and not question.rules.master_smtp
        refusal = Refused(Reason.SERVICE) if sends else refusal_of(mailbox, question.service)
    if refusal is not None:
        return refusal
    stored = matched.stored
    weak = stored if question.mechanism not in scram.DIGESTS and passwords.needs_rehash(stored) else None
    return Accepted(who.user, matched.label, weak, who.asked if who.asked != who.user else "", who.master)


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


def _read(store: Store, question: Question, now: float) -> Candidate:
    who = logins.who(store, question.login, question.authzid, question.rules)
    mailbox = store.mailbox(who.user) if who else None
    owner = store.mailbox(who.master) if who and who.master else mailbox
    found: tuple[Credential, ...] = ()
    if owner is not None and _may_come_from(question.network, owner.networks):
        found = _credentials(store, owner, question, now)
    return Candidate(question, who, found, mailbox, owner, (now, store.change_number))


def _credentials(store: Store, owner: Mailbox, question: Question, now: float) -> tuple[Credential, ...]:
    if question.mechanism in scram.DIGESTS:  # for the account's own password only: the first message names no other
        keys = store.scram_keys(owner.address, question.mechanism)
        return () if keys is None else (Credential(MAIN, _scram(question.mechanism, keys)),)
    found: tuple[Credential, ...] = ()
    if owner.password is not None:
        found = (Credential(MAIN, owner.password),)
    if apps := [app for app in store.app_passwords(owner.address) if _counts(app, question, now)]:
        apps.sort(key=lambda app: app.id)
        found += tuple(Credential(app.label, app.hash) for app in apps[: MAX_CREDENTIALS - 1])
    return found


def _scram(mechanism: str, keys: str) -> str:
    """Spell SCRAM keys as a stored hash."""
    return f"{{{mechanism}}}{keys}"


def _counts(app: AppPassword, question: Question, now: float) -> bool:
    service = question.service
    if app.expires is not None and app.expires <= now:
        return False
    if not (app.services >= ALL_SERVICES if service is None else service in app.services):
        return False
    return _may_come_from(question.network, app.networks)


def _may_come_from(client: str | None, networks: tuple[str, ...]) -> bool:
    """Tell whether an address lies in one of the networks, if there are any; an unknown address lies in none."""
    if not networks:
        return True
    try:
        ip = ipaddress.ip_address(client or "")
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped  # a dual-stack listener shows IPv4 clients as ::ffff:192.0.2.1
    return any(ip in ipaddress.ip_network(network, strict=False) for network in networks)
