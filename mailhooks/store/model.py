"""The values of the store: frozen, made only by the store, understood by every layer above it.

Addresses here are canonical (``mailhooks.address``): NFC, lower case, domain as an A-label, local part unquoted.
Times are seconds since the epoch (UTC), sizes are bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class State(StrEnum):
    """What an account may do; the table in the documentation says what each client hears."""

    ACTIVE = "active"
    NO_LOGIN = "no-login"
    NO_SEND = "no-send"
    SEND_ONLY = "send-only"
    CLOSED = "closed"

    def __init__(self, word: str) -> None:
        """Work out once what every command asks: in Python 3.11 each ``State.X`` is looked up by a call."""
        self.receives = word not in ("send-only", "closed")  # mail for the account is accepted
        self.logs_in = word not in ("no-login", "closed")  # the owner may read mail (IMAP, POP3, ManageSieve)
        self.sends = word in ("active", "send-only")  # the owner may submit mail


class Service(StrEnum):
    """What a credential can be used for. Dovecot's and Postfix's own service names are mapped by the servers."""

    IMAP = "imap"
    POP3 = "pop3"
    SMTP = "smtp"
    SIEVE = "sieve"


class Posting(StrEnum):
    """Who may send to an alias or mailing list."""

    ANYONE = "anyone"
    MEMBERS = "members"
    DOMAIN = "domain"
    MODERATORS = "moderators"
    AUTHENTICATED = "authenticated"


ALL_SERVICES: frozenset[Service] = frozenset(Service)


@dataclass(frozen=True, slots=True)
class Domain:
    """A mail domain: hosted here (``alias_of`` is None) or another spelling of a hosted one."""

    name: str
    alias_of: str | None = None
    quota: int | None = None  # default for its mailboxes, bytes; None: no limit


EXPIRED = "this address has expired"  # the reason of an account that has, unless it has one of its own


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An account. ``state`` is the state now: one with ``until`` in the past has become active again."""

    address: str
    name: str = ""
    state: State = State.ACTIVE
    reason: str = ""
    until: float | None = None
    allow: frozenset[Service] = ALL_SERVICES
    quota: int | None = None  # effective: its own, else the domain's; None: no limit
    own_quota: int | None = None  # None: takes the domain's; 0: explicitly no limit
    password: str | None = field(default=None, repr=False)  # "{SCHEME}hash"; None: receives only
    networks: tuple[str, ...] = ()  # CIDR: logs in from there only; empty: from anywhere
    expires: float | None = None  # closed from then on; None: never

    @property
    def domain(self) -> str:
        """The part behind the last @."""
        return self.address.rpartition("@")[2]


class Standing(NamedTuple):
    """What decides whether an account takes a message now; a tuple, for one is made with every RCPT TO."""

    address: str
    state: State  # now, as in Mailbox
    reason: str
    quota: int | None  # effective, bytes; None: no limit
    storage: int  # bytes it holds, as Dovecot last told; 0 before it did
    is_aliased: bool  # an alias of the same address decides where its mail goes

    def is_full(self, size: int) -> bool:
        """Tell whether a message of ``size`` bytes does not fit; one of unknown size has at least one byte."""
        return self.quota is not None and self.storage + max(size, 1) > self.quota


@dataclass(frozen=True, slots=True)
class AppPassword:
    """A second credential of an account, narrower than the first."""

    id: int
    address: str
    label: str
    hash: str = field(repr=False)
    services: frozenset[Service] = ALL_SERVICES
    networks: tuple[str, ...] = ()  # CIDR; empty: from anywhere
    expires: float | None = None


@dataclass(frozen=True, slots=True)
class Alias:
    """A virtual alias, a mailing list (many targets) or a catch-all (source ``@domain``)."""

    source: str
    targets: tuple[str, ...]
    posting: Posting = Posting.ANYONE
    expires: float | None = None  # refused at RCPT from then on; None: never


@dataclass(frozen=True, slots=True)
class Grant:
    """``login`` may send as ``sender`` (an address or ``@domain``) beyond what aliases give."""

    login: str
    sender: str


@dataclass(frozen=True, slots=True)
class Relay:
    """Credentials for a next hop, spelt as in Postfix's relayhost; ``sender`` narrows it ("" is the default)."""

    nexthop: str
    sender: str = ""  # address, "@domain" or ""
    username: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a mailbox holds, as Dovecot last told."""

    address: str
    storage: int  # bytes
    messages: int
    updated: float


@dataclass(frozen=True, slots=True)
class LastLogin:
    """When an account last logged in, by Dovecot's last_login plugin."""

    address: str
    service: str
    at: float


@dataclass(frozen=True, slots=True)
class Preference:
    """A SpamAssassin preference of a user, ``@domain`` or ``@GLOBAL``."""

    scope: str
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class SieveScript:
    """A Sieve script of an account; ``id`` names this very text, and a changed script has another one."""

    id: int
    address: str
    name: str
    active: bool
    script: str = field(repr=False)
    updated: float


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change: who made it, when, what. Never a secret."""

    id: int
    at: float
    who: str
    action: str
    subject: str
    detail: str
