"""What a running ``up`` does about a change: the configuration at SIGHUP, the certificate whenever it is replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from mailhooks.config import Config, ConfigError
from mailhooks.stack import generation
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

    def start(self) -> None:
        """Look out for a new certificate."""
        self._certificate.start()

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
            self._supervisor.restart("spamd")  # mail waits meanwhile: spamd cannot read again without an end
