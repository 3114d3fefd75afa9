"""What a running ``up`` does about change: of the configuration (SIGHUP), the certificate, SpamAssassin's rules."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from mailhooks.config import Config, ConfigError
from mailhooks.stack import generation, paths
from mailhooks.stack.spam_update import SpamUpdate, command
from mailhooks.stack.tls import CertificateWatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailhooks.stack.render import Daemon
    from mailhooks.stack.supervisor import Supervisor

log = Logger()


class Changes:
    """Takes changes up, or says why not and leaves everything as it was."""

    def __init__(
        self,
        reactor: Any,
        config: Config,
        supervisor: Supervisor,
        *,
        load: Callable[[], Config],
        write: Callable[[Config, generation.Generation], set[Daemon]],
    ) -> None:
        self._supervisor = supervisor
        self._load = load
        self._write = write
        self._certificate = CertificateWatch(reactor, config, supervisor.reload)
        self._rules: SpamUpdate | None = None
        if config.server.spam_filter and config.server.spam_update:
            home = str(paths.layout(config).spam_rules)
            self._rules = SpamUpdate(reactor, command(config), {**os.environ, "HOME": home}, self._new_rules)

    def start(self) -> None:
        """Look out for a new certificate, and for new rules."""
        self._certificate.start()
        if self._rules is not None:
            self._rules.start()

    def stop(self) -> None:
        """Begin nothing more."""
        if self._rules is not None:
            self._rules.stop()

    def reload(self) -> None:
        """Read the configuration and the certificate again."""
        try:
            config = self._load()
            changed = self._write(config, generation.find())
        except (ConfigError, generation.MissingBinaryError, OSError) as error:
            log.error("SIGHUP: the configuration stays as it was: {why}", why=" ".join(str(error).split()))
            return
        log.info("SIGHUP: the configuration was read again")
        self._certificate.now(config)
        self._supervisor.reload()
        if "spamassassin" in changed:
            self._new_rules()

    def _new_rules(self) -> None:
        """Start spamd anew, which cannot read again without an end; mail waits meanwhile."""
        self._supervisor.restart("spamd")
