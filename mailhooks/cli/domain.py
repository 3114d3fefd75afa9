"""``mailhooks domain``: the domains that are hosted here, and other spellings of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mailhooks.address import display
from mailhooks.cli import existing
from mailhooks.cli.errors import say
from mailhooks.cli.kick import kick_domain
from mailhooks.cli.output import Row, details, json_option, listing, size
from mailhooks.cli.removal import removing
from mailhooks.cli.session import Session, pass_session
from mailhooks.cli.values import DOMAIN, SIZE

if TYPE_CHECKING:
    from mailhooks.store.model import Domain

_FORMATS = {"domain": display, "alias_of": lambda name: display(name) if name else "-", "quota": size}


@click.group()
def command() -> None:
    """Domains: hosted here, or another spelling of one that is."""


@command.command()
@click.argument("name", type=DOMAIN)
@click.option("--alias-of", type=DOMAIN, help="Every address here is the same address there.")
@click.option("--quota", type=SIZE, help="Default for its mailboxes: 500M, 1G, none (or 0).")
@pass_session
def add(session: Session, name: str, alias_of: str | None, quota: int | None) -> None:
    """Host a domain."""
    with session.changing() as change:
        change.add_domain(name, alias_of=alias_of, quota=quota)


@command.command("list")
@json_option
@pass_session
def list_(session: Session, as_json: bool) -> None:
    """List all domains."""
    with session.reading() as store:
        listing(map(_row, store.domains()), as_json, _FORMATS)


@command.command()
@click.argument("name", type=DOMAIN)
@json_option
@pass_session
def show(session: Session, name: str, as_json: bool) -> None:
    """Show a domain and how much lives in it."""
    with session.reading() as store:
        row = _row(existing.domain(store, name)) | {
            "mailboxes": sum(1 for _ in store.mailboxes(name)),
            "aliases": sum(1 for _ in store.aliases(name)),
            "alias_domains": [each.name for each in store.domains() if each.alias_of == name],
        }
    details(row, as_json, _FORMATS)


@command.command("set")
@click.argument("name", type=DOMAIN)
@click.option("--alias-of", type=DOMAIN, help="Every address here is the same address there from now on.")
@click.option("--hosted", is_flag=True, help="It is no alias any more.")
@click.option("--quota", type=SIZE, help="Default for its mailboxes: 500M, 1G, none (or 0).")
@click.pass_context
@pass_session
def set_(
    session: Session, ctx: click.Context, /, *, name: str, alias_of: str | None, hosted: bool, quota: int | None
) -> None:
    """Change a domain: its default quota, which counts at once, or whose alias it is.

    A domain in which anything lives cannot become an alias. An alias may be turned to another domain while every
    address that aliases name in it exists there, too.
    """
    wanted: dict[str, Any] = {}
    if alias_of and hosted:
        raise click.UsageError("--alias-of and --hosted exclude each other: give one of them")
    if alias_of or hosted:
        wanted["alias_of"] = alias_of
    if ctx.get_parameter_source("quota") is not click.core.ParameterSource.DEFAULT:
        wanted["quota"] = quota
    if not wanted:
        raise click.UsageError("nothing to change: give --alias-of, --hosted or --quota")
    with session.changing() as change:
        change.set_domain(name, **wanted)


@command.command()
@click.argument("name", type=DOMAIN)
@click.option("--force", is_flag=True, help="Also when addresses live in it; mail is moved aside.")
@pass_session
def remove(session: Session, name: str, force: bool) -> None:
    """Host a domain no longer."""
    with removing(session) as (change, aside):
        removal = change.remove_domain(name, force=force)
        for mailbox in removal.mailboxes:
            aside.move(mailbox)
    if removal.mailboxes:
        kick_domain(session.config, name)
    for what in removal.lived:
        say(f"{display(what)} is removed with it")
    for source in removal.changed:
        say(f"the alias {display(source)} names nobody at {display(name)} any longer")
    for source in removal.removed:
        say(f"the alias {display(source)} had no other target and is removed")


def _row(domain: Domain) -> Row:
    return {"domain": domain.name, "alias_of": domain.alias_of, "quota": domain.quota}
