"""``mailhooks import maildir``: take one user's mail from another server."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mailhooks import maildir
from mailhooks.address import display
from mailhooks.cli import kick, quota
from mailhooks.cli.errors import BadInput, Negative, say
from mailhooks.cli.output import rough
from mailhooks.cli.removal import homes_of
from mailhooks.cli.session import Session, pass_session
from mailhooks.cli.values import ADDRESS
from mailhooks.maildir import names
from mailhooks.maildir.own import Owner
from mailhooks.stack import directories
from mailhooks.store import NotFound, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

MAX_SAID = 20  # lines about what was left out: a person reads them


@click.command("maildir")
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("user", type=ADDRESS)
@click.option("--map", "maps", metavar="FOLDER=FOLDER", multiple=True, help="Another name for a folder: .spam=Junk.")
@click.option("--dry-run", is_flag=True, help="Say what would be taken, and change nothing.")
@pass_session
def command(session: Session, *, source: Path, user: str, maps: Sequence[str], dry_run: bool) -> None:
    """Take the Maildir SOURCE into the mailbox of USER, which may be in use meanwhile.

    Times, flags, keywords, folders and subscriptions stay as they are, and so do IMAP's UIDs in a folder that had no
    messages yet. Folders go into those that are there, whatever their case. No message is replaced or taken twice: an
    import that was broken off goes on where it stopped.
    """
    try:
        mapping = maildir.Mapping.read(maps)
    except maildir.BadName as error:
        raise BadInput(f"--map: {error}") from error
    limit, used = _quota(session, user)
    try:
        with maildir.Source.opened(source) as opened:
            with _mailbox(session, user, make=False) as mailbox:
                transfer = maildir.Transfer(opened, mailbox, mapping, rehearsal=True)  # says what cannot be
                total = _take(transfer, dry_run=True) if dry_run else 0
            if not dry_run:
                _prepare(session)
                with _mailbox(session, user, make=True) as mailbox:
                    transfer = maildir.Transfer(opened, mailbox, mapping)
                    total = _take(transfer, dry_run=False)
            _notes(opened, mapping)
    except maildir.Busy as error:
        raise Unavailable(str(error)) from error
    except maildir.MaildirError as error:
        raise BadInput(str(error)) from error
    if limit and used + total > limit:
        say(f"{display(user)} is over quota and gets no new mail: mailhooks user set {display(user)} --quota raises it")
    if not dry_run:
        _recount(session, user)
    if transfer.lost:
        _some(transfer.lost)
        raise Negative(f"{len(transfer.lost)} files were not taken: everything else was")


def _quota(session: Session, user: str) -> tuple[int | None, int]:
    """Return the limit of a user and what is used. Raises NotFound."""
    with session.reading() as store:
        mailbox, usage = store.mailbox(user), store.usage(user)
    if mailbox is None:
        raise NotFound(f"there is no account {display(user)}: make it first, with mailhooks user add or import seed")
    return mailbox.quota, usage.storage or 0 if usage else 0


def _prepare(session: Session) -> None:
    """See that mail can be given to the mail user, in a directory that is there."""
    mail = session.config.mail
    if os.geteuid() not in (0, mail.uid):
        raise BadInput(f"run this as root: the mail belongs to uid {mail.uid} ([mail] uid)")
    base = homes_of(mail).base
    if not base.exists():
        directories.ensure(base, directories.Account(mail.uid, mail.gid), 0o750)


def _mailbox(session: Session, user: str, *, make: bool) -> AbstractContextManager[maildir.Mailbox]:
    mail = session.config.mail
    homes = homes_of(mail)
    return maildir.Mailbox.opened(homes.base, homes.parts(user), Owner(mail.uid, mail.gid), make=make)


def _take(transfer: maildir.Transfer, *, dry_run: bool) -> int:
    """Take everything, and say of each folder what became of it; return how many bytes were copied."""
    bar = click.progressbar(
        length=transfer.messages, label="Copying", file=sys.stderr, hidden=dry_run or not sys.stderr.isatty()
    )
    with bar as progress:
        outcomes = list(transfer.run(progress.update))
    for each in outcomes:
        click.echo(_line(each, dry_run=dry_run))
    return sum(each.size for each in outcomes)


def _line(outcome: maildir.Outcome, *, dry_run: bool) -> str:
    name = names.display(outcome.name)
    words = [f"{outcome.copied} messages ({rough(outcome.size)}) {'would be' if dry_run else 'were'} taken"]
    if outcome.there:
        words.append(f"{outcome.there} were there already")
    if outcome.renamed:
        words.append(f"{outcome.renamed} under a new file name")
    if outcome.uids is not None:
        words.append("UIDs stay" if outcome.uids else "UIDs are new")
    source = "" if outcome.source == name else f"{outcome.source} -> "
    return f"{source}{name}: {', '.join(words)}"


def _notes(source: maildir.Source, mapping: maildir.Mapping) -> None:
    if source.layout != maildir.MAILDIRPP:
        say(f"the layout is {source.layout}: each folder is a directory in that of its parent")
    for name in mapping.unused:
        say(f"there is no folder {names.display(name)}: its --map does nothing")
    _some([f"{each} and is left out" for each in source.left_out])


def _some(lines: list[str]) -> None:
    for line in lines[:MAX_SAID]:
        say(line)
    if len(lines) > MAX_SAID:
        say(f"and {len(lines) - MAX_SAID} more")


def _recount(session: Session, user: str) -> None:
    """Let Dovecot count what the mailbox holds now."""
    configuration = kick.running(session.config) if os.geteuid() == 0 else None
    if configuration is None:
        say(f"the server does not run here: when it does, mailhooks quota recount {display(user)} counts the mail")
    else:
        quota.count(configuration, user)
