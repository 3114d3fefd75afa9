"""Changes of aliases, lists and catch-alls. Whether the graph that results is sound is checked once, at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailhooks.address import split_extension
from mailhooks.store import ledger
from mailhooks.store.alias_graph import MAX_TARGETS, AliasGraph
from mailhooks.store.errors import NotFound, Refused
from mailhooks.store.ledger import UNSET, Unset
from mailhooks.store.model import Alias, Posting

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

AUDITED_TARGETS = 10  # of an alias that the audit log spells out: one line for people


class AliasChanges(ledger.Ledger):
    """The part of a change that is about aliases."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._touched: dict[str, None] = {}  # sources whose expansion may have changed
        self._new_targets: dict[str, tuple[str, ...]] = {}  # targets that must exist at the end

    def add_alias(
        self,
        source: str,
        targets: Iterable[str],
        *,
        posting: Posting = Posting.ANYONE,
        keep_dangling: bool = False,
        hold: float = 0.0,
    ) -> Alias:
        """Make an alias, a list or a catch-all (``@domain``). Raises Refused, for targets at the end of the change.

        ``hold``: for so many seconds after its removal an address is not given out again.
        """
        source = ledger.source(source)
        domain = source.rpartition("@")[2]
        self._require_hosted(domain)
        self._require_free(source, hold)  # the tombstone stays: it knows of an account's mail, which no alias takes up
        row = (source, domain, str(posting))
        if (
            self._run(
                "INSERT INTO alias (source, domain, posting) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", row
            ).rowcount
            == 0
        ):
            raise Refused(f"the alias {source} is there already")
        chosen = self._write_targets(source, targets, keep_dangling=keep_dangling)
        self._tally["alias", kind(source, chosen)] += 1
        self._record("alias add", source, _summary(chosen, posting))
        return Alias(source, chosen, posting)

    def set_alias(
        self,
        source: str,
        *,
        targets: Iterable[str] | None = None,
        posting: Posting | None = None,
        expires: float | Unset | None = UNSET,
        keep_dangling: bool = False,
    ) -> Alias:
        """Change all targets of an alias, its posting rule, its end. Raises Refused, NotFound."""
        old = self._require_alias(source)
        chosen, rule = old.targets, posting or old.posting
        if targets is not None:
            self._run("DELETE FROM alias_target WHERE source = ?", (old.source,))
            chosen = self._write_targets(old.source, targets, keep_dangling=keep_dangling)
            self._recount(old, chosen)
        end = old.expires if isinstance(expires, Unset) else expires
        self._run("UPDATE alias SET posting = ?, expires = ? WHERE source = ?", (str(rule), end, old.source))
        self._record("alias set", old.source, _summary(chosen, rule))
        return Alias(old.source, chosen, rule, end)

    def remove_alias(self, source: str) -> None:
        """Remove an alias; refused while other aliases name it. Raises Refused, NotFound."""
        source = self._require_alias(source).source
        self._drop_alias(source)
        # What names it must exist without it: a mailbox of that address, or its naming ends in this change too.
        if source.startswith("@"):
            self._require_targets(self._lost(source[1:]))
            return
        for naming in self._naming(source):
            self._require_target(naming, source)

    def _require_targets(self, targets: Iterable[str]) -> None:
        """Refuse the change unless these targets exist at its end, or their naming ends in it, too."""
        for target in targets:
            for naming in self._store.aliases_naming(target):
                self._require_target(naming, target)

    def _require_target(self, naming: str, target: str) -> None:
        self._new_targets[naming] = (*self._new_targets.get(naming, ()), target)

    def _require_alias(self, source: str) -> Alias:
        source = ledger.source(source)
        found = self._store.alias(source)
        if found is None:
            raise NotFound(f"there is no alias {source}")
        return found

    def _write_targets(self, source: str, targets: Iterable[str], *, keep_dangling: bool) -> tuple[str, ...]:
        chosen = tuple(dict.fromkeys(map(ledger.address, targets)))
        if not chosen:
            raise Refused(f"the alias {source} has no targets: give at least one")
        if len(chosen) > MAX_TARGETS:
            raise Refused(f"the alias {source} has {len(chosen)} targets: at most {MAX_TARGETS} are delivered to")
        sql = "INSERT INTO alias_target (source, position, target) VALUES (?, ?, ?)"
        for position, target in enumerate(chosen):
            self._run(sql, (source, position, target))
        self._touched[source] = None
        self._new_targets.pop(source, None)
        if not keep_dangling:
            self._new_targets[source] = chosen
        return chosen

    def _drop_alias(self, source: str) -> None:
        targets = self._store.alias_targets(source)
        self._run("DELETE FROM alias WHERE source = ?", (source,))
        self._bury(source)
        self._touched.pop(source, None)
        self._new_targets.pop(source, None)
        self._tally["alias", kind(source, targets)] -= 1
        self._record("alias remove", source)

    def _take_out(self, address: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Take an address that is no more out of all aliases: which changed, and which were left empty and removed."""
        changed: dict[str, None] = {}
        removed: dict[str, None] = {}
        gone = [address]
        while gone:
            address = gone.pop()
            if address.startswith("@"):
                gone += map(self._base, self._lost(address[1:]))  # what it caught
                continue
            if self._store.has_mailbox(address) or self._store.alias_targets(address):
                # An alias of that address still takes its mail, but it can keep no copy any more.
                namers = [address] if address in self._naming(address) else []
            else:
                namers = self._naming(address)
            for source in namers:
                if self._without(source, lambda target, address=address: self._base(target) == address):
                    changed[source] = None
                else:
                    changed.pop(source, None)
                    removed[source] = None
                    gone.append(source)
        return tuple(sorted(changed)), tuple(sorted(removed))

    def _take_out_domain(self, domain: str) -> tuple[set[str], set[str]]:
        """Take all addresses at a domain out of all aliases: which changed, and which were left empty and removed."""
        at = f"@{domain}"
        changed: set[str] = set()
        removed: set[str] = set()
        for source in self._names("SELECT DISTINCT source FROM alias_target WHERE target LIKE ? ESCAPE '!'", _like(at)):
            if self._without(source, lambda target: target.endswith(at)):
                changed.add(source)
                continue
            others, more = self._take_out(source)
            changed.update(others)
            removed.update((source, *more))
        return changed, removed

    def _without(self, source: str, gone: Any) -> bool:
        """Take targets out of an alias; False when none was left, and the alias is removed."""
        old = self._store.alias(source)
        if old is None:
            return False
        kept = tuple(target for target in old.targets if not gone(target))
        if not kept:
            self._drop_alias(source)
            return False
        self._run("DELETE FROM alias_target WHERE source = ?", (source,))
        sql = "INSERT INTO alias_target (source, position, target) VALUES (?, ?, ?)"
        for position, target in enumerate(kept):
            self._run(sql, (source, position, target))
        self._recount(old, kept)
        if source in self._new_targets:
            self._new_targets[source] = tuple(each for each in self._new_targets[source] if each in kept)
        self._record("alias set", source, _summary(kept, old.posting))
        return True

    def _naming(self, address: str) -> list[str]:
        """Return the sources that name an address: as it is, with an extension, or at an alias of its domain."""
        return list(AliasGraph(self._store, self._names, self._delimiter).naming(address))

    def _lost(self, domain: str) -> list[str]:
        """Return the targets of aliases at a domain, or at an alias of it, that nobody takes mail for."""
        return AliasGraph(self._store, self._names, self._delimiter).lost_at(domain)

    def _base(self, target: str) -> str:
        """Return the address that a target means, without extension and with its alias domain resolved."""
        local, _, name = target.rpartition("@")
        domain = self._store.domain(name)
        address = f"{local}@{domain.alias_of}" if domain is not None and domain.alias_of else target
        return split_extension(address, self._delimiter)[0]

    def _recount(self, old: Alias, targets: tuple[str, ...]) -> None:
        self._tally["alias", kind(old.source, old.targets)] -= 1
        self._tally["alias", kind(old.source, targets)] += 1

    def _touch_targets_at(self, domain: str) -> None:
        """Look again at the aliases that name addresses of a domain, for it was not hosted before."""
        sql = "SELECT DISTINCT source FROM alias_target WHERE target LIKE ? ESCAPE '!'"
        for source in self._names(sql, _like(f"@{domain}")):
            self._touched.setdefault(source)

    def _names(self, sql: str, *parameters: Any) -> list[str]:
        return [name for (name,) in self._run(sql, parameters).fetchall()]

    def _check_aliases(self) -> None:
        graph = AliasGraph(self._store, self._names, self._delimiter)
        graph.check_targets(self._new_targets)
        graph.check(self._touched)


def kind(source: str, targets: tuple[str, ...]) -> str:
    """Name the kind of an alias, as it is counted."""
    if source.startswith("@"):
        return "catch-all"
    return "list" if len(targets) > 1 else "single"


def _summary(targets: tuple[str, ...], posting: Posting) -> str:
    left = len(targets) - AUDITED_TARGETS
    shown = " ".join(targets[:AUDITED_TARGETS]) + (f" and {left} more" if left > 0 else "")
    return shown if posting is Posting.ANYONE else f"{shown}, posting {posting}"


def _like(ending: str) -> str:
    return "%" + ending.replace("!", "!!").replace("%", "!%").replace("_", "!_")
