"""Collect all facts: each source once, and what cannot be read is named, not guessed."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mailhooks.config import ConfigError
from mailhooks.doctor.checks.dovecot import is_connected
from mailhooks.doctor.facts import Facts, Unread
from mailhooks.doctor.reading import certificates, dovecot, machine, names, postfix, sockets
from mailhooks.doctor.reading.tool import ask
from mailhooks.doctor.references import ours
from mailhooks.stack import paths, render
from mailhooks.stack.generation import MissingBinaryError, binary
from mailhooks.store.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from mailhooks.config import Config
    from mailhooks.doctor.facts import Dovecot
    from mailhooks.store import Store

DOVECOT_FILE = Path("/etc/dovecot/dovecot.conf")


@dataclass(frozen=True)
class Asked:
    """Where the admin wants us to look; None: the distribution's place, and what ``up`` rendered."""

    postfix: Path | None = None
    dovecot: Path | None = None
    dns: bool = True


def collect(config: Config, reading: Callable[[], AbstractContextManager[Store]], asked: Asked) -> Facts:
    """Read everything about this machine. Raises ConfigError for a configuration nobody could use."""
    hooks = sockets.configured(config)
    facts = Facts(config, time.time(), render.hostname(config).lower(), hooks=hooks)
    facts = _with_store(facts, reading)
    facts = _with_postfix(facts, asked)
    facts = _with_dovecot(facts, asked)
    connected = [each for each in facts.postfix if any(ours(facts, each))]
    if connected and not config.server.hostname:
        facts = replace(facts, hostname=connected[0]["myhostname"].lower())
    found, closed = sockets.read(config, hooks)
    pairs, unread = certificates.read(connected, [each for each in facts.dovecot if is_connected(facts, each)])
    facts = replace(facts, sockets=found, certificates=pairs, unread=(*facts.unread, *closed, *unread))
    facts = _with_machine(facts)
    if not asked.dns:
        return facts
    domains, host, unread = names.read(sorted(facts.domains), facts.hostname)
    return replace(facts, names=domains, host=host, unread=(*facts.unread, *unread))


def _with_store(facts: Facts, reading: Callable[[], AbstractContextManager[Store]]) -> Facts:
    try:
        with reading() as store:
            domains = list(store.domains())
            newest = max((entry.at for entry in store.audit(1)), default=None)
    except (StoreError, OSError) as error:
        return replace(facts, store=str(error))
    return replace(
        facts,
        domains=tuple(each.name for each in domains if each.alias_of is None),
        alias_domains=tuple(each.name for each in domains if each.alias_of is not None),
        newest=newest,
    )


def _with_postfix(facts: Facts, asked: Asked) -> Facts:
    """Read the instance that was asked for; else the one of ``up``, and the distribution's if it asks us anything."""
    try:
        if asked.postfix:
            return replace(facts, postfix=(postfix.read(asked.postfix),))
        ours_of_up = paths.layout(facts.config).postfix_config
        rendered = (postfix.read(ours_of_up),) if ours_of_up.joinpath("main.cf").exists() else ()
        default = Path(ask(binary("postconf", "postfix"), "-dh", "config_directory").out.strip())
        if not default.joinpath("main.cf").exists():
            return replace(facts, postfix=rendered, unread=() if rendered else (_no_file("Postfix", default),))
        stock = postfix.read(default)
        # Where `up` runs, the distribution's own is not our business, unless it has become so.
        used = not rendered or any(ours(facts, stock))
        return replace(facts, postfix=(*rendered, *([stock] if used else [])))
    except MissingBinaryError as error:
        return replace(facts, unread=(*facts.unread, Unread("Postfix", str(error), "nothing, if it runs elsewhere")))


def _with_dovecot(facts: Facts, asked: Asked) -> Facts:
    try:
        if asked.dovecot:
            found: tuple[Dovecot, ...] = (dovecot.read(asked.dovecot),)
        else:
            file = paths.layout(facts.config).dovecot_config / "dovecot.conf"
            found = (dovecot.read(file),) if file.exists() else ()
            stock = dovecot.read(DOVECOT_FILE) if DOVECOT_FILE.exists() else None
            if stock and (not found or is_connected(facts, stock)):
                found = (*found, stock)
    except MissingBinaryError as error:
        unread = Unread("Dovecot", str(error), "nothing, if it runs elsewhere")
        return replace(facts, unread=(*facts.unread, unread))
    links = {f"{each.base}/auth-master": _leads(Path(each.base, "auth-master")) for each in found if not each.refused}
    return replace(facts, dovecot=found, links={link: leads for link, leads in links.items() if leads is not None})


def _leads(link: Path) -> str | None:
    """Return where a link leads; "" when it is none; None when that cannot be seen."""
    try:
        return str(link.readlink())
    except PermissionError:
        return None
    except OSError:
        return ""


def _with_machine(facts: Facts) -> Facts:
    config = facts.config
    try:
        where = paths.layout(config)
    except ConfigError:  # a path that only `up` could not use
        return facts
    queues = [Path(each["queue_directory"]) for each in facts.postfix if each["queue_directory"]]
    places = [("store", where.state), ("mail", where.mail), *(("queue", queue) for queue in queues)]
    filtered = any(
        each.of(service, "content_filter") for each in facts.postfix for service in each.running("smtpd", "pickup")
    )
    directories = [render.SITE_SPAMASSASSIN, where.spamassassin_config]
    return replace(
        facts,
        volumes=machine.volumes(places),
        state=machine.entries(where.state, config),
        synchronised=machine.synchronised(),
        spam=machine.spam(config, directories, wanted=filtered and config.server.spam_filter),
    )


def _no_file(name: str, directory: Path) -> Unread:
    return Unread(name, f"{name} has no {directory}/main.cf", f"name its directory: --{name.lower()} DIRECTORY")
