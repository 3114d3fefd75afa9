"""Changes of domains: hosted ones, and alias domains, which are other spellings of a hosted one."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mailhooks.store import ledger
from mailhooks.store.alias_changes import AliasChanges
from mailhooks.store.errors import NotFound, Refused
from mailhooks.store.ledger import UNSET, Unset
from mailhooks.store.mailbox_changes import MailboxChanges
from mailhooks.store.model import Domain


@dataclass(frozen=True, slots=True)
class DomainRemoval:
    """What the removal of a domain took along."""

    mailboxes: tuple[str, ...]
    lived: tuple[str, ...]  # everything that lived in it: alias domains, aliases, mailboxes
    changed: tuple[str, ...]  # aliases of other domains that lost a target
    removed: tuple[str, ...]  # aliases of other domains that lost their last one


class DomainChanges(MailboxChanges, AliasChanges):
    """The part of a change that is about domains."""

    def add_domain(self, name: str, *, alias_of: str | None = None, quota: int | None = None) -> Domain:
        """Host a domain, or make it an alias of a hosted one. Raises Refused."""
        name = ledger.domain(name)
        quota = _default(quota)
        if self._store.domain(name) is not None:
            raise Refused(f"the domain {name} is there already")
        if alias_of is not None:
            alias_of = self._target_domain(name, ledger.domain(alias_of))
            if quota is not None:
                raise Refused(f"{name} is an alias of {alias_of} and has no mailboxes of its own: set the quota there")
        self._run("INSERT INTO domain (name, alias_of, quota) VALUES (?, ?, ?)", (name, alias_of, quota))
        self._hosted.clear()
        self._touch_targets_at(name)
        self._tally["domain", "alias" if alias_of else "hosted"] += 1
        detail = f"alias of {alias_of}" if alias_of else _quota(quota)
        self._record("domain add", name, detail)
        return Domain(name, alias_of, quota)

    def set_domain(
        self, name: str, *, quota: int | Unset | None = UNSET, alias_of: str | Unset | None = UNSET
    ) -> Domain:
        """Change what is given of a domain. Raises Refused, NotFound.

        ``quota`` is what its mailboxes have by default. ``alias_of`` makes it an alias of a hosted domain, also where
        it is one of another; None: it is hosted itself. Nothing may live in a domain that becomes an alias.
        """
        domain = self._require_domain(name)
        if not isinstance(alias_of, Unset):
            domain = self._respell(domain, alias_of)
        if not isinstance(quota, Unset):
            quota = _default(quota)
            if domain.alias_of is not None:
                raise Refused(f"{domain.name} is an alias of {domain.alias_of}: set the quota there")
            self._run("UPDATE domain SET quota = ? WHERE name = ?", (quota, domain.name))
            self._record("domain set", domain.name, _quota(quota))
            domain = replace(domain, quota=quota)
        return domain

    def _respell(self, domain: Domain, alias_of: str | None) -> Domain:
        """Make a domain an alias of another one, or of none. What aliases name in it must go on to exist."""
        name = domain.name
        if alias_of is not None:
            if domain.alias_of is None:
                self._require_empty(name)
            alias_of = self._target_domain(name, ledger.domain(alias_of))
        if alias_of == domain.alias_of:
            return domain
        lost = set(self._lost(name))
        self._run("UPDATE domain SET alias_of = ?, quota = NULL WHERE name = ?", (alias_of, name))
        self._hosted.clear()
        self._touch_targets_at(name)
        self._require_targets(target for target in self._lost(name) if target not in lost)
        self._tally["domain", "alias" if domain.alias_of else "hosted"] -= 1
        self._tally["domain", "alias" if alias_of else "hosted"] += 1
        self._record("domain set", name, f"alias of {alias_of}" if alias_of else "hosted")
        return Domain(name, alias_of)

    def _require_empty(self, name: str) -> None:
        """Refuse while something lives in a domain or is set for it: an alias has none of it."""
        living = self._living(name)
        if any(living):
            raise Refused(f"{_counted(*living)} live in {name}: remove them first, for an alias has none of its own")
        for what, table in (("spam preferences", "preference"), ("limits", "send_limit")):
            if self._run(f"SELECT 1 FROM {table} WHERE scope = ?", (f"@{name}",)).fetchone():  # noqa: S608 - constants
                raise Refused(f"@{name} has {what}: unset them first, for an alias has those of its domain")

    def remove_domain(self, name: str, *, force: bool = False) -> DomainRemoval:
        """Host a domain no longer; return what went with it. Raises Refused, NotFound.

        Without ``force`` nothing may live there. Its addresses are taken out of the aliases of other domains, as when a
        user is removed.
        """
        domain = self._require_domain(name).name
        mailboxes, sources, alias_domains = self._living(domain)
        lived = (*alias_domains, *sources, *(each for each in mailboxes if each not in set(sources)))
        if lived and not force:
            counted = _counted(mailboxes, sources, alias_domains)
            raise Refused(f"{counted} live in {domain}: remove them first, or use --force")
        for source in sources:
            self._drop_alias(source)
        for mailbox in mailboxes:
            self._drop_mailbox(mailbox)
        changed: set[str] = set()
        removed: set[str] = set()
        for gone in (*alias_domains, domain):
            fewer, empty = self._take_out_domain(gone)
            changed |= fewer
            removed |= empty
            self._drop_domain(gone)
        return DomainRemoval(tuple(mailboxes), lived, tuple(sorted(changed - removed)), tuple(sorted(removed)))

    def _living(self, domain: str) -> tuple[list[str], list[str], list[str]]:
        """Return what lives in a domain: mailboxes, aliases, alias domains."""
        return (
            self._names("SELECT address FROM mailbox WHERE domain = ? ORDER BY address", domain),
            self._names("SELECT source FROM alias WHERE domain = ? ORDER BY source", domain),
            self._names("SELECT name FROM domain WHERE alias_of = ? ORDER BY name", domain),
        )

    def _drop_domain(self, name: str) -> None:
        domain = self._require_domain(name)
        self._run("DELETE FROM preference WHERE scope = ?", (f"@{name}",))
        self._run("DELETE FROM send_limit WHERE scope = ?", (f"@{name}",))
        self._run("DELETE FROM send_grant WHERE sender = ?", (f"@{name}",))
        self._run("DELETE FROM domain WHERE name = ?", (name,))
        self._hosted.clear()
        self._tally["domain", "alias" if domain.alias_of else "hosted"] -= 1
        self._record("domain remove", name)

    def _require_domain(self, name: str) -> Domain:
        name = ledger.domain(name)
        domain = self._store.domain(name)
        if domain is None:
            raise NotFound(f"there is no domain {name}")
        return domain

    def _target_domain(self, name: str, alias_of: str) -> str:
        if name == alias_of:
            raise Refused(f"{name} cannot be an alias of itself")
        target = self._store.domain(alias_of)
        if target is None:
            raise Refused(f"{name} cannot be an alias of {alias_of}, which is not hosted here: add that first")
        if target.alias_of is not None:
            raise Refused(
                f"{name} cannot be an alias of {alias_of}, which is one itself: make it an alias of {target.alias_of}"
            )
        return alias_of


def _counted(mailboxes: list[str], sources: list[str], alias_domains: list[str]) -> str:
    return f"{len(mailboxes)} mailboxes, {len(sources)} aliases and {len(alias_domains)} alias domains"


def _default(quota: int | None) -> int | None:
    """Read a domain's quota: 0 is no limit and kept as None, since there is no other limit to be free of."""
    return ledger.size("quota", quota) or None


def _quota(quota: int | None) -> str:
    return "" if quota is None else f"quota {quota}"
