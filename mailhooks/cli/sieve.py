"""``mailhooks sieve``: the Sieve scripts that Dovecot takes from the store ([server] sieve_dict)."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

import click

from mailhooks.address import display, render
from mailhooks.cli import existing, sievec
from mailhooks.cli.errors import BadInput
from mailhooks.cli.output import Formats, Row, json_option, listing, rough, when
from mailhooks.cli.session import Session, pass_session
from mailhooks.cli.values import ADDRESS, LINE
from mailhooks.store import NotFound
from mailhooks.store.sieve_changes import MAX_SCRIPT_BYTES

if TYPE_CHECKING:
    from mailhooks.store.model import SieveScript

FORMATS: Formats = {"size": rough, "active": lambda is_so: "active" if is_so else "-"}


@click.group()
def command() -> None:
    """Sieve scripts that are kept in the store: one of an account's scripts is active and sorts its mail."""


@command.command()
@click.argument("address", type=ADDRESS)
@click.argument("name", type=LINE)
@click.argument("file", type=click.File("rb"), default="-")
@click.option("--active/--inactive", default=None, help="Default: as it was; an account's first script is active.")
@pass_session
def put(session: Session, address: str, name: str, file: BinaryIO, active: bool | None) -> None:
    """Store the script in FILE, or on stdin, under a name; one that does not compile is refused."""
    script = _read(file)
    sievec.check(script, session.config)
    with session.changing() as change:
        change.put_sieve(render(address), name, script, active=active)


@command.command()
@click.argument("address", type=ADDRESS)
@click.argument("name", type=LINE)
@pass_session
def get(session: Session, address: str, name: str) -> None:
    """Print a script as it was put."""
    with session.reading() as store:
        existing.account(store, address)
        script = store.sieve_script(address, name)
    if script is None:
        raise NotFound(f"{display(address)} has no script {name!r}")
    click.echo(script.script.encode(), nl=False)  # bytes: as it came, in whatever locale


@command.command("list")
@click.argument("address", type=ADDRESS)
@json_option
@pass_session
def list_(session: Session, address: str, as_json: bool) -> None:
    """List the scripts of an account."""
    with session.reading() as store:
        existing.account(store, address)
        listing(map(row, store.sieve_scripts(address)), as_json, FORMATS)


@command.command()
@click.argument("address", type=ADDRESS)
@click.argument("name", type=LINE, required=False)
@click.option("--none", "nothing", is_flag=True, help="No script runs any more.")
@pass_session
def activate(session: Session, address: str, name: str | None, nothing: bool) -> None:
    """Let a script sort the account's mail from now on, in place of the one that did."""
    if (name is None) is not nothing:
        raise BadInput("name the script that is to run, or --none")
    with session.changing() as change:
        change.activate_sieve(render(address), name)


@command.command()
@click.argument("address", type=ADDRESS)
@click.argument("name", type=LINE)
@pass_session
def remove(session: Session, address: str, name: str) -> None:
    """Remove a script; without an active one mail goes to INBOX."""
    with session.changing() as change:
        change.remove_sieve(render(address), name)


def row(script: SieveScript) -> Row:
    """Show a script without its text."""
    return {
        "name": script.name,
        "active": script.active,
        "size": len(script.script.encode()),
        "updated": when(script.updated),
    }


def _read(file: BinaryIO) -> str:
    data = file.read(MAX_SCRIPT_BYTES + 1)
    if len(data) > MAX_SCRIPT_BYTES:
        raise BadInput(f"the script has more than {MAX_SCRIPT_BYTES} bytes, which Dovecot would not run")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise BadInput("the script is not UTF-8, which RFC 5228 asks for") from error
