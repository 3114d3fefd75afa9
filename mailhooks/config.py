"""The configuration file: every key optional, every unknown key an error that names the nearest valid one.

The dataclasses below are the reference: a key's name, type, default and meaning stand here and nowhere else.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
import tomllib
import typing
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mailhooks.environment import WrongVariable, overlay

DEFAULT_PATH = Path("/etc/mailhooks/mailhooks.toml")
MAX_FILE_BYTES = 1_000_000  # a configuration file is written by hand
ALIKE = 0.4  # difflib's ratio from which a name is taken for a misspelt one

_POSTFIX = "/var/spool/postfix/mailhooks"
_DOVECOT = "/run/mailhooks"


class ConfigError(ValueError):
    """The configuration cannot be used; the text names the key and the cure."""


@dataclass(frozen=True)
class StoreConfig:
    """Where the accounts are kept."""

    url: str = "sqlite:////var/lib/mailhooks/mailhooks.db"  # sqlite:///PATH
    key_file: str = "/var/lib/mailhooks/key"  # encrypts relay credentials
    snapshot: str = "/var/lib/mailhooks/snapshot.db"  # this machine's copy when url is postgresql://


@dataclass(frozen=True)
class MailConfig:
    """Where mail is stored, and how an address is read."""

    uid: int = 5000  # owner of all mail, numeric: it needs no passwd entry
    gid: int = 5000  # its group
    home: str = "/var/mail/%d/%n"  # %d domain, %n local part, %u address
    address_hold_days: float = 0.0  # until a removed address is given out again without --reuse
    recipient_delimiter: str = "+"  # as in Postfix; several characters each delimit


def _no_tables() -> dict[str, tuple[str, ...]]:
    return {}  # a function, since the name "dict" means a hook within ListenConfig


@dataclass(frozen=True)
class ListenConfig:
    """Twisted endpoint strings for each hook; an empty list switches the hook off."""

    socketmap: tuple[str, ...] = (f"unix:{_POSTFIX}/socketmap:mode=0660",)  # lookup tables, for Postfix
    policy: tuple[str, ...] = (f"unix:{_POSTFIX}/policy:mode=0660",)  # policy delegation, for Postfix
    postfix_auth: tuple[str, ...] = (f"unix:{_POSTFIX}/auth:mode=0660",)  # SASL, with Postfix's outage answers
    login: tuple[str, ...] = (f"unix:{_DOVECOT}/login:mode=0660",)  # for Dovecot's login processes
    auth_master: tuple[str, ...] = (f"unix:{_DOVECOT}/auth-master:mode=0600",)  # for what follows a login
    auth_userdb: tuple[str, ...] = (f"unix:{_DOVECOT}/auth-userdb:mode=0600",)  # userdb, for LMTP and doveadm
    dict: tuple[str, ...] = (f"unix:{_DOVECOT}/dict:mode=0660",)  # quota_clone, last_login and more
    http: tuple[str, ...] = ("tcp:9465:interface=127.0.0.1",)  # metrics and health
    tcp_table: Mapping[str, tuple[str, ...]] = field(default_factory=_no_tables)  # table name -> endpoints


@dataclass(frozen=True)
class DictConfig:
    """What Dovecot may keep and look up in the dict."""

    names: tuple[str, ...] = ("quota", "lastlogin", "sieve", "metadata", "acl")  # also there: passdb, userdb
    passdb_uids: tuple[int, ...] = ()  # who besides root may ask passdb (password hashes) and userdb


@dataclass(frozen=True)
class AuthConfig:
    """How passwords are checked."""

    failure_delay: float = 2.0  # seconds until "wrong password" is said
    workers: int = 0  # hashing threads; 0: one per CPU
    queue: int = 500  # waiting checks, a fifth of them from one network; beyond it: temporary failure
    cache_entries: int = 10_000  # verified credentials kept in memory (keyed hashes only); 0: none
    cache_seconds: float = 300.0  # how long each is kept
    rehash: bool = True  # bring old schemes to argon2id at the next login
    min_password_length: int = 1  # for passwords set on the command line
    scram: bool = False  # offer SCRAM, and keep its keys when a password is set; logins that prefer it need keys
    alias_login: bool = False  # log in by a personal alias, an extension or an alias domain, too
    master_users: tuple[str, ...] = ()  # accounts that log in as any other, as account*master; written to the audit log
    master_separator: str = "*"  # between the login and the master's name
    master_smtp: bool = False  # whether they may also send as any other


@dataclass(frozen=True)
class ThrottleConfig:
    """How guessing passwords is stopped (docs/throttle.rst)."""

    enabled: bool = True  # false: nothing is counted or refused
    allow: tuple[str, ...] = ()  # networks from which nothing is counted or refused
    shared_networks: tuple[str, ...] = ("own",)  # webmail, proxies; "own": loopback and this machine's addresses
    pair_guesses: int = 10  # distinct wrong passwords for one account from one network
    network_guesses: int = 50  # from one network for accounts that did not log in from it lately
    account_guesses: int = 50  # for one account from networks from which it did not log in lately


def _no_texts() -> dict[str, str]:
    return {}


@dataclass(frozen=True)
class PolicyConfig:
    """Which rules are asked, in which order, per policy_context."""

    smtp: tuple[str, ...] = ("recipient_access", "list_posting", "quota")  # mail from outside
    submission: tuple[str, ...] = (
        "sender_ownership",
        "recipient_access",
        "list_posting",
        "quota",
        "limits",
    )  # of users
    end_of_message: tuple[str, ...] = ("quota", "limits")  # asked once, when the whole message is there
    shadow: tuple[str, ...] = ()  # rules that are decided, counted and logged, not enforced
    quota_code: Literal[452, 552] = 552  # 452: the sender's server tries again for days
    null_sender: Literal["refuse", "allow"] = "refuse"  # MAIL FROM:<> by a logged-in user
    limit_action: Literal["defer", "refuse"] = "defer"  # what goes over an outbound limit: 450, or 550
    breaker_recipients: int = 1000  # an account that tries more within an hour looks stolen; 0: not asked
    breaker_refused: float = 0.5  # share of refused recipients from which it does, once there are 20; 0: not asked
    breaker_networks: int = 10  # client networks within an hour from which it does; 0: not asked
    breaker_hours: float = 0.0  # until it may send again; 0: when an admin lifts it
    flood_unknown: int = 50  # unknown recipients from a network within an hour, from which it hears 450
    flood_session: int = 10  # the same in one session, which ends with 421
    flood_share: float = 0.5  # of its recipients, that are unknown then
    texts: Mapping[str, str] = field(default_factory=_no_texts)  # other words for refusals, by name (docs: policy)


Level = Literal["debug", "info", "warn", "error"]


def _no_levels() -> dict[str, Level]:
    return {}


@dataclass(frozen=True)
class LogConfig:
    """How the daemon logs on stdout."""

    format: Literal["text", "json"] = "text"  # one event a line either way
    level: Level = "info"  # what is told at least; debug: every request
    hooks: Mapping[str, Level] = field(default_factory=_no_levels)  # other levels of some hooks: hook name -> level
    count_lines: bool = False  # ``up``: count the stock daemons' lines that matter, for the metrics


@dataclass(frozen=True)
class HttpConfig:
    """The metrics and health port."""

    token_file: str = ""  # bearer token; required when http listens beyond loopback


@dataclass(frozen=True)
class SpamConfig:
    """The small SQLite file from which spamd reads preferences; published by the daemon."""

    preferences: str = "/var/lib/mailhooks/spam/preferences.db"  # its directory is readable for spamd


@dataclass(frozen=True)
class PortsConfig:
    """Where the stock daemons listen; 0 switches a service off."""

    smtp: int = 25  # mail from other servers
    submission: int = 587  # STARTTLS required
    submissions: int = 465  # TLS from the start
    imap: int = 143  # STARTTLS required
    imaps: int = 993  # TLS from the start
    pop3: int = 0  # off by default
    pop3s: int = 0  # off by default
    sieve: int = 4190  # ManageSieve
    reinject: int = 10026  # loopback only: mail coming back from the spam filter
    spamd: int = 783  # loopback only


@dataclass(frozen=True)
class ServerConfig:
    """What ``mailhooks up`` renders into the stock daemons' files."""

    hostname: str = ""  # empty: the machine's own name
    root: str = "/"  # a private instance lives below another directory: every path not given here moves there
    interface: str = ""  # empty: every address; a loopback address for demos and tests
    certificate: str = "/etc/ssl/cert.pem"  # with its chain
    key: str = "/etc/ssl/key.pem"  # its private key
    relayhost: str = ""  # as in Postfix; empty: deliver directly
    relay_tls: Literal["encrypt", "verify", "may"] = "encrypt"  # TLS towards relay hosts; verify checks their names
    message_size_limit: int = 52_428_800  # bytes
    spam_filter: bool = True  # scan mail from outside with SpamAssassin
    spam_update: bool = True  # fetch new rules for SpamAssassin once a day (sa-update)
    sieve_dict: bool = False  # Sieve scripts come from the store (mailhooks sieve); then ports.sieve = 0
    metadata: bool = False  # IMAP METADATA, kept in the store
    shared_folders: bool = False  # users may share folders with each other (IMAP ACL)
    missing_folder: Literal["inbox", "create"] = "inbox"  # user+folder when there is no such folder
    user: str = "mailhooks"  # whom ``up`` runs ``serve`` as
    kick: bool = True  # the command line ends open sessions of a user who may no longer have them
    ports: PortsConfig = field(default_factory=PortsConfig)


@dataclass(frozen=True)
class Config:
    """The whole file."""

    store: StoreConfig = field(default_factory=StoreConfig)
    mail: MailConfig = field(default_factory=MailConfig)
    listen: ListenConfig = field(default_factory=ListenConfig)
    dict: DictConfig = field(default_factory=DictConfig)
    auth: AuthConfig = field(default_factory=AuthConfig)
    throttle: ThrottleConfig = field(default_factory=ThrottleConfig)
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    log: LogConfig = field(default_factory=LogConfig)
    http: HttpConfig = field(default_factory=HttpConfig)
    spam: SpamConfig = field(default_factory=SpamConfig)
    server: ServerConfig = field(default_factory=ServerConfig)


def load(path: Path | None = None, *, store: str | None = None) -> Config:
    """Read the configuration: ``path``, else MAILHOOKS_CONFIG, else /etc/mailhooks/mailhooks.toml if it exists.

    The variables of ``mailhooks.environment`` beat the file, and ``store`` (the --store flag) beats MAILHOOKS_STORE,
    which beats the file, too. Raises ConfigError.
    """
    named = path or (Path(value) if (value := os.environ.get("MAILHOOKS_CONFIG")) else None)
    chosen = named or (DEFAULT_PATH if DEFAULT_PATH.exists() else None)
    config = read(chosen, os.environ)
    url = store or os.environ.get("MAILHOOKS_STORE")
    if url:
        config = dataclasses.replace(config, store=dataclasses.replace(config.store, url=url))
    return config


def read(path: Path | None, environment: Mapping[str, str]) -> Config:
    """Read one file, or none, and what the environment says beyond it. Raises ConfigError."""
    tables = _tables(path) if path else {}
    try:
        parse(tables)  # what is wrong with the file is said of the file
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    try:
        return parse(overlay(tables, environment))
    except WrongVariable as error:
        raise ConfigError(str(error)) from error


def _tables(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from error
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(f"{path} has more than {MAX_FILE_BYTES} bytes: that is no configuration file")
    try:
        return tomllib.loads(data.decode())
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}") from error


def parse(tables: dict[str, Any]) -> Config:
    """Make a Config of what tomllib gave. Raises ConfigError."""
    config = _build(Config, tables, "")
    assert isinstance(config, Config)  # noqa: S101 - for the type checker
    return _with_shared_folders(_below_root(config, tables), tables)


# The keys whose defaults are paths, and move with [server] root.
_PATHS = {
    "store": ("url", "key_file", "snapshot"),
    "mail": ("home",),
    "listen": ("socketmap", "policy", "postfix_auth", "login", "auth_master", "auth_userdb", "dict"),
    "spam": ("preferences",),
    "server": ("certificate", "key"),
}
_ROOTED = re.compile(r"(unix:|sqlite:///|)/")


def _below_root(config: Config, tables: dict[str, Any]) -> Config:
    """Move the paths that the file does not name below [server] root."""
    root = config.server.root.rstrip("/")
    if not root.startswith("/"):
        return config

    def move(default: Any) -> Any:
        return (
            tuple(map(move, default)) if isinstance(default, tuple) else _ROOTED.sub(rf"\g<1>{root}/", default, count=1)
        )

    for section, keys in _PATHS.items():
        part = getattr(config, section)
        moved = {key: move(getattr(part, key)) for key in keys if key not in tables.get(section, {})}
        config = dataclasses.replace(config, **{section: dataclasses.replace(part, **moved)})
    return config


def _with_shared_folders(config: Config, tables: dict[str, Any]) -> Config:
    """Let the mail processes ask for the homes of others, unless the file says who may."""
    if not config.server.shared_folders or "auth_userdb" in tables.get("listen", {}):
        return config
    sockets = tuple(text.replace("mode=0600", "mode=0660") for text in config.listen.auth_userdb)
    return dataclasses.replace(config, listen=dataclasses.replace(config.listen, auth_userdb=sockets))


def _build(kind: type, given: Any, where: str) -> Any:
    if not isinstance(given, dict):
        raise ConfigError(f"[{where}] is a table, not {_kind(given)}")
    hints = typing.get_type_hints(kind)
    for key in given:
        if key not in hints:
            raise ConfigError(f"unknown key {_join(where, key)}: {nearest(key, hints, where)}")
    return kind(**{key: _convert(hints[key], value, _join(where, key)) for key, value in given.items()})


def nearest(name: str, known: Collection[str], where: str = "") -> str:
    """Name the cure for a name that nothing bears: what it is most like, and all there are where it is like none."""
    near = _join(where, difflib.get_close_matches(name, known, 1, 0.0)[0])
    if difflib.get_close_matches(name, known, 1, ALIKE):
        return f"did you mean {near}?"
    return f"the nearest is {near}, of {', '.join(known)}"


def _convert(hint: Any, value: Any, where: str) -> Any:
    """Make a value of what a key says; ``hint`` is the type of its field."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        return _build(typing.cast("type", hint), value, where)
    if origin is Literal:
        if value not in arguments or isinstance(value, bool):
            raise ConfigError(f"{where} is one of {', '.join(map(str, arguments))}, not {value!r}")
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise ConfigError(f"{where} is a list, not {_kind(value)}")
        return tuple(_convert(arguments[0], item, where) for item in value)
    if origin is Mapping:
        if not isinstance(value, dict):
            raise ConfigError(f"{where} is a table, not {_kind(value)}")
        return {key: _convert(arguments[1], item, _join(where, key)) for key, item in value.items()}
    return _plain(hint, value, where)


def _plain(hint: type, value: Any, where: str) -> Any:
    if hint is float and type(value) is int:
        value = float(value)
    if type(value) is not hint:
        raise ConfigError(f"{where} is {_NAMES[hint]}, not {_kind(value)}")
    if isinstance(value, int | float) and value < 0:
        raise ConfigError(f"{where} is not below zero")
    return value


_NAMES: dict[type, str] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "a table",
    list: "a list",
}


def _kind(value: Any) -> str:
    return _NAMES.get(type(value), type(value).__name__)


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key
