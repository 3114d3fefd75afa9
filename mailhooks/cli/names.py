"""Names in the configuration whose meaning other modules know: tables, hooks, dict names, policy rules and texts.

Every command looks at them, so that a wrong one is heard where it was written and not when the daemon starts. What
knows them is loaded only where the file says something else than the defaults: commands start fast.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from mailhooks.config import ConfigError, DictConfig, ListenConfig, MailConfig, PolicyConfig, nearest

if TYPE_CHECKING:
    from collections.abc import Collection

    from mailhooks.config import Config

RULES = ("smtp", "submission", "end_of_message", "shadow")  # the keys of [policy] that name rules


def check(config: Config) -> None:
    """Raise ConfigError for a name that nothing bears."""
    _check("log.hooks", "hook", config.log.hooks, [hook.name for hook in fields(ListenConfig)])
    if config.listen.tcp_table:
        from mailhooks.tables import TABLES  # noqa: PLC0415 - see above

        _check("listen.tcp_table", "table", config.listen.tcp_table, TABLES)
    if config.dict.names != DictConfig.names:
        _dict_names(config)
    if config.policy.texts or any(getattr(config.policy, key) != getattr(PolicyConfig, key) for key in RULES):
        _policy(config)


def _check(where: str, kind: str, names: Collection[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            raise ConfigError(f"{where}: there is no {kind} {name!r}: {nearest(name, known)}")


def _dict_names(config: Config) -> None:
    from mailhooks import dicts  # noqa: PLC0415 - see above
    from mailhooks.userdb import MailSettings  # noqa: PLC0415 - the same

    try:
        dicts.chosen(config.dict.names, MailSettings(MailConfig.uid, MailConfig.gid, MailConfig.home))
    except ValueError as error:
        raise ConfigError(f"dict.names: {error}") from error


def _policy(config: Config) -> None:
    from mailhooks.policy import Policy, Settings, UnknownRule  # noqa: PLC0415 - see above

    try:
        Policy(Settings.of(config.policy, delimiter=config.mail.recipient_delimiter))
    except UnknownRule as error:
        raise ConfigError(f"[policy]: {error}") from error
