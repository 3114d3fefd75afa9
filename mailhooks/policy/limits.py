"""Limit to how many recipients users send: per user, domain, app password and client network, in sliding windows.

Recipients are counted when a message has come whole (END-OF-MESSAGE), so that what was refused does not count. They are
checked at RCPT, together with the recipients that this message has already, and once more at its end: of several
messages that were begun at the same time, the one that would go over is refused there, and nothing is ever overrun.

The limits are in the store (``mailhooks limit``): of a user, or else of ``default``; of the user's ``@domain``, for all
its users together; of each ``credential``, where the login is known; and of each client ``network``. Only users who
have logged in are limited.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mailhooks import recipients
from mailhooks.address import fold
from mailhooks.policy.memory import Memory, network
from mailhooks.store import sending
from mailhooks.wire.policy import Reject

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailhooks.policy import Decision
    from mailhooks.policy.facts import Facts
    from mailhooks.policy.settings import Rule, Settings, Watch
    from mailhooks.store import Store
    from mailhooks.store.sending import Limit, SendLimit
    from mailhooks.wire.policy import Action, Request

MAX_SCOPES = 10_000  # scopes whose limits are remembered between two changes of the directory


class Applied(NamedTuple):
    """Limits that count for one request: their kind for the metric, the key of their counter."""

    kind: str  # user, domain, credential, network
    key: str
    limits: tuple[Limit, ...]


class Limits:
    """The limits of the store, remembered until the directory changes."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._seen = (-1, -1)
        self._known: dict[str, SendLimit | None] = {}
        self.any = False

    def renew(self, store: Store) -> bool:
        """Tell whether there are any limits at all."""
        if self._seen != (seen := (store.generation, store.change_number)):
            self._known.clear()
            self.any = store.has_send_limits()
            self._seen = seen
        return self.any

    def applied(self, store: Store, login: str, client: str) -> Iterator[Applied]:
        """All limits that count for a login from an address. Raises Unavailable."""
        own = self._of(store, login) or self._of(store, sending.DEFAULT)
        if own is not None and own.limits:
            yield Applied("user", f"user {login}", own.limits)
        at = login[login.rindex("@") :]
        whole = self._of(store, at)
        if whole is not None and whole.limits:
            yield Applied("domain", f"domain {at}", whole.limits)
        each = self._of(store, sending.CREDENTIAL)
        if each is not None and each.limits and (label := self._memory.credential(login, client)):
            yield Applied("credential", f"credential {login} {label}", each.limits)
        near = self._of(store, sending.NETWORK)
        if near is not None and near.limits and (where := network(client)):
            yield Applied("network", f"network {where}", near.limits)

    def _of(self, store: Store, scope: str) -> SendLimit | None:
        if scope not in self._known:
            if len(self._known) >= MAX_SCOPES:
                self._known.clear()
            self._known[scope] = store.send_limit(scope)
        return self._known[scope]


def bind(settings: Settings, facts: Facts) -> Rule:
    """Bind whether what goes over a limit is put off or refused."""
    memory = facts.memory
    limits = Limits(memory)
    code, dsn = (450, "4.7.1") if settings.limit_action == "defer" else (550, "5.7.1")

    def rule(request: Request, store: Store, now: float) -> Action | None:  # noqa: ARG001 - every rule is called alike
        if not request.sasl_username or not limits.renew(store):
            return None
        state = request.state
        if state == "RCPT":
            if facts.recipient(request, store) is recipients.NOWHERE:
                return None  # Postfix refuses it
            message = memory.message(request.instance)
            number = 1 + (message.recipients if message is not None else 0)
        elif state == "END-OF-MESSAGE":
            number = request.recipient_count
        else:
            return None
        login = fold(request.sasl_username)
        if login is None:
            return None
        at = memory.time()
        for kind, key, some in limits.applied(store, login, request.client_address):
            counter = memory.counter(store, key)
            limit = counter.exceeded(some, number, at)
            if limit is not None:
                if not facts.tracing:
                    memory.limit_trips.append(kind)
                minutes = max(1, round((counter.room_at(limit, number, at) - at) / 60))
                text = settings.text(f"limit_{kind}", limit=str(limit), minutes=str(minutes))
                return Reject(code, dsn, text)
        return None

    return rule


def watch(settings: Settings, facts: Facts) -> Watch:  # noqa: ARG001 - every watcher is bound alike
    """Count the recipients of a message as they are accepted, and for good when it has come whole."""
    memory = facts.memory
    limits = Limits(memory)

    def seen(request: Request, store: Store, now: float, *, decision: Decision) -> None:  # noqa: ARG001 - the same
        if not request.sasl_username or decision.rule or not limits.renew(store):
            return
        state = request.state
        if state == "RCPT":
            if request.instance and facts.recipient(request, store) is not recipients.NOWHERE:
                memory.begin(request.instance).recipients += 1
        elif state == "END-OF-MESSAGE":
            login = fold(request.sasl_username)
            if login is None:
                return
            for _, key, some in limits.applied(store, login, request.client_address):
                memory.count(store, key, request.recipient_count, tuple(limit.seconds for limit in some))

    return seen
