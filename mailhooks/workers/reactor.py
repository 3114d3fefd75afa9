"""The little that workers use of Twisted's reactor (IReactorTime and IReactorFromThreads), and how they hand back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IDelayedCall


class Reactor(Protocol):
    """Time, and the way back to the reactor thread."""

    def seconds(self) -> float:
        """Tell the reactor's time."""

    def callLater(self, delay: float, function: Callable[..., object], /, *args: object) -> IDelayedCall:  # noqa: N802
        """Call a function later, on the reactor thread."""

    def callFromThread(self, function: Callable[..., object], /, *args: object) -> None:  # noqa: N802
        """Call a function soon, on the reactor thread; the one method that any thread may call."""


@dataclass(frozen=True, slots=True)
class Raised:
    """The outcome of work that raised instead of returning."""

    error: BaseException


def answer(done: Deferred[Any], outcome: Any) -> None:
    """Hand an outcome to who waits; on the reactor thread."""
    if isinstance(outcome, Raised):
        done.errback(outcome.error)
    else:
        done.callback(outcome)
