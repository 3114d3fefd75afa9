"""How much is told, and of which hook: ``[log]``, read again at SIGHUP, and SIGUSR1 while it runs.

SIGUSR1 has everything told from "debug" on, the next one goes back to what ``[log]`` says. A hook at "debug" tells each
request that it answers. For that its counters get a ``RequestLog``, and remembered replies are not used meanwhile: what
is answered without a thought is not told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.logger import Logger

from mailhooks.config import ConfigError
from mailhooks.hooks import HOOKS
from mailhooks.log import RequestLog

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailhooks.config import LogConfig
    from mailhooks.counters import Counters
    from mailhooks.log import Observer

log = Logger()


def check(settings: LogConfig) -> None:
    """Raise ConfigError for the level of a hook that there is not."""
    for hook in settings.hooks:
        if hook not in HOOKS:
            raise ConfigError(f"log.hooks: there is no hook {hook!r}: known here: {', '.join(HOOKS)}")


class Verbosity:
    """The levels of one process."""

    def __init__(self, settings: LogConfig, observer: Observer, counters: Counters, forget: Callable[[], None]) -> None:
        """``forget`` empties what holds remembered replies. Raises ConfigError."""
        self._settings = settings
        self._observer = observer
        self._counters = counters
        self._forget = forget
        self._all = False
        self.configure(settings)

    def configure(self, settings: LogConfig) -> None:
        """Take other levels; what SIGUSR1 asked for stays. Raises ConfigError, and nothing has changed."""
        check(settings)
        self._settings = settings
        self._apply()

    def toggle(self) -> None:
        """Tell everything, or go back to what the configuration says."""
        self._all = not self._all
        self._apply()
        if self._all:
            log.info("SIGUSR1: everything is told, until the next one")
        else:
            log.info("SIGUSR1: back to the levels of [log]")

    def _apply(self) -> None:
        settings = self._settings
        level, hooks = ("debug", {}) if self._all else (settings.level, settings.hooks)
        self._observer.configure(settings.format, level, hooks)
        for hook, counters in self._counters.hooks.items():
            counters.trace = RequestLog(hook) if hooks.get(hook, level) == "debug" else None
        self._forget()
