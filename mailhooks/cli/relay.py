"""``mailhooks relay``: how Postfix logs in at the hosts that it hands mail to."""

from __future__ import annotations

import click

from mailhooks.address import display, render
from mailhooks.cli import credentials, relaycheck
from mailhooks.cli.errors import BadInput
from mailhooks.cli.output import json_option, listing
from mailhooks.cli.session import Session, pass_session
from mailhooks.cli.values import LINE, SOURCE
from mailhooks.store import NotFound

_for_sender = click.option(
    "--for-sender", type=SOURCE, metavar="ADDRESS|@DOMAIN", help="Only for mail of these senders."
)


@click.group()
def command() -> None:
    """Relay hosts: NEXTHOP is spelt as in Postfix's relayhost, like [smtp.example.net]:587.

    Without --for-sender this stores credentials only; which relay host all mail goes through is configuration.
    """


@command.command()
@click.argument("nexthop", type=LINE)
@click.option("--username", type=LINE, required=True, help="The login there.")
@credentials.password_stdin
@_for_sender
@pass_session
def add(session: Session, nexthop: str, username: str, password_stdin: bool, for_sender: str | None) -> None:
    """Store credentials, or replace those that are there. Asks for the password on a terminal."""
    if ":" in username:
        raise BadInput("a user name with a colon cannot be given to Postfix, which splits there")
    way = "password_stdin" if password_stdin else None
    password = credentials.read_password(way, what=f"{username} at {nexthop}")
    with session.changing() as change:
        change.add_relay(nexthop, username=username, password=password, sender=render(for_sender or ""))


@command.command("list")
@json_option
@pass_session
def list_(session: Session, as_json: bool) -> None:
    """List relay hosts and user names, never passwords."""
    with session.reading() as store:
        rows = (
            {"nexthop": relay.nexthop, "username": relay.username, "for_sender": relay.sender or None}
            for relay in store.relays()
        )
        listing(rows, as_json, {"for_sender": lambda sender: display(sender) if sender else "-"})


@command.command()
@click.argument("nexthop", type=LINE)
@_for_sender
@pass_session
def remove(session: Session, nexthop: str, for_sender: str | None) -> None:
    """Forget credentials."""
    with session.changing() as change:
        change.remove_relay(nexthop, render(for_sender or ""))


@command.command()
@click.argument("nexthop", type=LINE)
@_for_sender
@pass_session
def check(session: Session, nexthop: str, for_sender: str | None) -> None:
    """Log in at the relay host with the stored credentials, and send nothing."""
    with session.reading() as store:
        found = store.relay_credentials(nexthop.lower(), for_sender or "")
    if found is None:
        raise NotFound(
            f"there are no credentials for {nexthop}" + (f" and {display(for_sender)}" if for_sender else "")
        )
    server = session.config.server
    relaycheck.log_in(nexthop, *found, name=server.hostname, tls=server.relay_tls)
    click.echo(f"{nexthop} accepts {found[0]}")
