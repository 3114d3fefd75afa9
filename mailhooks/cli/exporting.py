"""``mailhooks export``: write the accounts in another form."""

from __future__ import annotations

from pathlib import Path

import click

from mailhooks import seed
from mailhooks.cli.errors import BadInput, say
from mailhooks.cli.session import Session, pass_session


@click.group()
def command() -> None:
    """Write accounts as files."""


@command.command("seed")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@pass_session
def seed_(session: Session, directory: Path) -> None:
    """Write the flat files (aliases, domains, mailboxes, relay-sasl, users, main.cf) to DIRECTORY.

    They hold password hashes and relay passwords, so only their owner can read them.
    """
    with session.reading() as store:
        found = seed.dump(store)
    try:
        seed.write(directory, found.files)
    except seed.SeedError as error:
        raise BadInput(str(error)) from error
    for what in found.left_out:
        say(f"not in these files: {what}")
