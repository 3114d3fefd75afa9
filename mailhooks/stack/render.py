"""The stock daemons' configuration, rendered from mailhooks' own.

One description (the values and words below), two generations of Dovecot and any Postfix since 3.5: what differs stands
side by side in the templates. Only ``write`` touches the disk.
"""

from __future__ import annotations

import os
import re
import socket
import sys
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from mailhooks import environment, spamprefs
from mailhooks.config import Config, ConfigError
from mailhooks.environment import MAX_PORT
from mailhooks.stack import certificate, paths, sockets
from mailhooks.stack.template import load, render

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mailhooks.stack.generation import Generation

Checked = TypeVar("Checked", str, int)
Daemon = Literal["postfix", "dovecot", "spamassassin"]
DAEMONS: tuple[Daemon, ...] = ("postfix", "dovecot", "spamassassin")

# Names that Debian's packages give to their users and groups.
POSTFIX_USER = "postfix"
POSTFIX_SETGID_GROUP = "postdrop"
DOVECOT_LOGIN_USER = "dovenull"
SPAM_USER = "debian-spamd"

# A scan takes about 100 MB; spamd(8) advises at most five children. Postfix hands over as many as spamd takes.
SPAM_CHILDREN = 5
# One process per connection that is not logged in yet; Dovecot's own 100 are gone when 200 phones wake up.
LOGIN_PROCESSES = 512

# What Dovecot keeps in the dict when it is switched on in [server], and the name of the dict.
DICT_SWITCHES = {"sieve_dict": "sieve", "metadata": "metadata", "shared_folders": "acl"}

SIEVE_SCRIPTS = ("default.sieve", "folder.sieve", "learn-spam.sieve", "learn-ham.sieve")

SITE_SPAMASSASSIN = Path("/etc/spamassassin")

_LOOPBACK = {True: "127.0.0.0/8 [::1]/128", False: "127.0.0.0/8"}


@dataclass(frozen=True)
class File:
    """One rendered file."""

    path: Path
    text: str


def files(config: Config, generation: Generation, daemon: Daemon, *, ipv6: bool | None = None) -> tuple[File, ...]:
    """Render one daemon's files for ``up``. Raises ConfigError for a setting that the daemon could not use."""
    directory, rendered = _files(config, generation, daemon, paths.layout(config), {"up"}, ipv6=ipv6)
    if daemon == "spamassassin":  # the machine's own plugins, rules and settings are read before ours
        rendered += [_includes(directory / "site.pre", "*.pre"), _includes(directory / "00_site.cf", "*.cf")]
    return tuple(rendered)


def for_distribution(config: Config, generation: Generation, daemon: Daemon) -> tuple[File, ...]:
    """Render one daemon's files for the distribution's services. Raises ConfigError."""
    where = paths.layout(config, paths.DistributionLayout)
    directory, rendered = _files(config, generation, daemon, where, set())
    if daemon == "spamassassin":  # read after the distribution's local.cf, in the order of names
        rendered = [replace(rendered[0], path=directory / "mailhooks.cf")]
    return tuple(rendered)


def _files(
    config: Config,
    generation: Generation,
    daemon: Daemon,
    where: paths.Layout,
    words: set[str],
    *,
    ipv6: bool | None = None,
) -> tuple[Path, list[File]]:
    values = _values(config, generation, where, has_ipv6() if ipv6 is None else ipv6)
    words = words | _words(config, generation)
    directory, names, programs = {
        "postfix": (where.postfix_config, ("main.cf", "master.cf"), ("spamfilter.py",)),
        "dovecot": (where.dovecot_config, ("dovecot.conf", *SIEVE_SCRIPTS), ("folder.py", "learn.py")),
        "spamassassin": (where.spamassassin_config, ("local.cf",), ()),
    }[daemon]
    rendered = [File(directory / name, render(load(f"{daemon}/{name}"), values, words)) for name in names]
    return directory, rendered + [File(directory / name, _program(name)) for name in programs]


def write(rendered: Iterable[File]) -> bool:
    """Write what changed, each file at once (a reader sees the old one or the new one). Tell whether any did."""
    changed = False
    for file in rendered:
        data = file.text.encode()
        if file.path.is_file() and file.path.read_bytes() == data:
            continue
        fresh = file.path.with_name(f".{file.path.name}.new")
        fresh.write_bytes(data)
        fresh.chmod(0o644)
        os.replace(fresh, file.path)  # noqa: PTH105 - the word for what happens
        changed = True
    return changed


def hostname(config: Config) -> str:
    """Return the name that Postfix gives itself: the configured one, else the machine's. Raises ConfigError."""
    name = config.server.hostname or socket.gethostname()
    return _checked("hostname", environment.hostname, name if "." in name else f"{name}.localdomain")


def _checked(key: str, check: Callable[[Checked], Checked], value: Checked) -> Checked:
    """Check a value of [server] as its environment variable is checked. Raises ConfigError."""
    try:
        return check(value)
    except ValueError as error:
        raise ConfigError(f"server.{key}: {value!r}: {error}") from error


def has_ipv6() -> bool:
    """Tell whether this machine can listen on IPv6: where it cannot, Postfix with inet_protocols=all never listens."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def _values(config: Config, generation: Generation, where: paths.Layout, ipv6: bool) -> dict[str, str]:
    server, listen, ports = config.server, config.listen, config.server.ports
    pair = (where.pair, where.pair) if where.pair else certificate.pair(config)
    postfix_socket = {
        key: sockets.find(getattr(listen, key), key).for_postfix(where.queue)
        for key in ("socketmap", "policy", "postfix_auth")
    }
    dovecot_socket = {
        key: sockets.find_path(getattr(listen, key), key) for key in ("login", "auth_master", "auth_userdb", "dict")
    }
    for key, path in dovecot_socket.items():
        paths.check_plain(path, f"listen.{key}")
    interface = _interface(server.interface)
    _check_ports(config)
    _check_dict(config)
    return {
        **dovecot_socket,
        **{key: str(getattr(ports, key)) for key in ports.__dataclass_fields__},
        "table": f"socketmap:{postfix_socket['socketmap']}:",
        "policy": postfix_socket["policy"],
        # smtpd takes a path without "unix:" here, relative to the queue directory
        "sasl_path": postfix_socket["postfix_auth"].removeprefix("unix:"),
        "postfix": ".".join(map(str, generation.postfix)),
        "dovecot": generation.dovecot,
        "hostname": hostname(config),
        "instance": "mailhooks" if where.root == Path("/") else f"mailhooks{str(where.root).replace('/', '-')}",
        "inet_protocols": "all" if ipv6 else "ipv4",
        "loopback": _LOOPBACK[ipv6],
        "listen": f"{interface}:" if interface else "",
        "dovecot_listen": interface.strip("[]") or ("*, ::" if ipv6 else "*"),
        "protocols": " ".join(_protocols(config)),
        "queue": str(where.queue),
        "postfix_config": str(where.postfix_config),
        "postfix_data": str(where.postfix_data),
        "postfix_user": POSTFIX_USER,
        "setgid_group": POSTFIX_SETGID_GROUP,
        "message_size_limit": str(_checked("message_size_limit", environment.message_size, server.message_size_limit)),
        "delimiter": _delimiter(config.mail.recipient_delimiter),
        "relayhost": server.relayhost and _checked("relayhost", environment.nexthop, server.relayhost),
        "relay_tls": server.relay_tls,
        # Without a relay host mail goes straight to its servers, of which not all speak TLS.
        "smtp_tls_security_level": server.relay_tls if server.relayhost else "may",
        "certificate": str(pair[0]),
        "key": str(pair[1]),
        "lmtp": str(where.lmtp),
        "lmtp_relative": str(where.lmtp.relative_to(where.queue)),
        "dovecot_base": str(where.dovecot_base),
        "dovecot_state": str(where.dovecot_state),
        "dovecot_config": str(where.dovecot_config),
        "sieve_programs": str(where.sieve_programs),
        "missing_folder": server.missing_folder,
        "mail_uid": str(config.mail.uid),
        "quota_code": str(config.policy.quota_code),
        "login_processes": str(LOGIN_PROCESSES),
        "connections": str(4 * LOGIN_PROCESSES),  # what anvil may have to hold: imap, pop3, sieve, and room
        "python": sys.executable,
        "spam_user": SPAM_USER,
        "spam_children": str(SPAM_CHILDREN),
        "preferences": str(where.preferences),
        "preferences_query": spamprefs.QUERY,
        "bayes": str(where.bayes),
    }


def _words(config: Config, generation: Generation) -> set[str]:
    ports = config.server.ports
    words = {generation.dovecot, *generation.guards}
    words |= {key for key in ("smtp", "submission", "submissions") if getattr(ports, key)}
    if ports.submission or ports.submissions:
        words.add("logins")
    if config.server.spam_filter:
        words.add("spam")
    words |= {key for key in DICT_SWITCHES if getattr(config.server, key)}
    if config.server.relay_tls != "may":
        words.add("relay_tls")
    return words


def _protocols(config: Config) -> Iterable[str]:
    ports = config.server.ports
    yield "lmtp"
    if ports.imap or ports.imaps:
        yield "imap"
    if ports.pop3 or ports.pop3s:
        yield "pop3"
    if ports.sieve:
        yield "sieve"


def _check_ports(config: Config) -> None:
    """Raise ConfigError where two services would take one port: the daemons name neither."""
    seen: dict[int, str] = {}
    for service in config.server.ports.__dataclass_fields__:
        port = getattr(config.server.ports, service)
        if port > MAX_PORT:
            raise ConfigError(
                f"server.ports.{service}: {port} is no port, which are 1 to {MAX_PORT}; 0 switches it off"
            )
        if port and port in seen:
            raise ConfigError(f"server.ports: {seen[port]} and {service} cannot both have port {port}")
        seen[port] = service
    for service in ("reinject", "spamd"):
        if config.server.spam_filter and not getattr(config.server.ports, service):
            raise ConfigError(f"server.ports.{service}: the spam filter needs it; or set server.spam_filter = false")


def _check_dict(config: Config) -> None:
    """Raise ConfigError where Dovecot would be told to use what is not served, or what cannot work together."""
    for key, name in {"quota": "quota", "lastlogin": "lastlogin", **DICT_SWITCHES}.items():
        if name not in config.dict.names and getattr(config.server, key, True):
            raise ConfigError(f"dict.names: {name!r} is missing, and Dovecot is to use it")
    if config.server.sieve_dict and config.server.ports.sieve:
        raise ConfigError("server.sieve_dict: ManageSieve cannot write into the store: set server.ports.sieve = 0")


def _interface(address: str) -> str:
    if not address:
        return ""
    for family, form in ((socket.AF_INET, "{}"), (socket.AF_INET6, "[{}]")):
        try:
            socket.inet_pton(family, address)
        except OSError:
            continue
        return form.format(address)
    raise ConfigError(f"server.interface: {address!r} is no IP address; leave it empty for every address")


def _delimiter(delimiter: str) -> str:
    if not re.fullmatch(r"[!#$%&*+/=?^_~-]*", delimiter) or "$" in delimiter or "%" in delimiter:
        raise ConfigError(f"mail.recipient_delimiter: {delimiter!r} is not made of characters such as + and -")
    return delimiter


def _includes(path: Path, pattern: str) -> File:
    lines = [f"include {found}" for found in sorted(SITE_SPAMASSASSIN.glob(pattern))]
    return File(path, "\n".join(["# Rendered by mailhooks: this machine's own SpamAssassin files.", *lines, ""]))


def _program(name: str) -> str:
    return resources.files("mailhooks.stack").joinpath("programs", name).read_text(encoding="utf-8")
