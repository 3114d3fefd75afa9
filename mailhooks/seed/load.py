"""Making a store's rows of the files: all or nothing, and nothing twice.

What the store has already stays as it is: a password or target that was changed since then is not put back. Only what
is missing is added, so the same files can be imported again at any time.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING

from mailhooks.address import render
from mailhooks.seed.draft import Draft, Options
from mailhooks.seed.files import SeedError
from mailhooks.seed.journal import Journal
from mailhooks.store import NewMailbox, Refused
from mailhooks.store.model import State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mailhooks.seed.draft import MailboxDraft
    from mailhooks.seed.users import User
    from mailhooks.store import Change, Store
    from mailhooks.store.model import Mailbox

__all__ = ["Loaded", "Options", "load"]


@dataclass(frozen=True, slots=True)
class Loaded:
    """What became of each line, and how many things were made."""

    report: Iterable[str]
    warnings: list[str]
    made: int


def load(store: Store, change: Change, files: dict[str, list[str]], options: Options) -> Loaded:
    """Add to the store what the files say and it does not have. Raises SeedError, with every wrong line."""
    journal = Journal()
    draft = Draft(store, files, options, journal)
    if journal.problems:
        more = [f"and {journal.hidden} more"] if journal.hidden else []
        raise SeedError(*journal.problems, *more)
    loader = _Loader(store, change, draft, journal, options.hold)
    try:
        loader.run()
        change.check()
    except Refused as error:
        raise SeedError(_located(draft, str(error))) from error
    return Loaded(journal.lines(), journal.warnings, loader.made)


class _Loader:
    def __init__(self, store: Store, change: Change, draft: Draft, journal: Journal, hold: float) -> None:
        self.made = 0
        self._store = store
        self._change = change
        self._draft = draft
        self._says = journal.says
        self._hold = hold

    def run(self) -> None:
        self._settings()
        self._domains()
        self._mailboxes()
        self._aliases()
        self._relays()

    def _settings(self) -> None:
        for name, (line, value) in self._draft.settings.items():
            before = self._store.setting(name)
            if before is None:
                self._change.set_setting(name, value)
                self._made("main.cf", line, f"{name} {value}")
            else:
                self._kept("main.cf", line, name, differs=before != value)

    def _domains(self) -> None:
        for name, (file, line) in self._draft.domains.items():
            if self._store.domain(name) is None:
                self._change.add_domain(name)
                self._made(file, line, f"domain {name}")
            else:
                self._kept(file, line, f"domain {name}")
        for name, (line, target) in self._draft.alias_domains.items():
            if self._store.domain(name) is None:
                self._change.add_domain(name, alias_of=target)
                self._made("aliases", line, f"domain {name}, an alias of {target}")
            else:
                self._kept("aliases", line, f"domain {name}, an alias of {target}")

    def _mailboxes(self) -> None:
        is_empty = next(iter(self._store.mailboxes()), None) is None
        mailbox = (lambda _address: None) if is_empty else self._store.mailbox
        new = []
        for draft in self._draft.mailboxes.values():
            before = mailbox(draft.address)
            if before is None:
                new.append(draft)
            else:
                self._complete(before, draft)
        self._change.add_mailboxes(map(_new, sorted(new, key=attrgetter("address"))), hold=self._hold)
        self.made += len(new)
        for draft in new:
            if draft.listed:
                text = f"made mailbox {draft.address}"
                self._says("mailboxes", draft.listed, text if draft.user else f"{text}, which receives only")
            if draft.user is not None:
                self._says("users", draft.line, f"made {_described(draft.address, draft.user)}")

    def _complete(self, before: Mailbox, draft: MailboxDraft) -> None:
        """Add to a mailbox that exists what it has not."""
        if draft.listed:
            self._kept("mailboxes", draft.listed, f"mailbox {before.address}")
        user = draft.user
        if user is None:
            return
        done = []
        if user.hash is not None and before.password is None:
            self._change.set_password(render(before.address), user.hash)
            done.append("password")
        if user.quota is not None and before.own_quota is None and user.quota != (before.quota or 0):
            self._change.set_mailbox(render(before.address), quota=user.quota)
            done.append("quota")
        if user.name and not before.name:
            self._change.set_mailbox(render(before.address), name=user.name)
            done.append("name")
        if done:
            self._made("users", draft.line, f"{' and '.join(done)} of {before.address}")
        else:
            self._kept("users", draft.line, before.address, differs=_differs(before, user))

    def _aliases(self) -> None:
        for source, draft in self._draft.aliases.items():
            before = self._store.alias_targets(source)
            if before:
                self._kept("aliases", draft.line, f"alias {source}", differs=before != draft.targets)
                continue
            self._change.add_alias(
                render(source),
                map(render, draft.targets),
                keep_dangling=draft.dangling,
                hold=self._hold,
            )
            self._made("aliases", draft.line, f"alias {source} for {', '.join(draft.targets)}")

    def _relays(self) -> None:
        for draft in self._draft.relays:
            text = f"credentials for {draft.nexthop}" + (f" and {draft.sender}" if draft.sender else "")
            before = self._store.relay_credentials(draft.nexthop, draft.sender)
            if before is not None:
                differs = before != (draft.username, draft.password)
                self._kept("relay-sasl", draft.line, text, differs=differs)
                continue
            self._change.add_relay(
                draft.nexthop, username=draft.username, password=draft.password, sender=render(draft.sender)
            )
            self._made("relay-sasl", draft.line, text)

    def _made(self, file: str, line: int, text: str) -> None:
        self.made += 1
        self._says(file, line, f"made {text}")

    def _kept(self, file: str, line: int, text: str, *, differs: bool = False) -> None:
        self._says(file, line, f"{text} is there already" + (" and stays as it is, which differs" if differs else ""))


def _new(draft: MailboxDraft) -> NewMailbox:
    user = draft.user
    if user is None:
        return NewMailbox(render(draft.address))
    return NewMailbox(render(draft.address), user.name, user.quota, user.hash, user.state, user.allow)


def _described(address: str, user: User) -> str:
    text = f"user {address}"
    if user.hash is None:
        text += " without a password: receives only"
    if user.state is not State.ACTIVE:
        text += f", {user.state}"
    if user.unused:
        text += f" ({', '.join(user.unused)} not used)"
    return text


def _differs(mailbox: Mailbox, user: User) -> bool:
    return (
        (user.hash is not None and user.hash != mailbox.password)
        or (user.quota is not None and user.quota != (mailbox.quota or 0))
        or user.state is not mailbox.state
    )


def _located(draft: Draft, problem: str) -> str:
    """Put the line in front of what the store says against an address."""
    mailbox = draft.mailboxes.get(problem.partition(" ")[0])
    if mailbox is not None:
        where = f"mailboxes:{mailbox.listed}" if mailbox.listed else f"users:{mailbox.line}"
        return f"{where}: {problem}"
    lines = (alias.line for source, alias in draft.aliases.items() if source in problem)
    line = next(lines, None)
    return problem if line is None else f"aliases:{line}: {problem}"
