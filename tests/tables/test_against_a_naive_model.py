"""Resolution against a model that knows the whole directory as plain dicts and tries everything in the stated order."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from mailhooks import recipients, senders, tables
from mailhooks.store import Refused, Store, open_store
from mailhooks.store.model import State

HOSTED = ("h.example", "i.example")
ALIAS_DOMAIN = "al.example"  # another spelling of the first
OUTSIDE = "out.example"
LOCALS = ("a", "b", "c")
EXTENSIONS = ("", "+x", "+y", "+x+y")

hosted_addresses = st.builds(
    "{}{}@{}".format, st.sampled_from(LOCALS), st.sampled_from(EXTENSIONS[:2]), st.sampled_from(HOSTED)
)
sources = st.one_of(hosted_addresses, st.sampled_from([f"@{name}" for name in HOSTED]))
any_domain = st.sampled_from([*HOSTED, ALIAS_DOMAIN, OUTSIDE])
addresses = st.builds("{}{}@{}".format, st.sampled_from(LOCALS), st.sampled_from(EXTENSIONS), any_domain)
targets = st.lists(addresses, min_size=1, max_size=3, unique=True)
states = st.sampled_from([State.ACTIVE, State.ACTIVE, State.ACTIVE, State.NO_LOGIN, State.CLOSED, State.SEND_ONLY])


@dataclass
class Model:
    mailboxes: dict[str, State]
    aliases: dict[str, list[str]]
    grants: set[tuple[str, str]] = field(default_factory=set)

    def row(self, address: str) -> tuple[str, list[str] | None] | None:
        """(row, targets), targets None for a mailbox; None when no row matches."""
        local, domain = address.split("@")
        base = f"{local.split('+')[0]}@{domain}"
        extension = local.partition("+")[2]
        order = [(self.aliases, address), (self.mailboxes, address), (self.aliases, base), (self.mailboxes, base)]
        for table, key in order:
            if key in table:
                return key, (
                    self.extended(address, self.aliases[key], extension, key) if table is self.aliases else None
                )
        if domain == ALIAS_DOMAIN:
            there = f"{local}@{HOSTED[0]}"
            return (there, [there]) if self.row(there) else None
        if f"@{domain}" in self.aliases:
            return f"@{domain}", self.extended(address, self.aliases[f"@{domain}"], extension, f"@{domain}")
        return None

    def extended(self, address: str, goals: list[str], extension: str, key: str) -> list[str]:
        if key == address or not extension or address in goals:
            return goals
        result = []
        for goal in goals:
            local, domain = goal.split("@")
            longer = goal if "+" in local else f"{local}+{extension}@{domain}"
            result += [longer] * (longer not in result)
        return result

    def own(self, address: str) -> str | None:
        local, domain = address.split("@")
        return next((key for key in (address, f"{local.split('+')[0]}@{domain}") if key in self.mailboxes), None)

    def ends(self, address: str, above: frozenset[str] = frozenset()) -> tuple[set[str], set[str]]:
        """Mailboxes and outside addresses in which mail for an address ends; nothing is expanded into itself twice."""
        if address in above:
            return set(), set()
        found = self.row(address)
        if found is None:
            return set(), {address} if address.endswith(f"@{OUTSIDE}") else set()
        row, targets = found
        if targets is None:
            return {row}, set()
        mailboxes, outside = set(), set()
        for target in targets:
            own = {self.own(address)} - {None}, set()
            more, beyond = own if target == address else self.ends(target, above | {address})
            mailboxes, outside = mailboxes | more, outside | beyond
        if not mailboxes | outside and row in self.aliases and not row.startswith("@"):
            mailboxes = {self.own(address)} - {None}  # an alias of nobody leaves the mail in the account of that name
        return mailboxes, outside

    def alive(self, address: str, target: str) -> int:
        """2 somebody receives, 1 there are accounts, 0 nobody."""
        if target == address:
            mailboxes, outside = {self.own(address)} - {None}, set()
        else:
            mailboxes, outside = self.ends(target)
        if outside or any(self.mailboxes[one].receives for one in mailboxes):
            return 2
        return 1 if mailboxes else 0

    def virtual_alias_maps(self, address: str) -> str | None:
        found = self.row(address)
        if found is None or found[1] is None:
            return None
        alive = {target: self.alive(address, target) for target in found[1]}
        best = max(alive.values())
        return ",".join(target for target in found[1] if alive[target] == best) if best else None

    def owners(self, sender: str) -> set[str]:
        local, domain = sender.split("@")
        spellings = [sender]
        if domain == ALIAS_DOMAIN:
            spellings.append(f"{local}@{HOSTED[0]}")
        scopes = set()
        for one in spellings:
            scopes |= {one, f"{one.split('@')[0].split('+')[0]}@{one.split('@')[1]}", "@" + one.split("@")[1]}
        return self.personal(spellings[-1]) | {login for login, scope in self.grants if scope in scopes}

    def personal(self, sender: str) -> set[str]:
        found = self.row(sender)
        if found is None:
            return set()
        if not found[0].startswith("@") and self.own(found[0]):
            return {self.own(found[0])}
        mailboxes, outside = set(), set()
        for target in found[1] or []:
            more, beyond = self.ends(target)
            mailboxes, outside = mailboxes | more, outside | beyond
        return mailboxes if len(mailboxes | outside) <= 2 else set()


@st.composite
def models(draw: st.DrawFn) -> Model:
    mailboxes = draw(st.dictionaries(hosted_addresses, states, max_size=5))
    aliases = draw(st.dictionaries(sources, targets, max_size=5))
    grants = set()
    if mailboxes:
        scope = st.one_of(addresses, any_domain.map("@{}".format))
        grants = draw(st.sets(st.tuples(st.sampled_from(sorted(mailboxes)), scope), max_size=2))
    return Model(mailboxes, aliases, grants)


def build(model: Model, directory: str) -> Store:
    """Put the model into a real store; what the store refuses (loops) leaves the model too."""
    store = open_store(f"sqlite:///{directory}/store.db", key_file=Path(directory, "key"), create=True)
    with store.change("test") as change:
        for name in HOSTED:
            change.add_domain(name)
        change.add_domain(ALIAS_DOMAIN, alias_of=HOSTED[0])
        for address, state in model.mailboxes.items():
            change.add_mailbox(address, state=state)
        for login, sender in model.grants:
            change.allow_sender(login, sender)
    for source, goals in list(model.aliases.items()):
        try:
            with store.change("test") as change:
                change.add_alias(source, goals, keep_dangling=True)
        except Refused:
            del model.aliases[source]
    store.renew()
    return store


@settings(max_examples=150)
@given(model=models(), asked=st.lists(addresses, min_size=1, max_size=12, unique=True))
def test_tables_and_senders_agree_with_the_model(model, asked):
    with tempfile.TemporaryDirectory() as directory:
        store = build(model, directory)
        try:
            for address in asked:
                agree(model, store, address)
        finally:
            store.close()


def agree(model: Model, store: Store, address: str) -> None:
    def ask(table: str) -> str | None:
        return tables.lookup(store, table, address.upper(), "+")

    assert ask("virtual_alias_maps") == model.virtual_alias_maps(address)
    assert ask("virtual_mailbox_maps") == model.own(address)
    assert set((ask("smtpd_sender_login_maps") or "").split(",")) - {""} == model.owners(address)
    mailboxes, outside = model.ends(address)
    assert set(recipients.mailboxes_behind(store, address, "+")) == mailboxes
    leaves = list(recipients.leaves(store, address, "+"))
    assert {leaf.name for leaf in leaves if leaf.outside} == outside
    for login in model.mailboxes:
        assert senders.owns(store, login, address, "+") == (login == address or login in model.owners(address))
    # What Postfix does with the answers: no account that exists is bounced, no stranger is taken in.
    found = ask("virtual_alias_maps") is not None or ask("virtual_mailbox_maps") is not None
    assert found == bool(mailboxes or (outside and not address.endswith(f"@{OUTSIDE}")) or model.own(address))
