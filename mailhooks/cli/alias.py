"""``mailhooks alias``: virtual aliases, mailing lists (many targets) and catch-alls (``@domain``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mailhooks.address import display, render
from mailhooks.cli import existing
from mailhooks.cli.output import Row, details, json_option, listing, when
from mailhooks.cli.session import Session, pass_session, reuse_option
from mailhooks.cli.values import ADDRESS, DOMAIN, EXPIRY, POSTING, SOURCE
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
@click.option("--expires", type=EXPIRY, help="When it is refused: a date, a time like 90d, or never.")
@click.option("--keep-dangling", is_flag=True, help="Also take targets at domains hosted here that do not exist yet.")
@reuse_option
@pass_session
def add(session: Session, /, source: str, targets: tuple[str, ...], **given: Any) -> None:
    """Send what comes for SOURCE to each TARGET."""
    expires, hold = given["expires"], 0.0 if given["reuse"] else session.hold
    options = {name: given[name] for name in ("posting", "keep_dangling")}
    with session.changing() as change:
        change.add_alias(render(source), map(render, targets), hold=hold, **options)
        if expires is not None:
            change.set_alias(render(source), expires=expires)


@command.command("list")
@click.argument("domain", type=DOMAIN, required=False)
@json_option
@pass_session
def list_(session: Session, domain: str | None, as_json: bool) -> None:
    """List all aliases, or those of one domain."""
    with session.reading() as store:
        if domain is not None:
            existing.domain(store, domain)
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
    details(_row(alias) | {"expires": when(alias.expires)}, as_json, _FORMATS)


@command.command("set")
@click.argument("source", type=SOURCE)
@click.argument("targets", metavar="[TARGET...]", type=ADDRESS, nargs=-1)
@click.option("--posting", type=POSTING, help="Who may send to it.")
@click.option("--expires", type=EXPIRY, help="When it is refused: a date, a time like 90d, or never.")
@click.option("--keep-dangling", is_flag=True, help="Also take targets at domains hosted here that do not exist yet.")
@click.pass_context
@pass_session
def set_(session: Session, ctx: click.Context, /, source: str, targets: tuple[str, ...], **given: Any) -> None:
    """Change an alias: all its targets, who may send to it, when it ends."""
    if ctx.get_parameter_source("expires") is click.core.ParameterSource.DEFAULT:
        del given["expires"]
    if not targets and given.get("posting") is None and "expires" not in given:
        raise click.UsageError("nothing to change: give targets, --posting or --expires")
    with session.changing() as change:
        change.set_alias(render(source), targets=[render(target) for target in targets] or None, **given)


@command.command()
@click.argument("source", type=SOURCE)
@pass_session
def remove(session: Session, source: str) -> None:
    """Remove an alias."""
    with session.changing() as change:
        change.remove_alias(render(source))


def _row(alias: Alias) -> Row:
    return {"source": alias.source, "targets": list(alias.targets), "posting": str(alias.posting)}
