"""Asks the policy rules, and counts and logs what they decided: the ``decide`` of the policy server."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from twisted.logger import Logger

from mailhooks.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailhooks.counters import Counters
    from mailhooks.policy import Settings
    from mailhooks.store import Store
    from mailhooks.wire.policy import Action, Request

log = Logger()


class Rules:
    """The rules over one store. Raises UnknownRule when the settings name one that does not exist."""

    def __init__(
        self, settings: Settings, store: Store, counters: Counters, now: Callable[[], float] = time.time
    ) -> None:
        self._policy = Policy(settings)
        self._store = store
        self._counters = counters
        self._now = now

    def configure(self, settings: Settings) -> None:
        """Take other settings; the old ones stay when UnknownRule is raised."""
        self._policy = Policy(settings)

    def decide(self, request: Request) -> Action:
        """Return the action for one request. Raises Unavailable."""
        decision = self._policy.decide(request, self._store, self._now())
        counts = self._counters.policy
        if not decision.rule:
            counts["none", "dunno", "enforce"] += 1
        for objection in decision.objections:
            action = type(objection.action).__name__.lower()
            counts[objection.rule, action, "shadow" if objection.shadow else "enforce"] += 1
            if objection.shadow:
                log.info(
                    "policy: rule {rule} would say {action} (shadow), instance {instance}",
                    rule=objection.rule,
                    action=action,
                    instance=request.instance,
                )
        if decision.rule == "quota":
            self._counters.quota_refused += 1
        return decision.action
