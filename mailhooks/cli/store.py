"""``mailhooks store``: the store itself: its schema, its soundness, its backups.

A backup is written and read with the rights of whoever runs the command, the store with its owner's. So a copy passes
through a directory beside the store that only the owner can enter.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from mailhooks import store as stores
from mailhooks.cli import rotation
from mailhooks.cli.errors import BadInput, Negative, say
from mailhooks.cli.owner import root_again
from mailhooks.cli.session import Session, pass_session, settle, who
from mailhooks.store import schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_file = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))


@click.group()
def command() -> None:
    """The store: upgrade, check, back up, restore."""


@command.command()
@pass_session
def upgrade(session: Session) -> None:
    """Bring the store to the schema of this version; a copy of the older one stays beside it."""
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
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--keep",
    type=click.IntRange(1, rotation.MAX_KEPT),
    metavar="N",
    help="Of the backups in the directory FILE, remove all but the N latest.",
)
@pass_session
def backup(session: Session, file: Path, keep: int | None) -> None:
    """Copy the store to FILE while it is in use.

    When FILE is a directory, the backup gets a name there by its time (UTC), which is printed.

    The key file is not part of a backup, so that a stolen one does not hand out relay passwords: keep one copy of it
    somewhere else.
    """
    directory = file.is_dir()
    if keep and not directory:
        raise BadInput(f"--keep removes older backups from a directory, and {file} is none: name one that is there")
    target = file / rotation.name(time.time()) if directory else file
    _refuse_existing(target)
    with _progress("Copying") as progress, session.owner(), _beside(session) as beside:
        copy = beside / "backup.db"
        stores.backup(session.config.store.url, copy, progress=progress)
        with copy.open("rb") as source, root_again():
            _write_whole(target, source)
    if directory:
        click.echo(bytes(target))  # a path is bytes, not always UTF-8
    if keep and (removed := rotation.remove_older(file, keep=keep, made=target)):
        say(f"removed older backups: {removed}")


@command.command()
@_file
@pass_session
def restore(session: Session, file: Path) -> None:
    """Put the backup FILE in the place of the store; the daemon must not be running.

    What was restored is checked. When the key file is not the one that it was written with, that is said.
    """
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
        findings = stores.check(session.config.store.url, key_file=Path(session.config.store.key_file))
    say(f"restored {file}")
    for finding in findings:
        say(finding)


@contextmanager
def _beside(session: Session) -> Iterator[Path]:
    """Make a directory beside the store that only its owner can enter, for a while."""
    if not session.state_directory.is_dir():
        raise stores.Unavailable(f"there is no directory {session.state_directory}")
    with tempfile.TemporaryDirectory(prefix=".copy-", dir=session.state_directory) as directory:
        yield Path(directory)


def _refuse_existing(path: Path) -> None:
    if os.path.lexists(path):
        raise BadInput(f"{path} is there already: choose another name")


def _write_whole(path: Path, source: IO[bytes]) -> None:
    """Write a file that gets its name when it is whole and on the disk. Raises OSError."""
    part = path.with_name(f".{path.name}{rotation.PART}")
    try:
        _write_new(part, source)
    except FileExistsError as error:
        raise BadInput(
            f"{part} is being written by another command, or left by one that was killed: remove it"
        ) from error
    try:
        _refuse_existing(path)
        part.rename(path)  # a link would not replace another's file, but some file systems have none
        schema.sync_directory(path.parent)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


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
