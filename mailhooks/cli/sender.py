"""``mailhooks sender``: who may send as an address beyond what mailboxes and aliases give."""

from __future__ import annotations

import click

from mailhooks.address import display, render
from mailhooks.cli import existing
from mailhooks.cli.output import json_option, listing
from mailhooks.cli.session import Session, pass_session
from mailhooks.cli.values import ADDRESS, SOURCE


@click.group()
def command() -> None:
    """Send-as grants: LOGIN may send as ADDRESS, or as everybody at @domain."""


@command.command()
@click.argument("login", type=ADDRESS)
@click.argument("address", type=SOURCE, metavar="ADDRESS|@DOMAIN")
@pass_session
def allow(session: Session, login: str, address: str) -> None:
    """Let LOGIN send as an address that is not its own, a mailing list, or a whole domain."""
    with session.changing() as change:
        change.allow_sender(render(login), render(address))


@command.command("list")
@click.argument("login", type=ADDRESS, required=False)
@json_option
@pass_session
def list_(session: Session, login: str | None, as_json: bool) -> None:
    """List all grants, or those of one login."""
    with session.reading() as store:
        if login is not None:
            existing.account(store, login)
        rows = (
            {"login": grant.login, "sender": grant.sender}
            for grant in store.grants()
            if login is None or grant.login == login
        )
        listing(rows, as_json, {"login": display, "sender": display})


@command.command()
@click.argument("login", type=ADDRESS)
@click.argument("address", type=SOURCE, metavar="ADDRESS|@DOMAIN")
@pass_session
def revoke(session: Session, login: str, address: str) -> None:
    """Take a grant back."""
    with session.changing() as change:
        change.revoke_sender(render(login), render(address))
