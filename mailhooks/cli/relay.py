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
@click.option("--username", type=LINE, default=None, help="The login there.")
@credentials.password_stdin
@_for_sender
@pass_session
def add(session: Session, nexthop: str, username: str | None, password_stdin: bool, for_sender: str | None) -> None:
    """Store credentials, or replace those that are there. Asks for the password on a terminal.

    With --for-sender, mail of these senders goes by NEXTHOP; then --username may be left out, where none is needed.
    """
    if username is None and (password_stdin or not for_sender):
        raise BadInput("give --username; only with --for-sender a relay host may do without")
    if ":" in (username or ""):
        raise BadInput("a user name with a colon cannot be given to Postfix, which splits there")
    password = ""
    if username is not None:
        way = "password_stdin" if password_stdin else None
        password = credentials.read_password(way, what=f"{username} at {nexthop}")
    with session.changing() as change:
        change.add_relay(nexthop, username=username or "", password=password, sender=render(for_sender or ""))


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
    if found is None or not found[0]:
        raise NotFound(
            f"there are no credentials for {nexthop}" + (f" and {display(for_sender)}" if for_sender else "")
        )
    server = session.config.server
    relaycheck.log_in(nexthop, *found, name=server.hostname, tls=server.relay_tls)
    click.echo(f"{nexthop} accepts {found[0]}")
