"""Suspend the sending of an account that looks stolen: reading goes on, and an admin or a time lifts it.

It looks stolen when within an hour it tries too many recipients, has too large a share of them refused, or comes from
too many client networks (``[policy] breaker_*``). The suspension is in the store; until that has it, and when it cannot
be written, the memory has it. In shadow mode nothing is suspended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailhooks import recipients
from mailhooks.address import fold
from mailhooks.policy.bounded import Bounded
from mailhooks.policy.memory import Memory, Trip, network
from mailhooks.policy.windows import Counter
from mailhooks.wire.policy import Reject

if TYPE_CHECKING:
    from mailhooks.policy import Decision
    from mailhooks.policy.facts import Facts
    from mailhooks.policy.settings import Rule, Settings, Watch
    from mailhooks.store import Store
    from mailhooks.wire.policy import Action, Request

STATES = frozenset({"MAIL", "RCPT", "DATA", "END-OF-MESSAGE"})
WINDOW = 3600  # seconds that are looked at
MIN_REFUSED = 20  # a share of fewer is chance: an old address book has some dead entries
OWN = ("", "limits", "breaker")  # rules whose refusal says nothing about the recipient
FINAL = 500  # reply codes from here on (RFC 5321 section 4.2.1)
MAX_NETWORKS = 100  # of one account; more are none the wiser


class Suspect:
    """What one login did in the last hour."""

    __slots__ = ("networks", "refused", "tried")

    def __init__(self) -> None:
        self.tried = Counter()
        self.refused = Counter()
        self.networks: Bounded[str, float] = Bounded(MAX_NETWORKS)

    def note(self, *, refused: bool, where: str, now: float) -> None:
        """Count one recipient."""
        self.tried.add(1, (WINDOW,), now)
        if refused:
            self.refused.add(1, (WINDOW,), now)
        if where:
            self.networks[where] = now
            while next(iter(self.networks.values())) < now - WINDOW:
                self.networks.popitem(last=False)

    def verdict(self, settings: Settings, now: float) -> tuple[str, str] | None:
        """Say why the account looks stolen, and which limit tells so."""
        tried, refused = self.tried.used(WINDOW, now), self.refused.used(WINDOW, now)
        if settings.breaker_recipients and tried > settings.breaker_recipients:
            return "breaker_recipients", f"{tried} recipients within an hour"
        if settings.breaker_refused and refused >= max(MIN_REFUSED, settings.breaker_refused * tried):
            return "breaker_refused", f"{refused} of {tried} recipients refused within an hour"
        if settings.breaker_networks and len(self.networks) >= settings.breaker_networks:
            return "breaker_networks", f"mail from {len(self.networks)} networks within an hour"
        return None


def bind(settings: Settings, facts: Facts) -> Rule:
    """Bind the text."""
    refusal = Reject(550, "5.7.1", settings.text("suspended"))
    memory = facts.memory

    def rule(request: Request, store: Store, now: float) -> Action | None:
        if not request.sasl_username or request.state not in STATES:
            return None
        login = fold(request.sasl_username)
        return refusal if login is not None and memory.suspended(store, login, now) else None

    return rule


def _is_refused(decision: Decision) -> bool:
    """Tell whether a recipient was refused for good; who has used up a limit is told to wait, and that is enough."""
    action = decision.action
    return decision.rule not in OWN and isinstance(action, Reject) and action.code >= FINAL


def watch(settings: Settings, facts: Facts) -> Watch:
    """Count what users try, and suspend them."""
    memory: Memory = facts.memory
    shadow = "breaker" in settings.shadow
    seconds = settings.breaker_hours * 3600

    def seen(request: Request, store: Store, now: float, *, decision: Decision) -> None:
        if not request.sasl_username or request.state != "RCPT":
            return
        login = fold(request.sasl_username)
        if login is None or memory.suspended(store, login, now):
            return
        suspect = memory.suspects.get(login)
        if suspect is None:
            suspect = memory.suspects[login] = Suspect()
        refused = _is_refused(decision) or facts.recipient(request, store) is recipients.NOWHERE
        client = request.client_address
        suspect.note(refused=refused, where=network(client), now=memory.time())
        verdict = suspect.verdict(settings, memory.time())
        if verdict is None:
            return
        scope, reason = verdict
        label = memory.credential(login, client)
        if label:
            reason += f", last with the app password {label!r}"
        memory.trip(Trip(login, reason, scope, now + seconds if seconds else None, shadow))

    return seen
