"""Which hooks a process serves, and on which listeners, checked before anything starts.

That is what ``[listen]`` says, the sockets that a service manager passes, and ``--only``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.logger import Logger

from mailhooks import inherited
from mailhooks.config import ConfigError, nearest
from mailhooks.endpoints import EndpointError, Listener
from mailhooks.servers.socketmap import SECRET_TABLES
from mailhooks.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Collection

    from mailhooks.config import Config

HOOKS = ("socketmap", "tcp_table", "policy", "postfix_auth", "login", "auth_master", "auth_userdb", "dict", "http")
AUTH_CLIENTS = ("postfix_auth", "login")
AUTH = frozenset({*AUTH_CLIENTS, "auth_master", "auth_userdb"})  # share SPID, pending logins and caches: one process
PRIVATE = frozenset({"auth_master", "auth_userdb", "dict"})  # never asked by just anybody

OF_MAIL = ("dict", "auth_userdb")  # asked by mail processes, where their mode lets the group of [mail] in
DEFAULT_GROUPS = {"socketmap": "postfix", "policy": "postfix", "postfix_auth": "postfix", "login": "dovenull"}

Listeners = dict[tuple[str, str], list[Listener]]  # hook, and table of tcp_table or "" -> where


log = Logger()


def enabled(config: Config, only: Collection[str] | None, *, token: bool) -> Listeners:
    """The listeners of each hook that this process serves. Raises ConfigError, EndpointError.

    ``token`` says whether the HTTP port asks for one.
    """
    texts: dict[tuple[str, str], tuple[str, ...]] = {
        (hook, ""): getattr(config.listen, hook) for hook in HOOKS if hook != "tcp_table"
    }
    for table, strings in config.listen.tcp_table.items():
        if table not in TABLES:
            raise ConfigError(f"listen.tcp_table: there is no table {table!r}: {nearest(table, TABLES)}")
        texts["tcp_table", table] = strings
    texts = _with_inherited(texts)
    on = {hook for (hook, _), strings in texts.items() if strings}
    if only is not None:
        on = _narrow(on, only)
    hooks = {key: [Listener.parse(text) for text in strings] for key, strings in texts.items() if key[0] in on}
    for (hook, table), listeners in hooks.items():
        for listener in listeners:
            _check(hook, table, listener, token=token)
    return hooks


def default_group(config: Config, hook: str) -> str | int | None:
    """Name the group that a unix socket of a hook is given to where its string does not say; None: its maker's."""
    return config.mail.gid if hook in OF_MAIL else DEFAULT_GROUPS.get(hook)


def _with_inherited(texts: dict[tuple[str, str], tuple[str, ...]]) -> dict[tuple[str, str], tuple[str, ...]]:
    """Put the sockets that a service manager passed into their places; a table's bears the name of the table."""
    passed = inherited.sockets()
    result = {key: inherited.place(key[1] or key[0], strings, passed) for key, strings in texts.items()}
    listened = [Listener.parse(text) for strings in result.values() for text in strings if text.startswith("systemd:")]
    used = [inherited.find(listener.arguments) for listener in listened]
    for each in passed:
        if each not in used:
            log.warn(
                "nobody answers on the socket named {name} that the service manager passed: it is no hook of [listen]"
                " that listens on this kind of socket",
                name=each.name,
            )
    return result


def _narrow(on: set[str], only: Collection[str]) -> set[str]:
    for name in only:
        if name not in HOOKS:
            raise ConfigError(f"--only: there is no hook {name!r}: {nearest(name, HOOKS)}")
        if name not in on:
            raise ConfigError(f"--only: {name} is switched off in [listen]")
    chosen = AUTH & set(only)
    if chosen and (missing := sorted((AUTH & on) - chosen)):
        raise ConfigError(
            f"--only: one process serves {', '.join(sorted(AUTH))}, for they share what is under way: add "
            f"{', '.join(missing)}"
        )
    return set(only)


def _check(hook: str, table: str, listener: Listener, *, token: bool) -> None:
    """Refuse to offer to anybody what is for few."""
    where = f"listen.{hook}.{table}" if table else f"listen.{hook}"
    if (hook in PRIVATE or table in SECRET_TABLES) and not listener.private:
        raise EndpointError(
            f"{where} = {listener.text!r}: this is served on unix sockets, or on ssl: with clientCA=FILE, only"
        )
    if hook == "http" and not listener.loopback and not token:
        raise EndpointError(
            f"{where} = {listener.text!r}: other machines could read it: set [http] token_file (HTTP_TOKEN_FILE), "
            "or listen on loopback (tcp:9465:interface=127.0.0.1)"
        )
