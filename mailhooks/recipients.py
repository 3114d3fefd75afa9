"""Where mail for an address goes: the one fixed order of resolution, for tables, policy rules and explain alike.

Rules
    Postfix asks a socketmap once, with the whole address (protocol: socketmap_table(5)), so everything that it would
    have tried by itself with a local file is tried here, in one order: exact, without extension, alias domain,
    catch-all. At each of the first two an alias goes before a mailbox: one that names itself keeps a copy. A mailbox is
    never swallowed by the catch-all of its domain, whatever its state. The extension asked with is appended to targets
    that have none; for a catch-all too, where Postfix's own tables would drop it.

What it does not do
    It does not look at who may send or how full a mailbox is, and it never answers for an outage: ``Unavailable``
    passes through. Addresses are canonical (``mailhooks.address.fold``).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, NamedTuple

from mailhooks.address import split_extension, with_extension

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailhooks.store import Store
    from mailhooks.store.model import Standing

# As many addresses as Postfix expands one recipient into (virtual_alias_expansion_limit); the store refuses more.
MAX_BEHIND = 1000


class Step(StrEnum):
    """How an address was found, in the order of trying."""

    EXACT = "exact"
    WITHOUT_EXTENSION = "without extension"
    ALIAS_DOMAIN = "alias domain"
    CATCH_ALL = "catch-all"
    EXPIRED = "expired"  # the alias that has this address ended; no catch-all takes it over
    NOWHERE = "nowhere"  # its domain is hosted here, the address is not known
    OUTSIDE = "outside"  # its domain is none of ours


class Resolution(NamedTuple):
    """One step from an address towards its mailboxes: a mailbox, or targets, or neither when it is not known here.

    A tuple, for one is made with every lookup, and a frozen dataclass takes twice as long.
    """

    step: Step
    source: str = ""  # the row that matched: an address or "@domain"; for an alias domain the address it stands for
    targets: tuple[str, ...] = ()  # where an alias sends, extension appended; empty for a mailbox
    mailbox: str = ""  # the account; empty for an alias, even where both share an address


NOWHERE = Resolution(Step.NOWHERE)
OUTSIDE = Resolution(Step.OUTSIDE)


@dataclass(frozen=True, slots=True)
class Leaf:
    """Where one branch of an expansion ends: an account, an outside address, or (neither) an address nobody has."""

    address: str
    account: Standing | None = None
    outside: bool = False

    @property
    def name(self) -> str:
        """The account, or the address where there is none."""
        return self.address if self.account is None else self.account.address


class Fate(Enum):
    """What becomes of mail for an address."""

    RECEIVED = "received"  # by at least one mailbox that receives, or outside
    SILENT = "silent"  # there are mailboxes, none receives
    DEAD = "dead"  # there is nobody


def resolve(store: Store, address: str, delimiter: str) -> Resolution:
    """Take the one step that the fixed order prescribes. Raises ``Unavailable``."""
    found = _row(store, address, delimiter)
    if found is not None:
        return found
    local, _, name = address.rpartition("@")
    domain = store.domain(name)
    if domain is None:
        return OUTSIDE
    if domain.alias_of is None:
        return _catch_all(store, address, name, delimiter)
    there = f"{local}@{domain.alias_of}"
    if (_row(store, there, delimiter) or _catch_all(store, there, domain.alias_of, delimiter)) is NOWHERE:
        return NOWHERE
    return Resolution(Step.ALIAS_DOMAIN, there, (there,))


def settle(store: Store, address: str, delimiter: str) -> Resolution:
    """Resolve an address by the hosted domain that it stands for, so that ``source`` is a row of the store."""
    found = resolve(store, address, delimiter)
    return resolve(store, found.source, delimiter) if found.step is Step.ALIAS_DOMAIN else found


def leaves(store: Store, address: str, delimiter: str) -> Iterator[Leaf]:
    """Follow every alias to its ends, each address once, as Postfix expands them: an identity is the mailbox itself.

    An alias of which nobody is left is known to no table; a mailbox of the same address gets its mail then.
    """
    waiting = [address]
    seen = {address}
    while waiting:
        at = waiting.pop()
        found = resolve(store, at, delimiter)
        if not found.targets:
            yield Leaf(at, store.standing(found.mailbox) if found.mailbox else None, found is OUTSIDE)
        elif (account := _below(store, at, found, delimiter)) is not None:
            yield Leaf(at, account)
            continue
        for target in reversed(found.targets):
            if target == at:
                yield Leaf(at, own_account(store, at, delimiter))
            elif target not in seen and len(seen) <= MAX_BEHIND:
                seen.add(target)
                waiting.append(target)


def _below(store: Store, address: str, found: Resolution, delimiter: str) -> Standing | None:
    """Return the account of the same address as an alias that leads to nobody."""
    if address in found.targets or not _has_row(found):
        return None
    account = own_account(store, address, delimiter)
    if account is None or _lead_to_somebody(store, address, found.targets, delimiter):
        return None
    return account


def _lead_to_somebody(store: Store, source: str, targets: tuple[str, ...], delimiter: str) -> bool:
    """Tell whether the targets of an alias lead to anybody but the account below it.

    Each address is looked at once: to ask ``leaves`` of each target took twice as long with every alias of a chain.
    """
    waiting = list(targets)
    seen = {source, *targets}
    while waiting:
        at = waiting.pop()
        found = resolve(store, at, delimiter)
        if found is OUTSIDE or found.mailbox:
            return True
        if not found.targets:
            continue
        # It leads to somebody, or to the account of its own name.
        if _has_row(found) and own_account(store, at, delimiter) is not None:
            return True
        for target in found.targets:
            if target not in seen and len(seen) <= MAX_BEHIND:
                seen.add(target)
                waiting.append(target)
    return False


def _has_row(found: Resolution) -> bool:
    return found.step in (Step.EXACT, Step.WITHOUT_EXTENSION)


def mailboxes_behind(store: Store, address: str, delimiter: str) -> tuple[str, ...]:
    """Name the local mailboxes in which mail for an address ends, at most 1000, each once."""
    found = (leaf.account.address for leaf in leaves(store, address, delimiter) if leaf.account is not None)
    return tuple(dict.fromkeys(found))


def fate(store: Store, address: str, delimiter: str) -> Fate:
    """Tell whether anybody receives mail for an address."""
    found = Fate.DEAD
    for leaf in leaves(store, address, delimiter):
        if leaf.outside or (leaf.account is not None and leaf.account.state.receives):
            return Fate.RECEIVED
        if leaf.account is not None:
            found = Fate.SILENT
    return found


def deliverable(store: Store, address: str, targets: tuple[str, ...], delimiter: str) -> tuple[str, ...]:
    """Leave out the targets of an alias that do not receive; where none would be left, those that still have a mailbox.

    The second half keeps mail that was already accepted from bouncing: cleanup(8) asks after the client was told
    "250", and an alias that is suddenly not found would be delivered unexpanded. Refusing with the reason is the work
    of the policy rule ``recipient_access``, before that. An alias of which nobody is left is not known at all.
    """
    fates = [_fate_of_target(store, address, target, delimiter) for target in targets]
    for wanted in (Fate.RECEIVED, Fate.SILENT):
        chosen = tuple(target for target, found in zip(targets, fates, strict=True) if found is wanted)
        if chosen:
            return chosen
    return ()


def own_account(store: Store, address: str, delimiter: str) -> Standing | None:
    """Return the account that bears an address itself, with or without an extension; aliases are not looked at."""
    account = store.standing(address)
    if account is not None:
        return account
    base, _ = split_extension(address, delimiter)
    return store.standing(base) if base != address else None


def _row(store: Store, address: str, delimiter: str) -> Resolution | None:
    """Try the address as it is, then without its extension."""
    found = _at(store, address, Step.EXACT)
    if found is not None:
        return found
    base, extension = split_extension(address, delimiter)
    if base == address:
        return None
    found = _at(store, base, Step.WITHOUT_EXTENSION)
    if found is None or not found.targets:
        return found
    return found._replace(targets=_extend(address, found.targets, extension, delimiter))


def _at(store: Store, address: str, step: Step) -> Resolution | None:
    """Try one address; below an alias that has ended there may be a mailbox."""
    targets = store.live_targets(address)
    if targets:
        return Resolution(step, address, targets)
    if store.has_mailbox(address):
        return Resolution(step, address, (), address)
    return Resolution(Step.EXPIRED, address) if targets is None else None


def _catch_all(store: Store, address: str, domain: str, delimiter: str) -> Resolution:
    source = f"@{domain}"
    targets = store.live_targets(source)
    if not targets:
        return NOWHERE if targets is not None else Resolution(Step.EXPIRED, source)
    _, extension = split_extension(address, delimiter)
    return Resolution(Step.CATCH_ALL, source, _extend(address, targets, extension, delimiter))


def _extend(address: str, targets: tuple[str, ...], extension: str, delimiter: str) -> tuple[str, ...]:
    """Append the extension asked with to targets without one.

    Not when the address asked for is itself a target (``bob`` sends to ``bob+copies`` and ``other``): it is the second
    look at one expansion, and ``other`` would get the message twice, as ``other`` and as ``other+copies``.
    """
    if not extension or address in targets:
        return targets
    return tuple(dict.fromkeys(with_extension(target, extension, delimiter) for target in targets))


def _fate_of_target(store: Store, address: str, target: str, delimiter: str) -> Fate:
    if target != address:
        return fate(store, target, delimiter)
    account = own_account(store, address, delimiter)  # an alias that names itself keeps a copy
    if account is None:
        return Fate.DEAD
    return Fate.RECEIVED if account.state.receives else Fate.SILENT
