"""``mailhooks spam``: SpamAssassin's preferences of a user, a domain or everybody."""

from __future__ import annotations

import click

from mailhooks import spamprefs
from mailhooks.address import render
from mailhooks.cli import existing
from mailhooks.cli.errors import BadInput
from mailhooks.cli.output import json_option, listing
from mailhooks.cli.session import Session, pass_session
from mailhooks.cli.values import SCOPE


@click.group()
def command() -> None:
    """SpamAssassin's preferences; a user's beat the domain's, which beat @GLOBAL's."""


@command.command("set", context_settings={"ignore_unknown_options": True})  # -2 is a value, not an option
@click.argument("scope", type=SCOPE, metavar="USER|@DOMAIN|@GLOBAL")
@click.argument("preference")
@click.argument("words", metavar="VALUE...", nargs=-1, required=True)
@pass_session
def set_(session: Session, scope: str, preference: str, words: tuple[str, ...]) -> None:
    """Set a preference, like required_score -2 or score HTML_MESSAGE 0.5, in place of its value before."""
    value = " ".join(words)
    try:
        spamprefs.check(preference, value)
    except spamprefs.PreferenceError as error:
        raise BadInput(str(error)) from error
    with session.changing() as change:
        change.set_preference(render(scope), preference, value)


@command.command("list")
@click.argument("scope", type=SCOPE, metavar="[USER|@DOMAIN|@GLOBAL]", required=False)
@json_option
@pass_session
def list_(session: Session, scope: str | None, as_json: bool) -> None:
    """List all preferences, or those of one scope."""
    with session.reading() as store:
        if scope is not None and scope != spamprefs.GLOBAL:
            existing.scope(store, scope)
        rows = (
            {"scope": each.scope, "preference": each.name, "value": each.value} for each in store.preferences(scope)
        )
        listing(rows, as_json)


@command.command()
@click.argument("scope", type=SCOPE, metavar="USER|@DOMAIN|@GLOBAL")
@click.argument("preference")
@pass_session
def unset(session: Session, scope: str, preference: str) -> None:
    """Take a preference back."""
    with session.changing() as change:
        change.unset_preference(render(scope), preference)
