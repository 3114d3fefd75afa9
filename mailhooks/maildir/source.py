"""Reading the Maildir that is taken: its folders, messages and Dovecot's own files. It is hostile input (``entry``).

Two layouts are read: Maildir++ (``.Work.2024`` beside ``cur``) and Dovecot's fs (``Work/2024``), which has INBOX in the
root as well.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mailhooks.maildir import entry, keywords, names, subscriptions, uidlist
from mailhooks.maildir.errors import MaildirError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mailhooks.maildir.entry import Entry
    from mailhooks.maildir.names import Name

MAX_FOLDERS = 10_000  # more is no mailbox that somebody reads
MAX_MESSAGES = 2_000_000  # of one folder: their names fit into memory

MAILDIRPP, FS = "Maildir++", "fs"
NEW, CUR, TMP = "new", "cur", "tmp"
_OWN = frozenset({NEW, CUR, TMP})


@dataclass(frozen=True, slots=True)
class Message:
    """A file that may be a message."""

    place: str  # new or cur
    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder as it lies there."""

    path: tuple[str, ...]  # the directories below the root
    name: Name
    messages: tuple[Message, ...]
    keywords: dict[str, str]
    uids: uidlist.UidList | None

    @property
    def shown(self) -> str:
        """What to call it."""
        return printable("/".join(self.path)) or "INBOX"


@dataclass(slots=True)
class Source:
    """An open Maildir."""

    root: int
    owner: int  # the user whose hard links are taken
    layout: str = MAILDIRPP
    folders: list[Folder] = field(default_factory=list)
    subscribed: list[Name] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)  # links, sockets and what else is no mail

    @classmethod
    @contextmanager
    def opened(cls, path: Path) -> Iterator[Source]:
        """Open and list a Maildir, or the home that one lies in. Raises MaildirError."""
        root = _root(path)
        try:
            source = cls(root, os.fstat(root).st_uid)
            try:
                source._scan()
            except entry.Unfit as error:
                raise MaildirError(f"{path}: {error}: take it in parts") from error
            except OSError as error:
                raise MaildirError(f"{path}: {error.strerror}") from error
            if not source.folders:
                raise MaildirError(f"{path} is no Maildir: expected the directories cur and new in it")
            yield source
        finally:
            os.close(root)

    def is_at(self, handle: int) -> bool:
        """Whether this is the very directory."""
        return os.path.samestat(os.fstat(self.root), os.fstat(handle))

    def _scan(self) -> None:
        entries = entry.listing(self.root, limit=MAX_FOLDERS)
        if any(each.name in (NEW, CUR) for each in entries):
            self._folder((), names.INBOX)
        for each in entries:
            if each.name in _OWN:
                continue
            if not each.is_directory:
                self._leave(each, "")
            elif each.name.startswith("."):
                if self._is_folder((each.name,)):
                    self._folder((each.name,), names.from_directory(each.name))
            else:
                self._below((each.name,))
        text = entry.contents(self.root, "subscriptions", owner=self.owner, limit=subscriptions.MAX_FILE)
        if text is not None:
            self.subscribed = subscriptions.parse(text, "/" if self.layout == FS else ".")

    def _below(self, path: tuple[str, ...]) -> None:
        """Take the folders of the layout fs."""
        if self._is_folder(path):
            self.layout = FS
            self._folder(path, names.cleaned(path))
        if len(path) == names.MAX_LEVELS:
            raise entry.Unfit(f"{printable('/'.join(path))[:80]} has directories below it, beyond {len(path)} levels")
        for each in entry.listing(self.root, *path, limit=MAX_FOLDERS):
            if each.name not in _OWN and each.is_directory:
                self._below((*path, each.name))

    def _is_folder(self, path: tuple[str, ...]) -> bool:
        with entry.directory(self.root, *path) as handle:
            return any(_has_directory(handle, place) for place in (CUR, NEW))

    def _folder(self, path: tuple[str, ...], name: Name) -> None:
        if len(self.folders) == MAX_FOLDERS:
            raise entry.Unfit(f"has more than {MAX_FOLDERS} folders")
        messages = [*self._messages(path, CUR), *self._messages(path, NEW)]
        with entry.directory(self.root, *path) as handle:
            letters = entry.contents(handle, "dovecot-keywords", owner=self.owner, limit=keywords.MAX_FILE)
            listed = entry.contents(handle, "dovecot-uidlist", owner=self.owner, limit=uidlist.MAX_FILE)
        self.folders.append(
            Folder(path, name, tuple(messages), keywords.parse(letters or b""), uidlist.parse(listed or b""))
        )

    def _messages(self, path: tuple[str, ...], place: str) -> Iterator[Message]:
        with entry.directory(self.root, *path) as handle:
            if not _has_directory(handle, place):
                self.left_out += [f"{'/'.join((*path, place))} is no directory"] * _exists(handle, place)
                return
        for each in entry.listing(self.root, *path, place, limit=MAX_MESSAGES):
            if each.is_file:
                if not each.name.startswith("."):  # maildir(5): not a message
                    yield Message(place, each.name, each.size)
            else:
                self._leave(each, "/".join((*path, place, "")))

    def _leave(self, each: Entry, where: str) -> None:
        """Remember what is neither file nor directory; plain files beside the messages are the old server's own."""
        if not each.is_file:
            kind = "a link" if each.is_link else "no regular file"
            self.left_out.append(f"{printable(where + each.name)} is {kind}")


def printable(text: str) -> str:
    """Make a name from the disk harmless to show."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _root(path: Path) -> int:
    try:
        root = os.open(path, entry.DIRECTORY)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR) and path.is_symlink():
            raise MaildirError(f"{path} is a link: name the directory itself") from error
        raise MaildirError(f"{path}: {error.strerror}") from error
    if any(_has_directory(root, place) for place in (CUR, NEW)) or not _has_directory(root, "Maildir"):
        return root
    try:
        return os.open("Maildir", entry.DIRECTORY, dir_fd=root)  # a home
    except OSError as error:
        raise MaildirError(f"{path / 'Maildir'}: {error.strerror}") from error
    finally:
        os.close(root)


def _has_directory(handle: int, name: str) -> bool:
    try:
        with entry.directory(handle, name):
            return True
    except (FileNotFoundError, NotADirectoryError):
        return False


def _exists(handle: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=handle, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
