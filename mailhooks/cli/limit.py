"""``mailhooks limit``: how many recipients users may send to, and suspensions of accounts that look stolen."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from mailhooks import address
from mailhooks.address import display, render
from mailhooks.cli import existing
from mailhooks.cli.errors import NEGATIVE
from mailhooks.cli.output import Row, json_option, listing, when
from mailhooks.cli.session import Session, pass_session
from mailhooks.cli.values import ADDRESS, Kind
from mailhooks.policy import Memory, limits
from mailhooks.store.sending import WORDS, Limit, parse_limits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailhooks.store import Store


def _scope(text: str) -> str:
    return text.lower() if text.lower() in WORDS else address.normalise_source(text)


SCOPE = Kind("scope", _scope)
LIMITS = Kind("limits", parse_limits)
METAVAR = "USER|@DOMAIN|default|credential|network"


@click.group()
def command() -> None:
    """To how many recipients users may send.

    A user's own limit replaces that of default, which counts for each user by itself. @DOMAIN is for all users of a
    domain together, credential for each app password, network for each client network. A message must be within all of
    them.
    """


@command.command("set")
@click.argument("scope", type=SCOPE, metavar=METAVAR)
@click.option(
    "--recipients",
    type=LIMITS,
    required=True,
    help="One or more like 100/1h,500/1d (m, h, d, w), or none for no limit.",
)
@pass_session
def set_(session: Session, scope: str, recipients: tuple[Limit, ...]) -> None:
    """Set the limits of SCOPE; those it had are replaced."""
    with session.changing() as change:
        change.set_send_limit(_spell(scope), recipients)


@command.command("list")
@json_option
@pass_session
def list_(session: Session, as_json: bool) -> None:
    """List all limits."""
    with session.reading() as store:
        rows = ({"scope": each.scope, "recipients": _said(each.limits)} for each in store.send_limits())
        listing(rows, as_json, {"scope": display})


@command.command()
@click.argument("scope", type=SCOPE, metavar=METAVAR)
@pass_session
def unset(session: Session, scope: str) -> None:
    """Forget the limits of SCOPE; for a user, those of default count again."""
    with session.changing() as change:
        change.unset_send_limit(_spell(scope))


@command.command()
@click.argument("user", type=ADDRESS)
@json_option
@pass_session
def show(session: Session, user: str, as_json: bool) -> None:
    """Show the limits of one user and what is used of them; the daemon saves that every second.

    The exit code is 1 when the user can send to nobody now.
    """
    with session.reading() as store:
        existing.account(store, user)
        rows = list(used(store, user))
        suspension = store.suspension(user)
    if suspension is not None and (suspension.until is None or suspension.until > time.time()):
        lifted = when(suspension.until) or "it is lifted"
        reason = f"{suspension.reason}, since {when(suspension.at)} until {lifted}"
        rows.append({"scope": "suspended", "limit": reason, "used": None, "left": 0})
    listing(rows, as_json, {"scope": display})
    if any(row["left"] == 0 for row in rows):
        click.get_current_context().exit(NEGATIVE)


@command.command()
@click.argument("user", type=ADDRESS)
@pass_session
def lift(session: Session, user: str) -> None:
    """Let a suspended USER send again."""
    with session.changing() as change:
        change.lift(render(user))


def used(store: Store, user: str) -> Iterator[Row]:
    """Each limit that counts for a user wherever they log in, with what is used of it."""
    memory = Memory()
    for kind, key, some in limits.Limits(memory).applied(store, user, ""):
        counter, now = memory.counter(store, key), memory.time()
        for limit in some:
            count = counter.used(limit.seconds, now)
            scope = user if kind == "user" else user[user.rindex("@") :]
            yield {"scope": scope, "limit": str(limit), "used": count, "left": max(0, limit.recipients - count)}


def _spell(scope: str) -> str:
    return scope if scope in WORDS else render(scope)


def _said(some: tuple[Limit, ...]) -> str:
    return ",".join(map(str, some)) or "none"
