"""What the checks judge: everything that was read about this machine, frozen, with nothing left to ask.

Reading is in ``mailhooks.doctor.reading``; here are only the values and how to look things up in them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from mailhooks.config import Config
    from mailhooks.stack.generation import DovecotLine
    from mailhooks.stack.sockets import Address


@dataclass(frozen=True)
class Unread:
    """Something that could not be looked at, and what would let it be."""

    area: str
    what: str
    cure: str


@dataclass(frozen=True)
class Service:
    """One line of master.cf."""

    name: str
    kind: str  # inet, unix, ...
    chroot: bool
    command: str
    arguments: str
    overrides: Mapping[str, str]

    @property
    def path(self) -> str:
        """Its name as postconf -P takes it: submission/inet."""
        return f"{self.name}/{self.kind}"

    @property
    def port(self) -> str:
        """The port of an inet service, by number or name."""
        return self.name.rpartition(":")[2]


@dataclass(frozen=True)
class Postfix:
    """One instance of Postfix, as ``postconf`` reads it; values with every $name expanded."""

    directory: Path
    parameters: Mapping[str, str]  # all, with defaults
    given: Mapping[str, str]  # those that main.cf sets
    services: tuple[Service, ...]
    warnings: tuple[str, ...] = ()
    refused: str = ""  # why postconf would not read it; then the rest is empty

    def __getitem__(self, name: str) -> str:
        """Return the value that counts."""
        return self.parameters.get(name, "")

    def of(self, service: Service, name: str) -> str:
        """Return the value that counts for one service."""
        return service.overrides.get(name, self[name])

    def running(self, *commands: str) -> Iterator[Service]:
        """Yield the services that run one of these programs."""
        return (service for service in self.services if service.command in commands)

    @property
    def postconf(self) -> str:
        """The command with which this instance is changed."""
        return "postconf" if str(self.directory) == "/etc/postfix" else f"postconf -c {self.directory}"


@dataclass(frozen=True)
class Dovecot:
    """One instance of Dovecot, as ``doveconf`` reads it: settings that differ from their defaults, by path."""

    file: Path
    line: DovecotLine
    settings: Mapping[str, str]  # "service imap-login/chroot" -> ""
    refused: str = ""

    def get(self, path: str, default: str = "") -> str:
        """Return a setting."""
        return self.settings.get(path, default)

    def below(self, prefix: str) -> Iterator[tuple[str, str]]:
        """Yield the settings whose path begins with ``prefix``."""
        return ((path, value) for path, value in self.settings.items() if path.startswith(prefix))

    @property
    def base(self) -> str:
        """Where it keeps its sockets."""
        return self.get("base_dir", "/run/dovecot")

    @property
    def protocols(self) -> frozenset[str]:
        """What it serves."""
        return frozenset(self.get("protocols", "imap pop3 lmtp").split())


@dataclass(frozen=True)
class Entry:
    """A file or directory: who owns it, who may do what."""

    path: str
    uid: int
    gid: int
    mode: int  # permissions


@dataclass(frozen=True)
class Client:
    """A user of this machine who has to reach a socket."""

    name: str
    uid: int
    groups: frozenset[int]

    def may(self, entry: Entry, want: int) -> bool:
        """Tell whether the mode allows ``want`` (4 read, 2 write, 1 pass)."""
        shift = 6 if entry.uid == self.uid else 3 if entry.gid in self.groups else 0
        return self.uid == 0 or (entry.mode >> shift) & want == want


@dataclass(frozen=True)
class Socket:
    """One listener of mailhooks, as a client finds it."""

    hook: str
    address: Address
    missing: str = ""  # why there is nothing to connect to
    entry: Entry | None = None  # of a unix socket
    above: tuple[Entry, ...] = ()  # the directories that lead to it
    client: Client | None = None  # who has to reach it; None: nobody known here
    silent: str = ""  # what is wrong with its answer
    spid: str = ""  # what an auth socket calls its process


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key, as a daemon is told to use them."""

    used_by: str
    file: str
    key: str
    problem: str = ""  # why it cannot be used at all
    names: tuple[str, ...] = ()
    begins: datetime | None = None
    ends: datetime | None = None
    self_signed: bool = False
    fits_key: bool = True
    key_mode: int = 0


@dataclass(frozen=True)
class DomainNames:
    """What the DNS says about one hosted domain; None: nobody could be asked."""

    domain: str
    mx: tuple[str, ...] | None = None
    spf: tuple[str, ...] | None = None
    dmarc: tuple[str, ...] | None = None
    has_keys: bool | None = None  # whether there is anything below _domainkey


@dataclass(frozen=True)
class HostNames:
    """What the DNS says about the server's own name."""

    name: str
    addresses: tuple[str, ...] | None = None  # None: no answer
    reverse: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)


@dataclass(frozen=True)
class SpamSetup:
    """What is known of SpamAssassin."""

    wanted: bool = False  # mail is given to it here
    silent: str = ""  # what is wrong with spamd
    preferences: str = ""  # what is wrong with the preferences file
    settings: tuple[tuple[str, str, str], ...] = ()  # file, name, value: user_scores_* of all that is read


@dataclass(frozen=True)
class Volume:
    """The file system below one directory."""

    use: str
    path: str
    free: int
    size: int
    free_files: int
    files: int  # 0: as many as fit


@dataclass(frozen=True)
class Facts:
    """Everything."""

    config: Config
    now: float
    hostname: str
    postfix: tuple[Postfix, ...] = ()
    dovecot: tuple[Dovecot, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)  # symbolic links that matter -> where they lead
    hooks: Mapping[str, tuple[Address, ...]] = field(default_factory=dict)  # where each is configured to listen
    sockets: tuple[Socket, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    domains: tuple[str, ...] = ()  # hosted here
    alias_domains: tuple[str, ...] = ()
    store: str = ""  # what is wrong with the store
    state: tuple[Entry, ...] = ()  # the store's directory, and then the files in it that the daemon writes
    newest: float | None = None  # when the store was changed last, by the clock of then
    names: tuple[DomainNames, ...] = ()
    host: HostNames | None = None
    spam: SpamSetup = field(default_factory=SpamSetup)
    volumes: tuple[Volume, ...] = ()
    synchronised: bool | None = None  # the clock, if systemd knows
    unread: tuple[Unread, ...] = ()

    def has(self, hook: str, address: Address) -> bool:
        """Tell whether mailhooks is configured to answer ``hook`` there."""
        return address in self.hooks.get(hook, ())
