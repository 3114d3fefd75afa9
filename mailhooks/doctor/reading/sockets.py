"""Look at every listener of mailhooks from outside: who may reach it, and whether it answers.

Each hook is asked what ``/readyz`` asks (``mailhooks.servers.probes``): something that cannot exist.
"""

from __future__ import annotations

import os
import pwd
import re
import socket
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mailhooks.config import ConfigError
from mailhooks.doctor.facts import Client, Entry, Socket, Unread
from mailhooks.hooks import HOOKS
from mailhooks.servers.probes import LIMIT_SECONDS, MAX_REPLY_BYTES, NO_TALK, PROBES, Probe
from mailhooks.stack import render
from mailhooks.stack.sockets import Address, find

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mailhooks.config import Config

AREA = "sockets"
ROOT = Client("root", 0, frozenset({0}))

_SPID = re.compile(rb"^SPID\t(\d+)$", re.MULTILINE)


def configured(config: Config) -> Mapping[str, tuple[Address, ...]]:
    """Return where each hook listens; listeners whose address is not known here (systemd:, ssl:) are left out."""
    texts = {hook: getattr(config.listen, hook) for hook in HOOKS if hook != "tcp_table"}
    texts["tcp_table"] = tuple(text for strings in config.listen.tcp_table.values() for text in strings)
    return {hook: tuple(_addresses(strings, hook)) for hook, strings in texts.items()}


def read(config: Config, hooks: Mapping[str, tuple[Address, ...]]) -> tuple[tuple[Socket, ...], tuple[Unread, ...]]:
    """Look at every listener, and ask it."""
    found, unread = [], []
    for hook, addresses in hooks.items():
        for address in addresses:
            seen = _look(hook, address, _client(config, hook))
            if isinstance(seen, Unread):
                unread.append(seen)
            else:
                found.append(seen)
    return tuple(found), tuple(unread)


def entry(path: Path) -> Entry:
    """Read who owns a file and who may use it. Raises OSError."""
    status = path.stat()
    return Entry(str(path), status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode))


def account(name: str) -> Client | None:
    """Return a user of this machine, or None when there is no such one."""
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        return None
    return Client(name, found.pw_uid, frozenset(os.getgrouplist(name, found.pw_gid)))


def talk(address: Address, probe: Probe) -> tuple[str, bytes]:
    """Ask one address; return what is wrong ("" when it is ready) and what it said. Raises PermissionError."""
    family = socket.AF_UNIX if address.path else socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family) as connection:
        connection.settimeout(LIMIT_SECONDS)
        try:
            connection.connect(address.path or (address.host.strip("[]"), address.port))
            return _ask(connection, probe)
        except PermissionError:
            raise
        except TimeoutError:
            return f"does not answer within {LIMIT_SECONDS:.0f} s", b""
        except ConnectionRefusedError:
            return "refuses the connection: nobody listens", b""
        except OSError as error:
            return f"cannot be reached: {error.strerror}", b""


def _ask(connection: socket.socket, probe: Probe) -> tuple[str, bytes]:
    if probe.whole is None:
        return "", b""
    connection.sendall(probe.request)
    said, deadline = b"", time.monotonic() + LIMIT_SECONDS
    while not probe.whole.search(said):
        if len(said) > MAX_REPLY_BYTES or time.monotonic() > deadline:
            return "answers nonsense", said
        if not (more := connection.recv(MAX_REPLY_BYTES)):
            return "closes the connection", said
        said += more
    return ("" if probe.ready in said else "answers that it cannot answer now"), said


def _addresses(strings: tuple[str, ...], hook: str) -> Iterator[Address]:
    for text in strings:
        try:
            yield find([text], hook)
        except ConfigError:
            continue


def _client(config: Config, hook: str) -> Client | None:
    """Return who has to reach a hook: Postfix's daemons, Dovecot's login processes, its root, or the mail user."""
    if hook in {"socketmap", "policy", "postfix_auth"}:
        return account(render.POSTFIX_USER)
    if hook == "login":
        return account(render.DOVECOT_LOGIN_USER)
    of_mail = hook == "dict" or (hook == "auth_userdb" and config.server.shared_folders)
    if of_mail:
        return Client("the mail user", config.mail.uid, frozenset({config.mail.gid}))
    return ROOT if hook in {"auth_master", "auth_userdb"} else None


def _look(hook: str, address: Address, client: Client | None) -> Socket | Unread:
    found: Entry | None = None
    above: tuple[Entry, ...] = ()
    if address.path:
        path = Path(address.path)
        try:
            if not stat.S_ISSOCK(path.stat().st_mode):
                return Socket(hook, address, missing="is no socket")
            found, above = entry(path), tuple(entry(each) for each in path.resolve().parents)
        except FileNotFoundError:
            return Socket(hook, address, missing="does not exist")
        except OSError as error:
            return _closed(hook, address, error)
    try:
        silent, said = talk(address, PROBES.get(hook, NO_TALK))
    except PermissionError as error:
        return _closed(hook, address, error)
    spid = _SPID.search(said)
    return Socket(
        hook, address, entry=found, above=above, client=client, silent=silent, spid=spid[1].decode() if spid else ""
    )


def _closed(hook: str, address: Address, error: OSError) -> Unread:
    where = address.path or f"{address.host}:{address.port}"
    return Unread(AREA, f"the listener of {hook}, {where}: {error.strerror}", "run mailhooks doctor as root")
