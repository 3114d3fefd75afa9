"""What can be wrong with Dovecot: whom it asks, and what it makes of the answers."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from mailhooks.doctor.finding import Problem, Severity
from mailhooks.stack.sockets import Address

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailhooks.doctor.facts import Dovecot, Facts
    from mailhooks.doctor.finding import Finding

AREA = "Dovecot"

LOGINS = {"imap": "imap-login", "pop3": "pop3-login", "sieve": "managesieve-login", "submission": "submission-login"}
AFTER_LOGIN = {"imap": "imap", "pop3": "pop3", "submission": "submission"}

REFUSED = Problem(
    "dovecot-refuses-configuration",
    Severity.ERROR,
    "Dovecot cannot read its own configuration",
    "It would not start, and a reload keeps the old one.",
    "correct the line, then: doveconf -n -c {file}",
)
OWN_AUTH = Problem(
    "dovecot-asks-itself",
    Severity.ERROR,
    "Dovecot asks its own auth process instead of mailhooks",
    "That one knows none of the accounts: logins fail, and LMTP refuses mail with 550.",
    "in {file}: {cure}",
)
DICT_PASSDB = Problem(
    "dovecot-dict-passdb-is-gone",
    Severity.ERROR,
    "Accounts are to come from the dict, which Dovecot 2.4 no longer can",
    "doveconf takes the setting, but the auth process dies of it: nobody logs in.",
    "in {file}: remove the passdb and userdb blocks, and take the lines of: mailhooks config dovecot",
)
LOGIN_CHROOT = Problem(
    "dovecot-login-chroot",
    Severity.ERROR,
    "A login process cannot reach mailhooks from its chroot",
    "It does not find the socket, and clients wait without a greeting until they give up.",
    "in {file}: service {service} {{ chroot = }} (empty)",
)
LOGIN_INSIDE = Problem(
    "dovecot-login-socket-inside",
    Severity.ERROR,
    "mailhooks listens in a directory that Dovecot empties when it starts",
    "Dovecot refuses to start while a socket is in use there (Dovecot is already running?), and removes it otherwise.",
    'in mailhooks.toml: [listen] login = ["unix:/run/mailhooks/login:mode=0660"]',
)
OF_POSTFIX = Problem(
    "dovecot-socket-of-postfix",
    Severity.ERROR,
    "Dovecot logs in at the socket that is meant for Postfix",
    "There an outage is a closed connection, which Dovecot 2.3 tells people as a wrong password.",
    "in {file}: {cure}",
)
SIEVE_LINK = Problem(
    "dovecot-managesieve-link",
    Severity.ERROR,
    "managesieve does not find mailhooks",
    "Its way to the accounts is compiled in (base_dir/auth-master): people who edit their filters hear Internal error.",
    "ln -sfn {target} {link}",
)
UID = Problem(
    "dovecot-refuses-uid",
    Severity.ERROR,
    "The owner of the mail is one that Dovecot refuses",
    "LMTP takes each mail and then fails (451), IMAP says Logged in and then hangs up.",
    "in {file}: first_valid_uid = {uid}",
)
QUOTA_OFF = Problem(
    "dovecot-quota-off",
    Severity.ERROR,
    "Dovecot ignores the quota of the accounts",
    "The limit that mailhooks sends with each user means nothing without it: mailboxes grow without end, and the usage"
    " that the policy rules judge is never told.",
    "in {file}: {cure}",
)
DICT_ELSEWHERE = Problem(
    "dovecot-dict-elsewhere",
    Severity.ERROR,
    "Dovecot keeps something in a dict that mailhooks does not serve",
    "The feature fails quietly: usage is not told, scripts are not found.",
    "in {file}: {cure}",
)
LMTP_PATH = Problem(
    "dovecot-lmtp-elsewhere",
    Severity.ERROR,
    "Postfix delivers to an LMTP socket that Dovecot does not make",
    "All mail is accepted and stays in the queue: connect: No such file or directory.",
    "in {file}: service lmtp {{ unix_listener {path} {{ mode = 0600, user = postfix }} }}, one setting a line",
)
GRACE = Problem(
    "dovecot-quota-grace",
    Severity.WARNING,
    "Dovecot lets mailboxes grow beyond their limit",
    "By default 10 % (2.3) or 10 MB (2.4) more: mail that the policy rule refuses would be delivered, and the other"
    " way round.",
    "in {file}: {cure}",
)
TOO_LARGE = Problem(
    "dovecot-quota-status-empty",
    Severity.WARNING,
    "quota-status gives an empty answer for a message larger than the mailbox",
    "Postfix takes an empty action for OK and accepts what cannot be delivered.",
    "in {file}: {cure}",
)
IN_CLEAR = Problem(
    "dovecot-passwords-in-clear",
    Severity.WARNING,
    "Passwords are taken without TLS",
    "Everybody on the way can read them.",
    "in {file}: {cure}",
)
TRUSTED = Problem(
    "dovecot-trusts-everybody",
    Severity.WARNING,
    "Every client may tell Dovecot from which address it comes",
    "Guessing passwords is stopped by address: whoever may name any address is not stopped.",
    "in {file}: login_trusted_networks = (only the proxies)",
)
NOT_CONNECTED = Problem(
    "dovecot-not-connected",
    Severity.WARNING,
    "Dovecot asks mailhooks nothing",
    "The accounts of the store cannot read their mail here.",
    "mailhooks config dovecot prints what goes into dovecot.conf",
)


def refused(facts: Facts) -> Iterator[Finding]:
    """Find what ``doveconf`` calls fatal."""
    for dovecot in facts.dovecot:
        if dovecot.refused:
            yield REFUSED.found(f"{dovecot.file}: {dovecot.refused}", file=dovecot.file)


def own_auth(facts: Facts) -> Iterator[Finding]:
    """Find the ways to the accounts that do not lead to mailhooks: dovecot.conf, three settings."""
    for dovecot in _connected(facts):
        if any(value == "dict" for path, value in dovecot.below("passdb") if path.endswith("driver")):
            continue  # its own auth process, with accounts from mailhooks' dict
        for hook, where, value, cure in _ways(facts, dovecot):
            if not any(facts.has(each, Address(path=value)) for each in (hook, "postfix_auth")):
                yield OWN_AUTH.found(f"{dovecot.file}: {where} = {value or '(default)'}", file=dovecot.file, cure=cure)


def dict_passdb(facts: Facts) -> Iterator[Finding]:
    """Find drivers that 2.4 accepts and does not have."""
    for dovecot in facts.dovecot:
        blocks = [*dovecot.below("passdb"), *dovecot.below("userdb")]
        if dovecot.line == "2.4" and any(path.endswith("/driver") and value == "dict" for path, value in blocks):
            yield DICT_PASSDB.found(f"{dovecot.file}: driver = dict", file=dovecot.file)


def login_chroot(facts: Facts) -> Iterator[Finding]:
    """Find login processes that are chrooted while their socket is elsewhere."""
    for dovecot in _connected(facts):
        for service in _login_services(dovecot):
            chroot = dovecot.get(f"service {service}/chroot", "login")
            outside = not _login_path(dovecot, service).startswith(f"{dovecot.base}/{chroot}/")
            if chroot and outside and _login_path(dovecot, service):
                yield LOGIN_CHROOT.found(
                    f"{dovecot.file}: service {service} has chroot = {chroot}", file=dovecot.file, service=service
                )


def login_inside(facts: Facts) -> Iterator[Finding]:
    """Find listeners below base_dir/login."""
    for dovecot in _connected(facts):
        for address in facts.hooks.get("login", ()):
            if address.path.startswith(f"{dovecot.base}/login/"):
                yield LOGIN_INSIDE.found(f"[listen] login is {address.path}, below {dovecot.base}/login")


def of_postfix(facts: Facts) -> Iterator[Finding]:
    """Find login processes at the listener ``postfix_auth``."""
    for dovecot in _connected(facts):
        for hook, where, value, cure in _ways(facts, dovecot):
            if hook == "login" and facts.has("postfix_auth", Address(path=value)):
                yield OF_POSTFIX.found(f"{dovecot.file}: {where} = {value}", file=dovecot.file, cure=cure)


def sieve_link(facts: Facts) -> Iterator[Finding]:
    """Find a missing link at the name that managesieve has compiled in (pigeonhole, src/managesieve/main.c)."""
    for dovecot in _connected(facts):
        link = f"{dovecot.base}/auth-master"
        targets = facts.hooks.get("auth_master", ())
        if "sieve" in dovecot.protocols and targets and facts.links.get(link) is not None:
            leads = facts.links[link]
            if not facts.has("auth_master", Address(path=leads)):
                what = f"{link} leads to {leads}" if leads else f"{link} is no link to mailhooks"
                yield SIEVE_LINK.found(what, link=link, target=targets[0].path)


def uid(facts: Facts) -> Iterator[Finding]:
    """Find a mail user outside of what Dovecot allows."""
    mail = facts.config.mail
    for dovecot in _connected(facts):
        first, last = int(dovecot.get("first_valid_uid", "500")), int(dovecot.get("last_valid_uid", "0"))
        if mail.uid < first or (last and mail.uid > last):
            yield UID.found(
                f"[mail] uid is {mail.uid}, Dovecot ({dovecot.file}) allows from {first} to {last or 'any'}",
                file=dovecot.file, uid=mail.uid,
            )  # fmt: skip


def quota_off(facts: Facts) -> Iterator[Finding]:
    """Find plugins that are not loaded, and a quota that has no root."""
    for dovecot in _connected(facts):
        for plugin in ("quota", "quota_clone"):
            if not _has_plugin(dovecot, plugin):
                old = "mail_plugins = $mail_plugins " + plugin
                cure = old if dovecot.line == "2.3" else f"mail_plugins {{ {plugin} = yes }}"
                yield QUOTA_OFF.found(f"{dovecot.file}: {plugin} is not in mail_plugins", file=dovecot.file, cure=cure)
        if dovecot.line == "2.3":
            root, cure = dovecot.get("plugin/quota"), "plugin { quota = count:User quota }"
        else:
            drivers = [value for path, value in dovecot.settings.items() if re.fullmatch(r"quota \S.*/driver", path)]
            root, cure = (drivers[0] if drivers else ""), 'quota "User quota" { driver = count }'
        if not root.startswith("count"):
            yield QUOTA_OFF.found(f"{dovecot.file}: no quota root with driver count", file=dovecot.file, cure=cure)


def dict_elsewhere(facts: Facts) -> Iterator[Finding]:
    """Find dict names that mailhooks does not know, and sockets that are not its."""
    served = set(facts.config.dict.names)
    for dovecot in _connected(facts):
        for setting, socket, name in _dicts(dovecot):
            right = facts.hooks.get("dict", (Address(),))[0].path
            old = dovecot.line == "2.3"
            if not facts.has("dict", Address(path=socket)):
                cure = f"{setting} = proxy:{right}:{name}" if old else f"{setting}: socket_path = {right}"
                yield DICT_ELSEWHERE.found(f"{dovecot.file}: {setting} is at {socket}", file=dovecot.file, cure=cure)
            elif name not in served:
                cure = f"one of the names {', '.join(sorted(served))} (mailhooks.toml, [dict] names)"
                yield DICT_ELSEWHERE.found(f"{dovecot.file}: {setting} is named {name}", file=dovecot.file, cure=cure)


def lmtp_path(facts: Facts) -> Iterator[Finding]:
    """Find a virtual_transport by LMTP whose socket no Dovecot here makes."""
    listeners = {
        str(PurePosixPath(dovecot.base, name[1]))  # an absolute name stands for itself
        for dovecot in facts.dovecot
        for path in dovecot.settings
        if (name := re.match(r"service lmtp/unix_listener ([^{]+?)/\w+$", path))
    }
    for postfix in facts.postfix:
        path = postfix["virtual_transport"].removeprefix("lmtp:unix:")
        if path == postfix["virtual_transport"] or not listeners:
            continue
        wanted = str(PurePosixPath(postfix["queue_directory"], path))
        if wanted not in listeners:
            yield LMTP_PATH.found(
                f"virtual_transport is lmtp:unix:{path} ({postfix.directory}), Dovecot listens on"
                f" {', '.join(sorted(listeners))}",
                file=_file(facts), path=wanted,
            )  # fmt: skip


def grace(facts: Facts) -> Iterator[Finding]:
    """Find limits with a grace."""
    for dovecot in _connected(facts):
        old = dovecot.line == "2.3"
        name, default = ("plugin/quota_grace", "10%") if old else ("quota_storage_grace", "10M")
        if (value := dovecot.get(name, default)) not in {"0", "0%", "0%%", "0B"}:
            cure = "plugin { quota_grace = 0 }" if old else "quota_storage_grace = 0"
            yield GRACE.found(f"{dovecot.file}: {name} is {value}", file=dovecot.file, cure=cure)


def too_large(facts: Facts) -> Iterator[Finding]:
    """Find a quota-status that is in use without a text for what is too large."""
    for dovecot in _connected(facts):
        name = "plugin/quota_status_toolarge" if dovecot.line == "2.3" else "quota_status_toolarge"
        used = any("_listener" in path for path, _ in dovecot.below("service quota-status/"))
        if used and not dovecot.get(name):
            cure = f"{name.removeprefix('plugin/')} = 552 5.2.3 Message is larger than the mailbox"
            yield TOO_LARGE.found(f"{dovecot.file}: {name} is not set", file=dovecot.file, cure=cure)


def in_clear(facts: Facts) -> Iterator[Finding]:
    """Find passwords without TLS."""
    for dovecot in _connected(facts):
        old = dovecot.line == "2.3"
        name, value, cure = (
            ("disable_plaintext_auth", "no", "disable_plaintext_auth = yes")
            if old
            else ("auth_allow_cleartext", "yes", "auth_allow_cleartext = no")
        )
        if dovecot.get("ssl") != "required" and dovecot.get(name) == value:
            yield IN_CLEAR.found(f"{dovecot.file}: {name} = {value}", file=dovecot.file, cure=cure)


def trusted(facts: Facts) -> Iterator[Finding]:
    """Find networks that hold the whole Internet."""
    for dovecot in _connected(facts):
        networks = dovecot.get("login_trusted_networks").replace(",", " ").split()
        if found := [each for each in networks if each.endswith("/0")]:
            yield TRUSTED.found(f"{dovecot.file}: login_trusted_networks = {' '.join(found)}", file=dovecot.file)


def not_connected(facts: Facts) -> Iterator[Finding]:
    """Find a Dovecot that mentions no hook."""
    for dovecot in facts.dovecot:
        if not dovecot.refused and not is_connected(facts, dovecot):
            yield NOT_CONNECTED.found(f"{dovecot.file} mentions no socket of this mailhooks", file=dovecot.file)


CHECKS = (
    refused,
    own_auth,
    dict_passdb,
    login_chroot,
    login_inside,
    of_postfix,
    sieve_link,
    uid,
    quota_off,
    dict_elsewhere,
    lmtp_path,
    grace,
    too_large,
    in_clear,
    trusted,
    not_connected,
)


def is_connected(facts: Facts, dovecot: Dovecot) -> bool:
    """Tell whether any setting names a socket of ours."""
    paths = {address.path for addresses in facts.hooks.values() for address in addresses if address.path}
    return any(path in re.split(r"[\s:;]", value) for value in dovecot.settings.values() for path in paths)


def _connected(facts: Facts) -> Iterator[Dovecot]:
    return (dovecot for dovecot in facts.dovecot if is_connected(facts, dovecot))


def _login_services(dovecot: Dovecot) -> list[str]:
    return [service for protocol, service in LOGINS.items() if protocol in dovecot.protocols]


def _login_path(dovecot: Dovecot, service: str) -> str:
    """Return the socket that a login process uses; "" for the default one."""
    if dovecot.line == "2.4":
        return dovecot.get("login_socket_path")
    words = dovecot.get(f"service {service}/executable").split()
    return next((word for word in words[1:] if word.startswith("/")), "")


def _ways(facts: Facts, dovecot: Dovecot) -> Iterator[tuple[str, str, str, str]]:
    """Yield how Dovecot gets to the accounts: hook, setting, what it is, what it should be."""
    right = {hook: addresses[0].path for hook, addresses in facts.hooks.items() if addresses}
    userdb, login, master = (right.get(hook, "") for hook in ("auth_userdb", "login", "auth_master"))
    yield "auth_userdb", "auth_socket_path", dovecot.get("auth_socket_path"), f"auth_socket_path = {userdb}"
    if dovecot.line == "2.4" and _login_services(dovecot):
        yield "login", "login_socket_path", dovecot.get("login_socket_path"), f"login_socket_path = {login}"
    for service in _login_services(dovecot) if dovecot.line == "2.3" else ():
        cure = f"service {service} {{ executable = {service} {login} }}"
        yield "login", f"executable of {service}", _login_path(dovecot, service), cure
    for protocol, service in AFTER_LOGIN.items():
        if protocol in dovecot.protocols:
            found = re.search(r"\s-a\s+(\S+)", dovecot.get(f"service {service}/executable"))
            cure = f"service {service} {{ executable = {service} -a {master} }}"
            yield "auth_master", f"executable of {service}", found[1] if found else "", cure


def _has_plugin(dovecot: Dovecot, plugin: str) -> bool:
    if dovecot.line == "2.3":
        return plugin in dovecot.get("mail_plugins").split()
    return dovecot.get(f"mail_plugins/{plugin}") == "yes"


def _dicts(dovecot: Dovecot) -> Iterator[tuple[str, str, str]]:
    """Yield every dict that is asked by a socket: setting, path, name."""
    for path, value in dovecot.settings.items():
        if found := re.search(r"\bproxy:(?:[^/\s;]*:)?(/[^:;\s]+):([^:;\s]+)", value):
            yield path, found[1], found[2]
        if path.endswith("dict proxy/socket_path"):
            yield path.removesuffix("/dict proxy/socket_path"), value, dovecot.get(f"{path[: -len('socket_path')]}name")


def _file(facts: Facts) -> str:
    return str(facts.dovecot[0].file) if facts.dovecot else "dovecot.conf"
