"""The policy server: attributes of an SMTP command in, one action out (SMTPD_POLICY_README).

The decision is made elsewhere (``decide``); whatever goes wrong with it, Postfix hears DEFER_IF_PERMIT: the client may
try again, unless another restriction refuses it for good. A malformed request has no reply: the connection ends, and
Postfix asks once more.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from mailhooks.servers.base import Connection, Server
from mailhooks.store.errors import Unavailable
from mailhooks.wire import policy

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IReactorTime

    from mailhooks.counters import HookCounters

_UNAVAILABLE = policy.DeferIfPermit("4.3.0", "the account store cannot answer now, try again later")
_FAULT = policy.DeferIfPermit("4.3.0", "internal error, try again later")


class PolicyConnection(Connection):
    """One smtpd process."""

    def __init__(self, server: PolicyServer) -> None:
        super().__init__(server)
        self.parser = policy.RequestParser()
        self._policy = server

    def answer(self, value: policy.Request) -> bytes:
        """Return the reply to one request."""
        return self._policy.reply(value)


class PolicyServer(Server):
    """Hands each request to ``decide``."""

    def __init__(
        self,
        clock: IReactorTime,
        counters: HookCounters,
        *,
        decide: Callable[[policy.Request], policy.Action],
    ) -> None:
        super().__init__("policy", clock, counters)
        self._decide = decide
        self._decided = counters.request("", "decided")
        self._durations = counters.seconds

    def connection(self) -> PolicyConnection:
        """Make the protocol of a new connection."""
        return PolicyConnection(self)

    def reply(self, request: policy.Request) -> bytes:
        """Answer one request."""
        started = perf_counter()
        try:
            reply = policy.render(self._decide(request))
        except Unavailable:
            return self._temporary(_UNAVAILABLE, started, request)
        except Exception:  # noqa: BLE001 - our own fault is logged, and "later" to the client
            self.fault("DEFER_IF_PERMIT answered")
            return self._temporary(_FAULT, started, request)
        self._decided.value += 1
        seconds = perf_counter() - started
        self._durations.observe(seconds)
        if self.counters.trace is not None:
            action = reply.split(maxsplit=1)[0].partition(b"=")[2].decode().lower()
            self.counters.trace("", action, seconds, request.instance)
        return reply

    def _temporary(self, action: policy.Action, started: float, request: policy.Request) -> bytes:
        self.counters.answered("", "temporary", perf_counter() - started, request.instance)
        return policy.render(action)
