"""What the files ask for, read and checked line by line, before anything is made.

Everything that can be said of a line alone or of all files together is found here, so that one run names every wrong
line. Against the store it is only asked; ``load`` writes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mailhooks.address import AddressError, normalise, normalise_domain, split_extension
from mailhooks.passwords import HashError, check_hash
from mailhooks.seed import maincf, tables, users
from mailhooks.seed.files import SeedError, logical

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mailhooks.seed.journal import Journal
    from mailhooks.store import Store

TICK = 1000  # lines between two signs of life

NOT_HOSTED = "is not hosted: put it into the file domains, or say --add-domains"


@dataclass(frozen=True, slots=True)
class Options:
    """How to read the files."""

    domain: str | None = None  # of names without one
    add_domains: bool = False  # host every domain that an address here has
    keep_dangling: bool = False  # take targets at hosted domains that nobody has
    delimiter: str = "+"
    hold: float = 0.0  # seconds for which a removed address is not given out again
    tick: Callable[[int], object] = lambda _lines: None  # called with a number of lines that are done


@dataclass(slots=True)
class MailboxDraft:
    """A mailbox and the lines that name it."""

    address: str
    listed: int = 0  # line in mailboxes
    line: int = 0  # line in users
    user: users.User | None = None


@dataclass(slots=True)
class AliasDraft:
    """An alias and its line."""

    line: int
    targets: tuple[str, ...]
    dangling: bool = False


@dataclass(slots=True)
class RelayDraft:
    """Credentials and their line."""

    line: int
    nexthop: str
    sender: str
    username: str
    password: str = field(repr=False)


class Draft:
    """All files of one directory."""

    def __init__(self, store: Store, files: dict[str, list[str]], options: Options, journal: Journal) -> None:
        self.settings: dict[str, tuple[int, str]] = {}
        self.domains: dict[str, tuple[str, int]] = {}  # name -> file and line
        self.alias_domains: dict[str, tuple[int, str]] = {}  # name -> line and the domain it stands for
        self.mailboxes: dict[str, MailboxDraft] = {}
        self.aliases: dict[str, AliasDraft] = {}
        self.relays: list[RelayDraft] = []
        self._store = store
        self._options = options
        self._journal = journal
        self._known = {domain.name: domain.alias_of for domain in store.domains()}
        readers = {
            "main.cf": self._main_cf,
            "domains": self._domains,
            "mailboxes": self._mailboxes,
            "users": self._users,
            "aliases": self._aliases,
            "relay-sasl": self._relays,
        }
        for name, read in readers.items():
            if name not in files:
                continue
            try:
                read(files[name])
            except SeedError as error:
                journal.problems += (f"{name}: {problem}" for problem in error.problems)
        self._check_domains()
        self._check_targets()

    def _main_cf(self, lines: list[str]) -> None:
        found = maincf.parse(lines)
        self.settings = found.settings
        for line, text in found.notes:
            self._journal.says("main.cf", line, text)
        for line, text in found.problems:
            self._journal.refuses("main.cf", line, text)
        for line, name in found.domains:
            self._domain("main.cf", line, name)

    def _domains(self, lines: list[str]) -> None:
        for line, key, _ in self._entries("domains", lines):
            self._domain("domains", line, key)

    def _domain(self, file: str, line: int, name: str) -> None:
        try:
            domain = normalise_domain(name)
        except AddressError as error:
            self._journal.refuses(file, line, str(error))
            return
        if self._known.get(domain) is not None:
            self._journal.refuses(
                file, line, f"{domain} is an alias of {self._known[domain]} here, it cannot be hosted"
            )
        elif domain in self.domains:
            self._journal.says(file, line, f"{domain} stands in {':'.join(map(str, self.domains[domain]))} already")
        else:
            self.domains[domain] = file, line

    def _mailboxes(self, lines: list[str]) -> None:
        mailboxes, refuses = self.mailboxes, self._journal.refuses
        for line, key, _ in self._entries("mailboxes", lines):
            if key[0] == "@":
                refuses("mailboxes", line, f"{key} is a catch-all: it belongs in the file aliases, with a target")
                continue
            try:
                address = self._address(key)
            except AddressError as error:
                refuses("mailboxes", line, str(error))
                continue
            if address in mailboxes:
                self._journal.says("mailboxes", line, f"{address} stands in line {mailboxes[address].listed} already")
            else:
                mailboxes[address] = MailboxDraft(address, listed=line)

    def _users(self, lines: list[str]) -> None:
        mailboxes, refuses = self.mailboxes, self._journal.refuses
        for number, line in enumerate(lines, 1):
            if not number % TICK:
                self._options.tick(TICK)
            if not line or line[0] == "#" or line.isspace():
                continue
            try:
                user = users.parse(line)
                address = user.login if user.login in mailboxes else self._address(user.login)
                if user.hash is not None:
                    user.hash = check_hash(user.hash)
            except (HashError, ValueError) as error:
                refuses("users", number, str(error))
                continue
            draft = mailboxes.get(address)
            if draft is None:
                draft = mailboxes[address] = MailboxDraft(address)
            elif draft.user is not None:
                refuses("users", number, f"{address} stands in line {draft.line} already: remove one of them")
                continue
            draft.user, draft.line = user, number

    def _aliases(self, lines: list[str]) -> None:
        for line, key, value in self._entries("aliases", lines):
            try:
                self._alias(line, key, tables.words(value))
            except ValueError as error:
                self._journal.refuses("aliases", line, str(error))

    def _alias(self, line: int, key: str, targets: list[str]) -> None:
        if not targets:
            raise ValueError(f"{key} has no target")
        if key.startswith("@"):
            source = f"@{normalise_domain(key[1:])}"
            if len(targets) == 1 and targets[0].startswith("@"):
                self._alias_domain(line, source[1:], normalise_domain(targets[0][1:]))
                return
        else:
            source = self._address(key)
        draft = AliasDraft(line, tuple(dict.fromkeys(map(self._target, targets))))
        before = self.aliases.get(source)
        if before is None:
            self.aliases[source] = draft
        elif before.targets == draft.targets:
            self._journal.says("aliases", line, f"{source} stands in line {before.line} already")
        else:
            raise ValueError(f"{source} stands in line {before.line} with other targets: put them into one line")

    def _alias_domain(self, line: int, name: str, target: str) -> None:
        before = self.alias_domains.get(name)
        if name in self.domains or (name in self._known and self._known[name] is None):
            raise ValueError(f"@{name} is hosted itself: give its catch-all an address, or take it out of domains")
        if before is not None and before[1] != target:
            raise ValueError(f"@{name} stands in line {before[0]} with another domain")
        if self._known.get(name, target) != target:
            raise ValueError(f"@{name} is an alias of {self._known[name]} here")
        self.alias_domains[name] = line, target

    def _target(self, text: str) -> str:
        if text[0] == "@":
            raise ValueError(f"{text} is no target beside others: expected an address")
        if "@" not in text and text.startswith(("|", "/", ":include:")):
            raise ValueError(f"{text!r} is no address: virtual aliases run no command and write no file")
        return self._address(text)

    def _relays(self, lines: list[str]) -> None:
        for line, key, value in self._entries("relay-sasl", lines):
            try:
                username, password = tables.credentials(value)
                nexthop, sender = self._relay_key(key)
            except ValueError as error:
                self._journal.refuses("relay-sasl", line, str(error))
                continue
            self.relays.append(RelayDraft(line, nexthop, sender, username, password))

    def _relay_key(self, key: str) -> tuple[str, str]:
        """Split what credentials are for into next hop and sender; a sender's mail goes to the relay host of all."""
        if "@" not in key:
            return key.lower(), ""
        sender = f"@{normalise_domain(key[1:])}" if key.startswith("@") else self._address(key)
        nexthop = self.settings["relayhost"][1] if "relayhost" in self.settings else self._store.setting("relayhost")
        if not nexthop:
            raise ValueError(
                f"{sender} is a sender, and main.cf names no relayhost: "
                f"use mailhooks relay add NEXTHOP --for-sender {sender}"
            )
        return nexthop.lower(), sender

    def _entries(self, file: str, lines: list[str]) -> Iterator[tuple[int, str, str]]:
        for count, (line, text) in enumerate(logical(lines), 1):
            if not count % TICK:
                self._options.tick(TICK)
            try:
                key, value = tables.entry(text)
            except ValueError as error:
                self._journal.refuses(file, line, str(error))
                continue
            yield line, key, value

    def _address(self, text: str) -> str:
        if "@" not in text:
            if self._options.domain is None:
                raise AddressError(f"{text!r} has no domain: say --domain DOMAIN")
            text = f"{text}@{self._options.domain}"
        return normalise(text)

    def _check_domains(self) -> None:
        """Find what lives at domains that are not hosted here."""
        hosted = {name for name, alias_of in self._known.items() if alias_of is None} | self.domains.keys()
        alias_domains = {name for name, alias_of in self._known.items() if alias_of} | self.alias_domains.keys()
        for file, line, domain in self._places():
            if domain in hosted:
                continue
            if domain in alias_domains:
                self._journal.refuses(
                    file, line, f"{domain} is an alias domain: write the address at the domain itself"
                )
            elif self._options.add_domains:
                hosted.add(domain)
                self.domains[domain] = file, line
            else:
                self._journal.refuses(file, line, f"the domain {domain} {NOT_HOSTED}")

    def _places(self) -> Iterator[tuple[str, int, str]]:
        for name, mailbox in self.mailboxes.items():
            file = ("mailboxes", mailbox.listed) if mailbox.listed else ("users", mailbox.line)
            yield *file, name.rpartition("@")[2]
        for source, alias in self.aliases.items():
            yield "aliases", alias.line, source.rpartition("@")[2]
        for line, target in self.alias_domains.values():
            yield "aliases", line, target

    def _check_targets(self) -> None:
        """Find targets at hosted domains that nobody has: mail for them would be accepted and then bounce."""
        for source, alias in self.aliases.items():
            missing = [target for target in alias.targets if target != source and not self._is_somebody(target)]
            if source in alias.targets and source not in self.mailboxes and not self._store.has_mailbox(source):
                missing.append(source)
            alias.dangling = bool(missing)
            for target in missing:
                text = f"{source} names {target}, which nobody has"
                if self._options.keep_dangling:
                    self._journal.warns("aliases", alias.line, text)
                else:
                    self._journal.refuses("aliases", alias.line, f"{text}: make it, or say --keep-dangling")

    def _is_somebody(self, address: str) -> bool:
        local, _, domain = address.rpartition("@")
        at = self.alias_domains[domain][1] if domain in self.alias_domains else self._known.get(domain) or domain
        if at not in self.domains and self._known.get(at, at) is not None:
            return True  # outside
        there = f"{local}@{at}"
        base, _ = split_extension(there, self._options.delimiter)
        return any(map(self._has, (there, base, f"@{at}")))

    def _has(self, address: str) -> bool:
        return (
            address in self.mailboxes
            or address in self.aliases
            or self._store.has_mailbox(address)
            or bool(self._store.alias_targets(address))
        )
