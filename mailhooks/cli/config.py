"""``mailhooks config``: what to put into the stock daemons' files, for sites that run these themselves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from mailhooks.cli.session import Session, pass_session
from mailhooks.stack import generation, render

# What is assumed of a daemon that is not installed here: the newest generation known.
NEWEST = generation.Generation(generation.NEWEST, (3, 10))


@click.command()
@click.argument("daemon", type=click.Choice(render.DAEMONS))
@click.option(
    "--generation",
    "wanted",
    type=click.Choice(["2.3", "2.4"]),
    help="The line of Dovecot. Default: what is installed here.",
)
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), help="Write files there, print nothing.")
@pass_session
def command(
    session: Session, daemon: render.Daemon, wanted: generation.DovecotLine | None, output: Path | None
) -> None:
    """Print the files of a stock daemon that lives off this mailhooks and is started by the distribution's service.

    With --output they are written to a directory, as into /etc/postfix: docs/bare-metal.rst goes through it.
    """
    files = render.for_distribution(session.completed(session.config), installed(daemon, wanted), daemon)
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        render.write(replace(file, path=output / file.path.name) for file in files)
        return
    for file in files:
        click.echo(f"# ==> {file.path} <==")
        click.echo(file.text)


def installed(daemon: render.Daemon, wanted: generation.DovecotLine | None) -> generation.Generation:
    """Return the generation to render for: what was asked for, what is installed here, or the newest."""
    found = NEWEST
    try:
        if daemon == "postfix":
            found = replace(found, postfix=generation.find_postfix(), guards=generation.find_guards())
        elif daemon == "dovecot" and wanted is None:
            found = replace(found, dovecot=generation.find_dovecot())
    except generation.MissingBinaryError:
        pass
    return replace(found, dovecot=wanted) if wanted else found
