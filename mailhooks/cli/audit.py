"""``mailhooks audit``: who changed what, and when."""

from __future__ import annotations

import click

from mailhooks.cli.output import json_option, listing, when
from mailhooks.cli.session import Session, pass_session

SHOWN = 100
MAX_SHOWN = 1_000_000


@click.command()
@click.option("--limit", type=click.IntRange(1, MAX_SHOWN), default=SHOWN, show_default=True, help="How many.")
@json_option
@pass_session
def command(session: Session, limit: int, as_json: bool) -> None:
    """List the last changes, the newest first."""
    with session.reading() as store:
        rows = (
            {
                "at": when(entry.at),
                "who": entry.who,
                "action": entry.action,
                "subject": entry.subject,
                "detail": entry.detail,
            }
            for entry in store.audit(limit)
        )
        listing(rows, as_json)
