"""``mailhooks import``: take accounts and mail from elsewhere."""

from __future__ import annotations

import sys
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mailhooks import seed
from mailhooks.cli import movingin
from mailhooks.cli.errors import BadInput, say
from mailhooks.cli.removal import adding
from mailhooks.cli.session import Session, pass_session, reuse_option, who
from mailhooks.cli.values import DOMAIN
from mailhooks.store import open_store
from mailhooks.store.url import sqlite_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mailhooks.store import Change, Store


@click.group()
def command() -> None:
    """Take accounts from flat files, and mail from a Maildir."""


command.add_command(movingin.command)


@command.command("seed")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--domain", type=DOMAIN, help="The domain of names without one.")
@click.option("--add-domains", is_flag=True, help="Host every domain that an address in the files has.")
@click.option("--keep-dangling", is_flag=True, help="Take alias targets at hosted domains that nobody has.")
@click.option("--dry-run", is_flag=True, help="Say what would be made, and change nothing.")
@reuse_option
@pass_session
def seed_(
    session: Session,
    *,
    directory: Path,
    domain: str | None,
    add_domains: bool,
    keep_dangling: bool,
    dry_run: bool,
    reuse: bool,
) -> None:
    """Read the flat files in DIRECTORY: aliases, domains, mailboxes, relay-sasl, users and main.cf.

    Says for each line what it made or why not. All or nothing: when one line cannot be taken, nothing is changed. What
    the store has already stays as it is, so the same files can be read again.
    """
    try:
        files, others = seed.read(directory)
        with _progress(files) as tick:
            options = seed.Options(
                domain=domain,
                add_domains=add_domains,
                keep_dangling=keep_dangling,
                delimiter=session.config.mail.recipient_delimiter,
                hold=0.0 if reuse else session.hold,
                tick=tick,
            )
            loaded = _rehearse(session, files, options) if dry_run else _load(session, files, options)
    except seed.SeedError as error:
        for problem in error.problems[:-1]:
            say(problem)
        raise BadInput(error.problems[-1]) from error
    sys.stdout.writelines(_would(line) if dry_run else f"{line}\n" for line in loaded.report)
    for line in loaded.warnings:
        say(f"warning: {line}")
    for name in others:
        say(f"{directory / name} is none of the files that are read")
    say(f"{loaded.made} {'would be' if dry_run else 'were'} made")


def _load(session: Session, files: dict[str, list[str]], options: seed.Options) -> seed.Loaded:
    with adding(session) as (store, change):
        return seed.load(store, change, files, options)


def _would(line: str) -> str:
    return line.replace(": made ", ": would make ", 1) + "\n"


class _RehearsedError(Exception):
    """Takes a change back that was only made to see whether it can be."""


def _rehearse(session: Session, files: dict[str, list[str]], options: seed.Options) -> seed.Loaded:
    found = []
    with suppress(_RehearsedError), _something_to_change(session) as (store, change):
        found.append(seed.load(store, change, files, options))
        raise _RehearsedError
    return found[0]


@contextmanager
def _something_to_change(session: Session) -> Iterator[tuple[Store, Change]]:
    """Open the store; where there is none yet, one that is thrown away."""
    url = session.config.store.url
    if sqlite_path(url).exists():
        with session.opened() as store, store.change(who()) as change:
            yield store, change
        return
    with tempfile.TemporaryDirectory(prefix="mailhooks-") as directory:
        store = open_store(f"sqlite:///{directory}/store.db", key_file=Path(directory, "key"), create=True)
        try:
            with store.change(who()) as change:
                yield store, change
        finally:
            store.close()


@contextmanager
def _progress(files: dict[str, list[str]]) -> Iterator[Callable[[int], object]]:
    """Show a bar on a terminal."""
    with click.progressbar(
        length=sum(map(len, files.values())),
        label="Reading",
        file=sys.stderr,
        hidden=not sys.stderr.isatty(),
    ) as bar:
        yield bar.update
