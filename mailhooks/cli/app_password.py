"""``mailhooks app-password``: more credentials of an account, each narrower than its password."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mailhooks.address import display, render
from mailhooks.cli import credentials, existing
from mailhooks.cli.errors import BadInput
from mailhooks.cli.kick import kick
from mailhooks.cli.output import Row, json_option, listing, when
from mailhooks.cli.session import Session, pass_session
from mailhooks.cli.values import ADDRESS, EXPIRY, LINE, NETWORKS, SOME_SERVICES
from mailhooks.store.model import ALL_SERVICES, Service

if TYPE_CHECKING:
    from mailhooks.store.model import AppPassword

DEFAULT_LABEL = "app"


@click.group()
def command() -> None:
    """App passwords: one for each phone or program, for some services, networks or time only."""


@command.command()
@click.argument("address", type=ADDRESS)
@click.option("--label", type=LINE, default=DEFAULT_LABEL, show_default=True, help="What it is for.")
@click.option("--services", type=SOME_SERVICES, default=ALL_SERVICES, help="imap,pop3,smtp,sieve. Default: all.")
@click.option("--networks", type=NETWORKS, default=(), help="Only from these: 192.0.2.0/24,2001:db8::/32.")
@click.option("--expires", type=EXPIRY, help="90d, 12h, a date, or never (the default).")
@credentials.password_stdin
@credentials.hash_stdin
@credentials.generate
@pass_session
def add(
    session: Session,
    /,
    *,
    address: str,
    label: str,
    services: frozenset[Service],
    networks: tuple[str, ...],
    expires: float | None,
    **ways: bool,
) -> None:
    """Make an app password. Unless one is given, it is made here and printed once, alone on stdout."""
    way = credentials.one_way(ways) or "generate"
    credential = credentials.take(way, minimum=session.config.auth.min_password_length, what=display(address))
    if credential.hash is None:
        raise BadInput("there is no password: give one, or leave every option away and one is made")
    with session.changing() as change:
        change.add_app_password(
            render(address), label=label, hash=credential.hash, services=services, networks=networks, expires=expires
        )
    credential.reveal()


@command.command("list")
@click.argument("address", type=ADDRESS)
@json_option
@pass_session
def list_(session: Session, address: str, as_json: bool) -> None:
    """List the app passwords of an account that have not expired."""
    with session.reading() as store:
        existing.account(store, address)
        listing(map(row, store.app_passwords(address)), as_json)


@command.command()
@click.argument("address", type=ADDRESS)
@click.option("--label", type=LINE, default=DEFAULT_LABEL, show_default=True, help="Which.")
@pass_session
def revoke(session: Session, address: str, label: str) -> None:
    """Take an app password back."""
    with session.changing() as change:
        change.revoke_app_password(render(address), label)
    kick(session.config, address)


def row(password: AppPassword) -> Row:
    """Show an app password, without its hash."""
    return {
        "label": password.label,
        "services": sorted(password.services),
        "networks": list(password.networks),
        "expires": when(password.expires),
    }
