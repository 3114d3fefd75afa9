"""Leading every folder of a source to its place in a mailbox: nothing twice, nothing replaced.

A message that is there already is known by its unique name and its bytes. One that only shares the name of another
gets a new name, the same one in every run. So an import can be broken off at any moment and started again.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mailhooks.maildir import entry, names
from mailhooks.maildir.errors import Busy, MaildirError
from mailhooks.maildir.folder import Staged
from mailhooks.maildir.message import COMPRESSED, FileName, another, is_sound, sized
from mailhooks.maildir.source import CUR, TMP, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mailhooks.maildir.folder import Folder
    from mailhooks.maildir.mailbox import Mailbox
    from mailhooks.maildir.names import Mapping, Name
    from mailhooks.maildir.source import Folder as SourceFolder
    from mailhooks.maildir.source import Message, Source

MAX_MESSAGE = 2**30  # bytes: no server takes a larger mail, but a sparse file can be of any size
GOES_ON = "it goes on where it stopped"
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_UNREADABLE = frozenset({errno.ENOENT, errno.EACCES, errno.EIO})


@dataclass(slots=True)
class Outcome:
    """What became of one folder."""

    source: str
    name: Name
    copied: int = 0
    size: int = 0  # bytes copied
    there: int = 0  # messages that were there already
    renamed: int = 0  # of those copied: their unique name was another's, or no good
    uids: bool | None = None  # whether UIDs stay; None in a rehearsal, or where there were none


class Transfer:
    """One import. Raises MaildirError when a folder cannot have its name: then nothing was changed."""

    def __init__(self, source: Source, mailbox: Mailbox, mapping: Mapping, *, rehearsal: bool = False) -> None:
        self.lost: list[str] = []  # messages that could not be read
        self._source = source
        self._mailbox = mailbox
        self._rehearsal = rehearsal
        if mailbox.root is not None and source.is_at(mailbox.root):
            raise MaildirError("the source is the mailbox itself: name the Maildir that it is to be taken from")
        for name in mailbox.folders():
            mapping.learn(name)
        self._places: list[tuple[SourceFolder, Name]] = []
        for folder in source.folders:
            try:
                self._places.append((folder, mapping.place(folder.name)))
            except names.BadName as error:
                raise MaildirError(
                    f"the folder {folder.shown[:80]}: {error}: give it another one with --map"
                ) from error

    @property
    def messages(self) -> int:
        """How many messages the source has."""
        return sum(len(folder.messages) for folder in self._source.folders)

    def run(self, tick: Callable[[int], object]) -> Iterator[Outcome]:
        """Take one folder after another; ``tick`` hears of each message. Raises MaildirError, Busy."""
        for folder, place in self._places:
            try:
                yield self._take(folder, place, tick)
            except entry.Unfit as error:
                raise MaildirError(f"{names.display(place)} {error}") from error
            except OSError as error:
                kind = Busy if error.errno in _FULL else MaildirError
                raise kind(
                    f"{names.display(place)}: {error.strerror}: mend that and run this again, {GOES_ON}"
                ) from error
        if not self._rehearsal:
            self._subscribe()

    def _subscribe(self) -> None:
        at = {folder.name: place for folder, place in self._places}
        self._mailbox.subscribe(at[name] for name in self._source.subscribed if name in at)

    def _take(self, source: SourceFolder, place: Name, tick: Callable[[int], object]) -> Outcome:
        outcome = Outcome(source.shown, place)
        with self._mailbox.folder(place, make=not self._rehearsal) as target:
            there = target.messages() if target is not None else {}
            batch = _Batch(self._source, source, target, there, outcome, self.lost, copy=not self._rehearsal)
            for message in source.messages:
                batch.take(message)
                tick(1)
            if target is not None and not self._rehearsal:
                kept = target.publish(batch.staged, source.keywords, source.uids, batch.taken)
                outcome.uids = kept if source.uids is not None else None
        return outcome


@dataclass(slots=True)
class _Batch:
    """The messages of one folder on their way; without ``copy`` they are only counted."""

    source: Source
    folder: SourceFolder
    target: Folder | None
    there: dict[str, str]  # unique name -> path in the target
    outcome: Outcome
    lost: list[str]
    copy: bool
    staged: list[Staged] = field(default_factory=list)
    taken: dict[str, str] = field(default_factory=dict)  # unique name in the source -> in the target

    def take(self, message: Message) -> None:
        """Stage one message, unless it is there."""
        shown = printable("/".join((*self.folder.path, message.place, message.name)))
        try:
            with (
                entry.directory(self.source.root, *self.folder.path, message.place) as parent,
                entry.regular(parent, message.name, owner=self.source.owner, limit=MAX_MESSAGE) as (handle, status),
            ):
                self._take(message, handle, status)
        except entry.Unfit as error:
            self.lost.append(f"{shown} {error}")
        except OSError as error:
            if error.errno not in _UNREADABLE:
                raise
            self.lost.append(f"{shown} cannot be read ({error.strerror})")

    def _take(self, message: Message, handle: int, status: os.stat_result) -> None:
        if os.pread(handle, len(max(COMPRESSED, key=len)), 0).startswith(COMPRESSED):
            raise entry.Unfit("is compressed by Dovecot's zlib plugin: let doveadm sync write it plainly")
        name = FileName.parse(message.name)
        unique, is_there = self._unique(name.unique, handle, status)
        if is_there:
            self.outcome.there += 1
        else:
            temporary = self.target.stage(unique, handle, status) if self.copy and self.target else ""
            place = CUR if name.info else message.place
            self.staged.append(Staged(temporary, place, replace(name, unique=unique)))
            self.there[unique] = f"{TMP}/{temporary}"
            self.outcome.copied += 1
            self.outcome.size += status.st_size
            self.outcome.renamed += unique != name.unique
        self.taken.setdefault(name.unique, unique)

    def _unique(self, unique: str, handle: int, status: os.stat_result) -> tuple[str, bool]:
        """Choose the unique name of a message, and say whether it is there under it."""
        wanted = sized(unique, status.st_size)
        if not is_sound(wanted):
            wanted = another(unique, status.st_size, status.st_mtime_ns)
        while wanted in self.there:
            if self.target is None:
                wanted = another(wanted, status.st_size, status.st_mtime_ns)
                continue
            try:
                if self.target.has(self.there[wanted], handle, status.st_size):
                    return wanted, True
                wanted = another(wanted, status.st_size, status.st_mtime_ns)
            except FileNotFoundError:
                self._look_again(self.target, wanted)
        return wanted, False

    def _look_again(self, target: Folder, unique: str) -> None:
        """Find a message that is no longer where it was: its owner flagged it, or removed it."""
        path = target.messages().get(unique)
        if path is None:
            del self.there[unique]
        else:
            self.there[unique] = path
