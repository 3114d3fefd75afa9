"""``mailhooks lookup``: ask a Postfix lookup table, on the very code path of the socketmap server."""

from __future__ import annotations

import click

from mailhooks import tables
from mailhooks.cli.errors import BadInput, Negative
from mailhooks.cli.session import Session, pass_session


@click.command(help=f"Print what TABLE answers to KEY.\n\nTables: {', '.join(tables.TABLES)}.")
@click.argument("table")
@click.argument("key")
@pass_session
def command(session: Session, table: str, key: str) -> None:  # noqa: D103 - help= above names the tables
    with session.reading() as store:
        try:
            value = tables.lookup(store, table, key, session.config.mail.recipient_delimiter)
        except tables.UnknownTable as error:
            raise BadInput(str(error)) from error
    if value is None:
        raise Negative(f"{table} has no {key!r}")
    click.echo(value)
