"""``mailhooks quota``: what mailboxes hold, as Dovecot last told, against their limits."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import click

from mailhooks.address import display
from mailhooks.cli import existing
from mailhooks.cli.errors import BadInput, Negative, say
from mailhooks.cli.output import Formats, Row, details, json_option, listing, rough, when
from mailhooks.cli.session import Session, pass_session
from mailhooks.cli.values import ADDRESS, DOMAIN
from mailhooks.stack.paths import layout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mailhooks.store import Store
    from mailhooks.store.model import Mailbox, Usage

RECOUNT_SECONDS = 3600  # for one mailbox: doveadm reads the size of every mail in it

RECALC = ("quota", "recalc", "-u")

_FORMATS: Formats = {
    "address": display,
    "used": lambda used: "-" if used is None else rough(used),
    "limit": rough,
    "percent": lambda percent: "-" if percent is None else f"{percent}%",
}


@click.group()
def command() -> None:
    """Usage and limits. A limit is set with mailhooks user set --quota, or for a domain."""


@command.command("list")
@click.argument("domain", type=DOMAIN, required=False)
@json_option
@pass_session
def list_(session: Session, domain: str | None, as_json: bool) -> None:
    """List the mailboxes of which Dovecot told the usage."""
    with session.reading() as store:
        if domain is not None:
            existing.domain(store, domain)
        listing(_rows(store, domain), as_json, _FORMATS)


@command.command()
@click.argument("address", type=ADDRESS)
@json_option
@pass_session
def show(session: Session, address: str, as_json: bool) -> None:
    """Show usage and limit of one mailbox."""
    with session.reading() as store:
        row = _row(existing.account(store, address), store.usage(address))
    details(row, as_json, _FORMATS)


@command.command()
@click.argument("address", type=ADDRESS, required=False)
@pass_session
def recount(session: Session, address: str | None) -> None:
    """Let Dovecot count one mailbox, or all, anew (doveadm quota recalc); needs root."""
    program = _doveadm()
    if program is None:
        raise BadInput("there is no doveadm here: run this where Dovecot is installed")
    if os.geteuid() != 0:
        raise BadInput("only root may recount: doveadm asks Dovecot for every user's mail")
    with session.reading() as store:
        if address is not None:
            existing.account(store, address)
        addresses = [address] if address else [mailbox.address for mailbox in store.mailboxes()]
    rendered = layout(session.config).dovecot_config / "dovecot.conf"
    configuration = ["-c", str(rendered)] if rendered.exists() else []
    failed = 0
    bar = click.progressbar(addresses, label="Counting", file=sys.stderr, hidden=not sys.stderr.isatty())
    with bar as progress:
        for each in progress:
            failed += not _recount([program, *configuration, *RECALC, each], each)
    if failed:
        raise Negative(f"{failed} of {len(addresses)} mailboxes could not be counted")


def count(configuration: Path, address: str) -> bool:
    """Let a running Dovecot count one mailbox anew; say what goes wrong."""
    return _recount([_doveadm() or "doveadm", "-c", str(configuration), *RECALC, address], address)


def _doveadm() -> str | None:
    return shutil.which("doveadm", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/bin")


def _recount(line: list[str], address: str) -> bool:
    try:
        done = subprocess.run(
            line, capture_output=True, text=True, errors="replace", timeout=RECOUNT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        say(f"{display(address)}: doveadm did not answer ({type(error).__name__})")
        return False
    if done.returncode:
        say(f"{display(address)}: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else 'doveadm failed'}")
    return not done.returncode


def _rows(store: Store, domain: str | None) -> Iterator[Row]:
    for usage in store.usages():
        mailbox = store.mailbox(usage.address)
        if mailbox is not None and domain in (None, mailbox.domain):
            yield _row(mailbox, usage)


def _row(mailbox: Mailbox, usage: Usage | None) -> Row:
    used = usage.storage if usage else None
    return {
        "address": mailbox.address,
        "used": used,
        "limit": mailbox.quota or None,
        "percent": round(100 * used / mailbox.quota) if used is not None and mailbox.quota else None,
        "messages": usage.messages if usage else None,
        "updated": when(usage.updated) if usage else None,
    }
