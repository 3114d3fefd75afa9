"""``mailhooks doctor``: what is set up wrongly on this machine, why it matters, and the exact cure."""

from __future__ import annotations

import json
import textwrap
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mailhooks.cli.errors import NEGATIVE
from mailhooks.cli.output import harmless, json_option
from mailhooks.cli.session import Session, pass_session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailhooks.doctor import Area

WIDTH = 100  # characters of a line for people; a cure is never broken, since it is copied


@click.command()
@click.option(
    "--postfix",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The directory of main.cf. Default: the distribution's, and what `mailhooks up` rendered.",
)
@click.option(
    "--dovecot",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The file dovecot.conf. Default: as above.",
)
@click.option("--dns/--no-dns", default=True, help="Whether to ask the DNS about the hosted domains.")
@json_option
@pass_session
def command(session: Session, postfix: Path | None, dovecot: Path | None, dns: bool, as_json: bool) -> None:
    """Look over Postfix, Dovecot, SpamAssassin and this machine.

    The exit code is 0 when nothing is wrong and 1 when something is; notes are nothing wrong. It changes nothing. Run
    it as root to have everything looked at.
    """
    from mailhooks.doctor import examine, is_well  # noqa: PLC0415 - most of it only this command needs
    from mailhooks.doctor.collect import Asked, collect  # noqa: PLC0415

    areas = examine(collect(session.completed(session.config), session.reading, Asked(postfix, dovecot, dns)))
    if as_json:
        click.echo(json.dumps(list(_rows(areas)), ensure_ascii=False, indent=2))
    else:
        click.echo("\n".join(_lines(areas)))
    if not is_well(areas):
        click.get_current_context().exit(NEGATIVE)


def _rows(areas: tuple[Area, ...]) -> Iterator[dict[str, str]]:
    for area in areas:
        for each in area.findings:
            yield {
                "id": each.id,
                "severity": each.severity.name.lower(),
                "area": area.name,
                "what": each.what,
                "why": each.why,
                "cure": each.cure,
            }


def _lines(areas: tuple[Area, ...]) -> Iterator[str]:
    count = {"error": 0, "warning": 0, "note": 0}
    for area in areas:
        yield area.name
        for (_, cure), alike in groupby(area.findings, lambda each: (each.id, each.cure)):
            for each in alike:
                severity = each.severity.name.lower()
                count[severity] += 1
                yield f"  {severity}: {harmless(each.what)}  [{each.id}]"
            yield textwrap.fill(each.why, WIDTH, initial_indent="    why:  ", subsequent_indent="          ")
            yield f"    cure: {harmless(cure)}"
        yield ""
    said = ", ".join(f"{number} {name}{'s' * (number != 1)}" for name, number in count.items() if number)
    wrong = count["error"] + count["warning"]
    yield said if wrong else f"nothing wrong{f' ({said})' if said else ''}"
