"""The frame of the policy rules: which are asked, in which order, and what their verdicts come to.

Rules
    ``policy_context`` chooses the list of rules (smtp, submission, end-of-message; an empty or unknown one means smtp).
    They are asked in their order, and the first one that objects decides; no objection is DUNNO, never OK, which would
    skip Postfix's later checks. A rule in shadow mode is decided and reported, and its objection is not enforced.
    ``Unavailable`` passes through: the server says DEFER_IF_PERMIT.

A rule is one file with ``bind(settings, facts) -> rule(request, store, now)`` and one line in ``RULES``. A rule only
looks; what it must remember it is told by its ``watch``, after the decision of all rules: one line in ``WATCHES``.

What it does not do
    It neither logs nor writes; the server does, from the Decision and the Memory.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailhooks.policy import breaker, flood, limits, list_posting, quota, recipient_access, sender_ownership
from mailhooks.policy.facts import Facts
from mailhooks.policy.memory import Memory
from mailhooks.policy.settings import Bind, BindWatch, Rule, Settings, Watch
from mailhooks.policy.texts import TEXTS
from mailhooks.wire.policy import Action, Dunno

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mailhooks.store import Store
    from mailhooks.wire.policy import Request

__all__ = [
    "CONTEXTS",
    "NO_OBJECTION",
    "RULES",
    "Decision",
    "Memory",
    "Policy",
    "Rule",
    "Settings",
    "UnknownRule",
    "Verdict",
]

CONTEXTS = ("smtp", "submission", "end-of-message")
RULES: Mapping[str, Bind] = {
    "sender_ownership": sender_ownership.bind,
    "recipient_access": recipient_access.bind,
    "list_posting": list_posting.bind,
    "quota": quota.bind,
    "limits": limits.bind,
    "breaker": breaker.bind,
    "flood": flood.bind,
}
WATCHES: Mapping[str, BindWatch] = {
    "quota": quota.watch,
    "limits": limits.watch,
    "breaker": breaker.watch,
    "flood": flood.watch,
}


class UnknownRule(LookupError):
    """The configuration names a rule or a text that does not exist; the text names the nearest one."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one rule says: None is no objection. In shadow mode an objection is not enforced."""

    rule: str
    action: Action | None
    shadow: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to Postfix, the rule that gave it ("" when none objected), and all objections up to it."""

    action: Action
    rule: str = ""
    objections: tuple[Verdict, ...] = ()  # enforced and shadow ones, in order of asking


NO_OBJECTION = Decision(Dunno())  # one for all: it is the answer to nearly every request


class Policy:
    """The rules bound to their settings, once per process and thread. Raises ``UnknownRule``.

    ``memory`` is what rules remember of earlier requests: one for all settings that a process has had.
    """

    def __init__(self, settings: Settings, memory: Memory | None = None) -> None:
        self._facts = Facts(settings.delimiter, memory)
        self._memory = self._facts.memory
        used = (*settings.smtp, *settings.submission, *settings.end_of_message)
        for name in (*used, *settings.shadow):
            _check(name, RULES, "policy rule")
        for name in settings.texts:
            _check(name, TEXTS, "text")
        self._watches: tuple[Watch, ...] = tuple(
            watch(settings, self._facts) for name, watch in WATCHES.items() if name in used
        )
        bound = {name: bind(settings, self._facts) for name, bind in RULES.items()}
        self._rules: dict[str, tuple[tuple[str, bool, Rule], ...]] = {
            context: tuple((name, name in settings.shadow, bound[name]) for name in names)
            for context, names in zip(
                CONTEXTS, (settings.smtp, settings.submission, settings.end_of_message), strict=True
            )
        }
        self._default = self._rules["smtp"]

    def decide(self, request: Request, store: Store, now: float) -> Decision:
        """Ask the rules of the request's context until one objects."""
        self._facts.forget()
        decision = self._decide(request, store, now)
        for watch in self._watches:
            watch(request, store, now, decision=decision)
        if self._memory.messages and request.state == "END-OF-MESSAGE":
            self._memory.messages.pop(request.instance, None)
        return decision

    def _decide(self, request: Request, store: Store, now: float) -> Decision:
        shadowed: tuple[Verdict, ...] = ()
        for name, shadow, rule in self._rules.get(request.policy_context, self._default):
            action = rule(request, store, now)
            if action is None:
                continue
            verdict = Verdict(name, action, shadow)
            if not shadow:
                return Decision(action, name, (*shadowed, verdict))
            shadowed = (*shadowed, verdict)
        return Decision(NO_OBJECTION.action, "", shadowed) if shadowed else NO_OBJECTION

    def trace(self, request: Request, store: Store, now: float) -> tuple[Verdict, ...]:
        """Ask every rule of the request's context, for a person who wants to know what each one says."""
        self._facts.forget()
        self._facts.tracing = True
        rules = self._rules.get(request.policy_context, self._default)
        try:
            return tuple(Verdict(name, rule(request, store, now), shadow) for name, shadow, rule in rules)
        finally:
            self._facts.tracing = False


def _check(name: str, known: Mapping[str, object], kind: str) -> None:
    if name not in known:
        near = difflib.get_close_matches(name, known, 1, 0.4)
        cure = f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"
        raise UnknownRule(f"there is no {kind} {name!r}: {cure}")
