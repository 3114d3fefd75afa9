"""Whether the aliases of a store are sound: no loops, no expansion that cannot be delivered, no target that is nowhere.

An address is followed in the order in which lookups resolve it: exact, without extension, alias domain, catch-all.
Only what a change touched is looked at, and what reaches it. Naming oneself is no loop: Postfix stops at the address
itself (virtual(5)), so a forward keeps its copy. In the spelling of an alias domain it is one: Postfix sees another
address there, and goes round until it gives up.

An extension travels along: mail for list+x goes to adam+x where list sends to adam, and adam+x may be an alias of its
own. So each alias is followed together with the extension that it was reached with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailhooks.address import render, split_extension, with_extension
from mailhooks.store.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from mailhooks.store.reads import Reads

MAX_TARGETS = 1000  # Postfix's virtual_alias_expansion_limit: beyond it mail is deferred for ever
MAX_DEPTH = 1000  # Postfix's virtual_alias_recursion_limit
MAX_BYTES = 100_000  # a reply of a socketmap server (socketmap_table(5))
EXTENSION_BYTES = 64  # the longest extension that a local part can have is appended to every target
_SEPARATORS = 2  # a delimiter before each extension and a comma after each target

Reached = tuple[str, str]  # an alias, and the extension of which it was found without; "" if it was found as it is


class AliasGraph:
    """Follows the aliases as they are in the transaction."""

    def __init__(self, store: Reads, names: Callable[..., list[str]], delimiter: str) -> None:
        self._store = store
        self._names = names
        self._delimiter = delimiter
        self._expanded: dict[Reached, tuple[frozenset[str], int]] = {}  # final addresses, depth

    def check_targets(self, chosen: Mapping[str, Iterable[str]]) -> None:
        """Refuse targets at hosted domains that do not exist."""
        for source, targets in chosen.items():
            current = self._store.alias_targets(source)
            for target in targets:
                if target == source in current and not self._has_mailbox(target):
                    raise Refused(f"{source} names itself, and there is no mailbox of that address to keep a copy in")
                if target in current and not self._exists(target):
                    raise Refused(f"{target}, a target of the alias {source}, does not exist: make it first")

    def lost_at(self, hosted: str) -> list[str]:
        """Return the targets at a domain, or at an alias of it, that nobody takes mail for."""
        sql = "SELECT DISTINCT target FROM alias_target WHERE substr(target, ?) = ?"
        return [
            target
            for name in (hosted, *self._names("SELECT name FROM domain WHERE alias_of = ?", hosted))
            for target in self._names(sql, -len(name) - 1, f"@{name}")
            if not self._exists(target)
        ]

    def check(self, touched: Iterable[str]) -> None:
        """Refuse loops and expansions that are too long, in what was touched and in what reaches it."""
        waiting = [source for source in touched if self._store.alias_targets(source)]
        seen = set(waiting)
        while waiting:
            source = waiting.pop()
            self._expand((source, ""))
            base = split_extension(source, self._delimiter)[0]  # to which a travelling extension may be appended
            for naming in (*self.naming(source), *(self.naming(base) if base != source else ())):
                if naming not in seen:
                    seen.add(naming)
                    waiting.append(naming)

    def naming(self, source: str) -> Iterable[str]:
        """Return the aliases with a target that leads to a source (or to a mailbox of that address)."""
        found: dict[str, None] = {}
        local, _, domain = source.rpartition("@")
        for name in (domain, *self._names("SELECT name FROM domain WHERE alias_of = ?", domain)):
            if not local:
                found |= dict.fromkeys(self._landing_in(name, source))
                continue
            address = f"{local}@{name}"
            found |= dict.fromkeys(self._store.aliases_naming(address))
            for delimiter in self._delimiter:
                sql = "SELECT source FROM alias_target WHERE target > ? AND target < ? AND substr(target, ?) = ?"
                low, high = f"{local}{delimiter}", f"{local}{chr(ord(delimiter) + 1)}"
                found |= dict.fromkeys(self._names(sql, low, high, -len(name) - 1, f"@{name}"))
        return found

    def _landing_in(self, domain: str, catch_all: str) -> list[str]:
        at = f"@{domain}"
        sql = "SELECT DISTINCT target FROM alias_target WHERE substr(target, ?) = ?"
        targets = [
            each
            for each in self._names(sql, -len(at), at)
            if (landing := self._landing(each)) and landing[0] == catch_all
        ]
        return [source for target in targets for source in self._store.aliases_naming(target)]

    def _landing(self, target: str) -> Reached | None:
        """Return the alias that mail for an address goes through; None when it ends there: a mailbox, or elsewhere."""
        local, _, name = target.rpartition("@")
        domain = self._store.domain(name)
        if domain is None:
            return None
        if domain.alias_of is not None:
            name = domain.alias_of
            target = f"{local}@{name}"
        base, extension = split_extension(target, self._delimiter)
        for address, brought in dict.fromkeys(((target, ""), (base, extension))):
            if self._store.alias_targets(address):
                return address, brought
            if self._store.has_mailbox(address):
                return None
        catch_all = f"@{name}"
        return (catch_all, extension) if self._store.alias_targets(catch_all) else None

    def _has_mailbox(self, target: str) -> bool:
        local, _, name = target.rpartition("@")
        domain = self._store.domain(name)
        address = f"{local}@{domain.alias_of}" if domain is not None and domain.alias_of else target
        base = split_extension(address, self._delimiter)[0]
        return self._store.has_mailbox(address) or self._store.has_mailbox(base)

    def _exists(self, target: str) -> bool:
        return (
            self._store.domain(target.rpartition("@")[2]) is None
            or self._has_mailbox(target)
            or self._landing(target) is not None
        )

    def _expand(self, start: Reached) -> None:
        """Follow one alias to its end. Raises Refused."""
        path: dict[Reached, None] = {}  # the aliases that we are in, in order
        stack: list[tuple[Reached, bool]] = [(start, False)]
        while stack:
            at, finished = stack.pop()
            if finished:
                del path[at]
                self._sum_up(at)
            elif at in path:
                loop = [*list(path)[list(path).index(at) :], at]
                raise Refused(f"these aliases would be a loop: {' -> '.join(map(self._spelled, loop))}")
            elif at not in self._expanded:
                path[at] = None
                stack.append((at, True))
                stack += [(each, False) for each in self._next(at)]

    def _targets(self, at: Reached) -> list[tuple[str, str]]:
        """Return the targets of an alias, as they stand in it and with the extension that travels along."""
        source, extension = at
        targets = self._store.alias_targets(source)
        if with_extension(source, extension, self._delimiter) in targets:  # a second look at one expansion
            return [(target, target) for target in targets]
        return [(target, with_extension(target, extension, self._delimiter)) for target in targets]

    def _next(self, at: Reached) -> Iterable[Reached]:
        """Return the aliases that an alias leads to, without itself."""
        found: dict[Reached, None] = {}
        source = at[0]
        for target, extended in self._targets(at):
            landing = self._landing(extended)
            if landing is None:
                continue
            if landing[0] != source:
                found[landing] = None
            elif not self._has_mailbox(target):
                if source == target:
                    continue  # no loop for Postfix; whether it may be is check_targets' business
                raise Refused(f"the alias {source} leads to itself by {target}: there is no mailbox of that address")
            elif target.rpartition("@")[2] != source.rpartition("@")[2]:
                own = f"{target.rpartition('@')[0]}@{source.rpartition('@')[2]}"
                raise Refused(f"the alias {source} leads to itself by {target}: name {own} to keep a copy")
        return found

    def _spelled(self, at: Reached) -> str:
        source, extension = at
        return with_extension(source, extension, self._delimiter) if source.rpartition("@")[0] else source

    def _sum_up(self, at: Reached) -> None:
        source = at[0]
        final: set[str] = set()
        depth = 0
        targets = [extended for _, extended in self._targets(at)]
        for target in targets:
            landing = self._landing(target)
            if landing is None or landing[0] == source:
                final.add(target)
            else:
                final |= self._expanded[landing][0]
                depth = max(depth, self._expanded[landing][1])
        if len(final) > MAX_TARGETS:
            raise Refused(f"the alias {source} would expand to {len(final)} targets: at most {MAX_TARGETS} work")
        for addresses in (targets, final):
            length = sum(len(render(each).encode()) + EXTENSION_BYTES + _SEPARATORS for each in addresses)
            if length > MAX_BYTES:
                raise Refused(
                    f"the alias {source} would expand to {length} bytes: at most {MAX_BYTES} fit into a reply"
                )
        if depth >= MAX_DEPTH:
            raise Refused(
                f"the alias {source} would lead through more than {MAX_DEPTH} others: name the targets directly"
            )
        self._expanded[at] = (frozenset(final), depth + 1)
