"""Refuse networks that try out addresses: too many recipients of which too large a share is unknown here.

Counted for each client network over an hour, and then every recipient is put off with 450; and in each session, which
then ends with 421. Nobody is made to wait for the answer: a slow answer costs us a process for each attacker. Users who
have logged in are the rule ``breaker``'s business. It needs to be asked before Postfix's own check of unknown
recipients (``reject_unlisted_recipient``), as ``mailhooks config`` renders it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailhooks import recipients
from mailhooks.policy.memory import network
from mailhooks.policy.windows import Counter
from mailhooks.wire.policy import Reject

if TYPE_CHECKING:
    from mailhooks.policy import Decision
    from mailhooks.policy.facts import Facts
    from mailhooks.policy.settings import Rule, Settings, Watch
    from mailhooks.store import Store
    from mailhooks.wire.policy import Action, Request

WINDOW = 3600  # seconds that are looked at


class Asked:
    """How many recipients one network or session asked for."""

    __slots__ = ("all", "unknown")

    def __init__(self) -> None:
        self.all = Counter()
        self.unknown = Counter()

    def note(self, now: float, *, unknown: bool) -> None:
        """Count one recipient."""
        self.all.add(1, (WINDOW,), now)
        if unknown:
            self.unknown.add(1, (WINDOW,), now)

    def is_flood(self, most: int, share: float, now: float) -> bool:
        """Tell whether ``most`` were unknown, and such a share."""
        unknown = self.unknown.used(WINDOW, now)
        return unknown >= most > 0 and unknown >= share * self.all.used(WINDOW, now)


def bind(settings: Settings, facts: Facts) -> Rule:
    """Bind the refusals."""
    text = settings.text("flood")
    over_time, in_session = Reject(450, "4.7.1", text), Reject(421, "4.7.0", text)
    memory = facts.memory

    def rule(request: Request, store: Store, now: float) -> Action | None:  # noqa: ARG001 - every rule is called alike
        if request.sasl_username or request.state != "RCPT":
            return None
        at = memory.time()
        session = memory.floods.get(_session(request))
        if session is not None and session.is_flood(settings.flood_session, settings.flood_share, at):
            return in_session
        near = memory.floods.get(network(request.client_address))
        if near is not None and near.is_flood(settings.flood_unknown, settings.flood_share, at):
            return over_time
        return None

    return rule


def watch(settings: Settings, facts: Facts) -> Watch:
    """Count recipients and those that nobody has, of networks that are not refused already."""
    memory = facts.memory
    objects = bind(settings, facts)

    def seen(request: Request, store: Store, now: float, *, decision: Decision) -> None:  # noqa: ARG001 - every one alike
        if request.sasl_username or request.state != "RCPT":
            return
        if objects(request, store, now) is not None:
            memory.limit_trips.append("flood")
            return
        unknown = facts.recipient(request, store) is recipients.NOWHERE
        at = memory.time()
        for key in (_session(request), network(request.client_address)):
            if key:
                asked = memory.floods.get(key)
                if asked is None:
                    asked = memory.floods[key] = Asked()
                asked.note(at, unknown=unknown)

    return seen


def _session(request: Request) -> str:
    return f"{request.client_address} {request.client_port}" if request.client_port else ""
