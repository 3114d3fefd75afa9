"""Refuse mail to an alias or mailing list from those who may not post to it.

Who may post: ``anyone``; ``members``: who stands in the list's expansion; ``domain``: senders of the list's domain;
``authenticated``: who has logged in here; ``moderators``: who may send as the list (``mailhooks sender allow LOGIN
LIST``), so that one grant makes a moderator. A moderator may post to every other kind of list, too, and from outside.

SMTP does not prove a sender that has not logged in: ``members``, ``domain`` and ``moderators`` take the envelope
sender's word then, as lists do everywhere. Only ``authenticated`` cannot be forged: there moderators log in as well.
A list inside another list is reached by those who may post to the outer one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailhooks import recipients, senders
from mailhooks.address import fold, split_extension
from mailhooks.store.model import Posting
from mailhooks.wire.policy import Reject

if TYPE_CHECKING:
    from mailhooks.policy.facts import Facts
    from mailhooks.policy.settings import Rule, Settings
    from mailhooks.store import Store
    from mailhooks.wire.policy import Action, Request

STATES = frozenset({"RCPT"})
# X.7.2: "the sender is not authorized to send a message to the intended mailing list" (RFC 3463 section 3.8)
CODE, DSN = 550, "5.7.2"


def bind(settings: Settings, facts: Facts) -> Rule:
    """Bind the texts and the delimiter."""
    delimiter = settings.delimiter
    refusals = {
        posting: Reject(CODE, DSN, settings.text(f"list_{posting}"))
        for posting in Posting
        if posting is not Posting.ANYONE
    }

    def rule(request: Request, store: Store, now: float) -> Action | None:  # noqa: ARG001 - every rule is called alike
        if request.state not in STATES:
            return None
        found = facts.recipient(request, store)
        if not found.targets:
            return None
        alias = store.alias(found.source)
        if alias is None or alias.posting is Posting.ANYONE:
            return None
        poster = _Poster(store, request, delimiter)
        if poster.may_post(found.source, alias.posting):
            return None
        return refusals[alias.posting]

    return rule


class _Poster:
    """The one who posts: the login, if any, and the envelope sender in all its names."""

    def __init__(self, store: Store, request: Request, delimiter: str) -> None:
        self._store = store
        self._delimiter = delimiter
        self._login = fold(request.sasl_username) if request.sasl_username else None
        self._sender = fold(request.sender) if request.sender else None

    def may_post(self, source: str, posting: Posting) -> bool:
        if posting is Posting.AUTHENTICATED:
            return self._login is not None
        if posting is Posting.DOMAIN and self._domain_of(source) in self._domains():
            return True
        names = self._names()
        if posting is Posting.MEMBERS and not names.isdisjoint(self._members(source)):
            return True
        return not names.isdisjoint(senders.granted(self._store, source, self._delimiter))

    def _names(self) -> set[str]:
        """Spell the poster: login, sender, sender without extension, and whose address it is."""
        names = set() if self._login is None else {self._login}
        if self._sender is not None:
            names |= {self._sender, split_extension(self._sender, self._delimiter)[0]}
            names.update(senders.personal(self._store, self._sender, self._delimiter))
        return names

    def _domains(self) -> set[str]:
        return {self._domain_of(who) for who in (self._login, self._sender) if who is not None}

    def _domain_of(self, address: str) -> str:
        """Name the hosted domain of an address; an alias domain is another spelling of it."""
        name = address.rpartition("@")[2]
        domain = self._store.domain(name)
        return name if domain is None else domain.alias_of or name

    def _members(self, source: str) -> set[str]:
        """Name everybody on the list: its targets as written and what they lead to."""
        members = {split_extension(target, self._delimiter)[0] for target in self._store.alias_targets(source)}
        members.update(leaf.name for leaf in recipients.leaves(self._store, source, self._delimiter))
        return members
