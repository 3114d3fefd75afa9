"""One folder that messages come into, without ever replacing one.

A message is copied to the folder's ``tmp``, made durable there, and linked into ``cur`` or ``new`` under its final
name. All names of a folder appear together, while Dovecot is kept from numbering: so UIDs can stay. A copy that is
whole bears a name made of the message's, so that after a crash the next run finds it.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailhooks.maildir import dotlock, entry, keywords, uidlist
from mailhooks.maildir.message import FileName
from mailhooks.maildir.own import Owner, make, remove, replace
from mailhooks.maildir.source import CUR, MAX_MESSAGES, NEW, TMP

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CHUNK = 2**20  # bytes read at once
STAGED = "mailhooks-import-"
PART = ".part"
UIDLIST, KEYWORDS = "dovecot-uidlist", "dovecot-keywords"


@dataclass(frozen=True, slots=True)
class Staged:
    """A message that lies whole in ``tmp``, and the name it will have."""

    temporary: str
    place: str
    name: FileName


@dataclass(frozen=True, slots=True)
class Folder:
    """An open folder."""

    handle: int
    owner: Owner
    shown: str

    def messages(self) -> dict[str, str]:
        """Return unique name -> path of every message that is there. Raises Unfit, OSError."""
        return {
            FileName.parse(each.name).unique: f"{place}/{each.name}"
            for place in (NEW, CUR)
            for each in entry.listing(self.handle, place, limit=2 * MAX_MESSAGES)
        }

    def has(self, path: str, source: int, size: int) -> bool:
        """Whether the message at ``path`` is, byte for byte, the one that is open as ``source``.

        Raises FileNotFoundError when it was flagged or removed meanwhile, OSError.
        """
        place, _, name = path.partition("/")
        try:
            with (
                entry.directory(self.handle, place) as parent,
                entry.regular(parent, name, owner=self.owner.uid, limit=size) as (handle, status),
            ):
                return status.st_size == size and _same(handle, source)
        except entry.Unfit:  # longer, or no file at all
            return False

    def stage(self, unique: str, source: int, status: os.stat_result) -> str:
        """Copy an open message to ``tmp``, with its time; return its name there. Raises Unfit, OSError."""
        name = STAGED + hashlib.sha256(unique.encode(errors="surrogatepass")).hexdigest()[:32]
        with entry.directory(self.handle, TMP) as tmp:
            with suppress(FileNotFoundError):
                before = os.stat(name, dir_fd=tmp, follow_symlinks=False)
                if (before.st_size, before.st_mtime_ns) == (status.st_size, status.st_mtime_ns):
                    return name
            remove(tmp, name)
            remove(tmp, name + PART)
            handle = make(tmp, name + PART, self.owner)
            try:
                _copy(source, handle, status.st_size)
                os.utime(handle, ns=(status.st_atime_ns, status.st_mtime_ns))
                os.fsync(handle)
            except BaseException:
                remove(tmp, name + PART)
                raise
            finally:
                os.close(handle)
            os.rename(name + PART, name, src_dir_fd=tmp, dst_dir_fd=tmp)
        return name

    def publish(
        self,
        staged: Iterable[Staged],
        letters: Mapping[str, str],
        uids: uidlist.UidList | None,
        taken: Mapping[str, str],
    ) -> bool:
        """Give staged messages their names; return whether all that had a UID keep it. Raises Busy, OSError.

        ``letters`` are the keywords of the source, ``taken`` says what each of its messages is called here.
        """
        with dotlock.held(self.handle, UIDLIST, self.shown):
            translated = keywords.translation(letters, self._keywords())
            if translated.letters != self._keywords():
                replace(self.handle, KEYWORDS, keywords.render(translated.letters), self.owner)
            for each in staged:
                name = FileName(each.name.unique, each.name.flags, translated(each.name.keywords), each.name.info)
                self._link(each.temporary, each.place, str(name))
            listed = self._uids()
            joined = uidlist.joined(listed, uids, taken)
            if joined is not None:
                replace(self.handle, UIDLIST, joined.render(), self.owner)
        self._sweep()
        return uidlist.kept(joined or listed, uids, taken.items())

    def _link(self, temporary: str, place: str, name: str) -> None:
        with entry.directory(self.handle, TMP) as tmp, entry.directory(self.handle, place) as there:
            # A name that is taken was linked before a crash: only then can it be, since the unique name was free.
            with suppress(FileExistsError):
                os.link(temporary, name, src_dir_fd=tmp, dst_dir_fd=there, follow_symlinks=False)
            remove(tmp, temporary)

    def _sweep(self) -> None:
        """Make the names durable, and remove what an import that was broken off left in ``tmp``."""
        with entry.directory(self.handle, TMP) as tmp:
            for each in entry.listing(tmp, limit=2 * MAX_MESSAGES):
                if each.name.startswith(STAGED) and each.is_file:
                    remove(tmp, each.name)
        for place in (NEW, CUR):
            with entry.directory(self.handle, place) as there:
                os.fsync(there)

    def _keywords(self) -> dict[str, str]:
        return keywords.parse(self._contents(KEYWORDS, keywords.MAX_FILE))

    def _uids(self) -> uidlist.UidList | None:
        return uidlist.parse(self._contents(UIDLIST, uidlist.MAX_FILE))

    def _contents(self, name: str, limit: int) -> bytes:
        return entry.contents(self.handle, name, owner=self.owner.uid, limit=limit) or b""


def _copy(source: int, target: int, size: int) -> None:
    """Copy what was there when it was opened. Raises Unfit when it changes meanwhile."""
    copied = 0
    while copied < size and (data := os.pread(source, min(CHUNK, size - copied), copied)):
        view = memoryview(data)
        while view:
            view = view[os.write(target, view) :]
        copied += len(data)
    if copied < size or os.fstat(source).st_size != size:
        raise entry.Unfit("changed while it was copied")


def _same(one: int, other: int) -> bool:
    at = 0
    while True:
        data = os.pread(one, CHUNK, at)
        if data != os.pread(other, CHUNK, at):
            return False
        if not data:
            return True
        at += len(data)
