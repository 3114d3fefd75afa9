"""The mailbox that messages come into: a Maildir++ that Dovecot may be reading and delivering into meanwhile.

Everything made here belongs to the mail user, and no link on the way is followed. ``folder`` takes the messages.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailhooks.maildir import dotlock, entry, names, subscriptions
from mailhooks.maildir.errors import Busy, MaildirError
from mailhooks.maildir.folder import Folder
from mailhooks.maildir.own import Owner, entered, replace, touch
from mailhooks.maildir.source import CUR, MAX_FOLDERS, NEW, TMP

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from mailhooks.maildir.names import Name

MAILDIR = "Maildir"
SUBSCRIPTIONS = "subscriptions"
MAX_OTHERS = 1000  # entries of a Maildir that are no folders: Dovecot's own files, temporary ones


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An open mailbox; without ``root`` it is not there yet and is only looked at."""

    root: int | None
    owner: Owner

    @classmethod
    @contextmanager
    def opened(cls, base: Path, parts: tuple[str, ...], owner: Owner, *, make: bool) -> Iterator[Mailbox]:
        """Open the Maildir in the home ``parts`` below ``base``. Raises Busy, MaildirError, OSError."""
        try:
            above = os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            if make:
                raise
            yield cls(None, owner)
            return
        with ExitStack() as stack:
            stack.callback(os.close, above)
            try:
                root = stack.enter_context(entered(above, *parts, MAILDIR, owner=owner, make=make))
            except OSError as error:
                where = base.joinpath(*parts, MAILDIR)
                raise MaildirError(
                    f"{where}: {error.strerror}: it must be made of directories, without a link"
                ) from error
            if root is not None and make:
                _claim(root)
            yield cls(root, owner)

    def folders(self) -> Iterator[Name]:
        """Name the folders that are there."""
        if self.root is None:
            return
        for each in entry.listing(self.root, limit=MAX_FOLDERS + MAX_OTHERS):
            name = names.from_directory(each.name)
            # One that Dovecot would spell otherwise is no folder for it either.
            if each.is_directory and name and names.to_directory(name) == each.name:
                yield name

    @contextmanager
    def folder(self, name: Name, *, make: bool) -> Iterator[Folder | None]:
        """Open a folder; None when it is not there and is not to be made. Raises OSError."""
        if self.root is None:
            yield None
            return
        parts = (names.to_directory(name),) if name else ()
        with entered(self.root, *parts, owner=self.owner, make=make) as handle:
            if handle is None:
                yield None
                return
            if make:
                for place in (TMP, NEW, CUR):
                    with entered(handle, place, owner=self.owner, make=True):
                        pass
                if name:
                    touch(handle, "maildirfolder", self.owner)  # Maildir++: this is a folder
            yield Folder(handle, self.owner, names.display(name))

    def subscribe(self, new: Iterable[Name]) -> None:
        """Add subscriptions. Raises Busy, OSError."""
        wanted = list(new)
        if self.root is None or not wanted:
            return
        with dotlock.held(self.root, SUBSCRIPTIONS, "the list of subscriptions"):
            before = entry.contents(self.root, SUBSCRIPTIONS, owner=self.owner.uid, limit=subscriptions.MAX_FILE)
            after = subscriptions.joined(before, wanted)
            if after is not None:
                replace(self.root, SUBSCRIPTIONS, after, self.owner)


def _claim(root: int) -> None:
    """Keep another import out for as long as the directory is open."""
    try:
        fcntl.flock(root, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise Busy("another import into this mailbox is running: let it finish") from error
    except OSError:  # NFS locks nothing that is not open for writing, as a directory never is (flock(2))
        return
