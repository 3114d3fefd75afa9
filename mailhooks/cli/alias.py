"""``mailhooks alias``: virtual aliases, mailing lists (many targets) and catch-alls (``@domain``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mailhooks.address import display, render
from mailhooks.cli.output import Row, details, json_option, listing
from mailhooks.cli.session import Session, pass_session
from mailhooks.cli.values import ADDRESS, DOMAIN, POSTING, SOURCE
from mailhooks.store import NotFound
from mailhooks.store.model import Posting

if TYPE_CHECKING:
    from mailhooks.store.model import Alias

_FORMATS = {"source": display, "targets": lambda targets: ", ".join(map(display, targets))}


@click.group()
def command() -> None:
    """Aliases, mailing lists and catch-alls.

    SOURCE is an address, or @domain for every address there that is none of its own. Naming SOURCE among its own
    targets keeps a copy.
    """


@command.command()
@click.argument("source", type=SOURCE)
@click.argument("targets", metavar="TARGET...", type=ADDRESS, nargs=-1, required=True)
@click.option("--posting", type=POSTING, default=Posting.ANYONE, show_default=True, help="Who may send to it.")
@click.option("--keep-dangling", is_flag=True, help="Also take targets at domains hosted here that do not exist yet.")
@pass_session
def add(session: Session, source: str, targets: tuple[str, ...], posting: Posting, keep_dangling: bool) -> None:
    """Send what comes for SOURCE to each TARGET."""
    with session.changing() as change:
        change.add_alias(render(source), map(render, targets), posting=posting, keep_dangling=keep_dangling)


@command.command("list")
@click.argument("domain", type=DOMAIN, required=False)
@json_option
@pass_session
def list_(session: Session, domain: str | None, as_json: bool) -> None:
    """List all aliases, or those of one domain."""
    with session.reading() as store:
        listing(map(_row, store.aliases(domain)), as_json, _FORMATS)


@command.command()
@click.argument("source", type=SOURCE)
@json_option
@pass_session
def show(session: Session, source: str, as_json: bool) -> None:
    """Show one alias."""
    with session.reading() as store:
        alias = store.alias(source)
    if alias is None:
        raise NotFound(f"there is no alias {display(source)}")
    details(_row(alias), as_json, _FORMATS)


@command.command("set")
@click.argument("source", type=SOURCE)
@click.argument("targets", metavar="[TARGET...]", type=ADDRESS, nargs=-1)
@click.option("--posting", type=POSTING, help="Who may send to it.")
@click.option("--keep-dangling", is_flag=True, help="Also take targets at domains hosted here that do not exist yet.")
@pass_session
def set_(session: Session, source: str, targets: tuple[str, ...], posting: Posting | None, keep_dangling: bool) -> None:
    """Change an alias: all its targets, or who may send to it, or both."""
    if not targets and posting is None:
        raise click.UsageError("nothing to change: give targets or --posting")
    with session.changing() as change:
        change.set_alias(
            render(source),
            targets=[render(target) for target in targets] or None,
            posting=posting,
            keep_dangling=keep_dangling,
        )


@command.command()
@click.argument("source", type=SOURCE)
@pass_session
def remove(session: Session, source: str) -> None:
    """Remove an alias."""
    with session.changing() as change:
        change.remove_alias(render(source))


def _row(alias: Alias) -> Row:
    return {"source": alias.source, "targets": list(alias.targets), "posting": str(alias.posting)}
