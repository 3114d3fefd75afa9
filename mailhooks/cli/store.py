"""``mailhooks store``: the store itself: its schema, its soundness, its backups.

A backup is written and read with the rights of whoever runs the command, the store with its owner's. So a copy passes
through a directory beside the store that only the owner can enter.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from mailhooks import store as stores
from mailhooks.cli.errors import BadInput, Negative, say
from mailhooks.cli.owner import root_again
from mailhooks.cli.session import Session, pass_session, settle, who

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_file = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))


@click.group()
def command() -> None:
    """The store: upgrade, check, back up, restore."""


@command.command()
@pass_session
def upgrade(session: Session) -> None:
    """Bring the store to the schema of this version; make a backup before."""
    with session.owner():
        before, after = stores.upgrade(session.config.store.url)
    say(f"the store has schema {after}" + (" already" if before == after else f", it had {before}"))


@command.command()
@pass_session
def check(session: Session) -> None:
    """Look for damage, and whether the key file fits. The exit code is 1 when something is found."""
    with session.owner():
        findings = stores.check(session.config.store.url, key_file=Path(session.config.store.key_file))
    for finding in findings:
        click.echo(finding)
    if findings:
        raise Negative("the store is not sound: restore a backup, or see above for the cure")
    say("the store is sound")


@command.command()
@_file
@pass_session
def backup(session: Session, file: Path) -> None:
    """Copy the store to FILE while it is in use.

    Relay passwords in it stay sealed: keep a copy of the key file somewhere else.
    """
    if os.path.lexists(file):
        raise BadInput(f"{file} is there already: choose another name")
    with _progress("Copying") as progress, session.owner(), _beside(session) as directory:
        copy = directory / "backup.db"
        stores.backup(session.config.store.url, copy, progress=progress)
        with copy.open("rb") as source, root_again():
            _write_new(file, source)


@command.command()
@_file
@pass_session
def restore(session: Session, file: Path) -> None:
    """Put the backup FILE in the place of the store; the daemon must not be running."""
    session.make_state_directory()
    with (
        file.open("rb") as source,
        _progress("Restoring") as progress,
        session.owner(),
        _beside(session) as directory,
    ):
        copy = directory / file.name
        _write_new(copy, source)
        try:
            stores.restore(session.config.store.url, copy, who=who(), progress=progress)
        except stores.Refused as error:
            raise BadInput(str(error).replace(str(copy), str(file))) from error
        settle()


@contextmanager
def _beside(session: Session) -> Iterator[Path]:
    """Make a directory beside the store that only its owner can enter, for a while."""
    if not session.state_directory.is_dir():
        raise stores.Unavailable(f"there is no directory {session.state_directory}")
    with tempfile.TemporaryDirectory(prefix=".copy-", dir=session.state_directory) as directory:
        yield Path(directory)


def _write_new(path: Path, source: IO[bytes]) -> None:
    """Write a file that was not there, readable for its owner only. Raises OSError."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as stream:
            shutil.copyfileobj(source, stream)
            stream.flush()
            os.fsync(stream.fileno())
    except BaseException:
        path.unlink()
        raise


@contextmanager
def _progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on a terminal."""
    with click.progressbar(length=1, label=label, file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:

        def progress(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        yield progress
