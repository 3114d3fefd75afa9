"""Moving the mail of a removed account aside, so that an address made again never sees it.

Every home is renamed into ``.removed`` below the fixed part of [mail] home, under the address and the time: the same
file system, so nothing is copied. Whoever may write to the mail must not be able to lead root elsewhere, so each part
of the path that depends on an address is entered without following links. Only the fixed part is taken as it is: it is
the admin's.

Mail that is being delivered while its account is removed makes the home anew, so what is there after the change came
into effect is moved as well (``Aside.sweep``), and once more when the address is made again, which the store knows by
the tombstone of the old one (``Aside.leftover``).
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mailhooks.cli.errors import BadInput
from mailhooks.stack.paths import mail_base
from mailhooks.userdb import home

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailhooks.userdb import MailSettings

ASIDE = ".removed"
ASIDE_MODE = 0o700
MAX_NAMES = 1000  # homes of one address moved aside within one second
_ENTER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Homes:
    """The homes of mailboxes, where ``mailhooks.userdb`` tells Dovecot that they are."""

    def __init__(self, settings: MailSettings) -> None:
        self.base = mail_base(settings.home)
        self._settings = settings
        self._moved: list[tuple[str, str]] = []  # address, name below ASIDE

    def move(self, address: str) -> Path | None:
        """Move one home aside; None when there is none. Raises BadInput when it cannot be moved: it is as it was."""
        parts = self.parts(address)
        try:
            with _enter(self.base, parts[:-1]) as parent:
                if not _is_home(parent, parts[-1], address):
                    return None
                name = self._rename(parent, parts[-1], address)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BadInput(
                f"the mail of {address} cannot be moved aside from {self.base / Path(*parts)} ({error.strerror}): "
                "run this as root, or move it yourself"
            ) from error
        self._moved.append((address, name))
        return self.base / ASIDE / name

    def undo(self) -> None:
        """Put every home back that was moved. Raises OSError."""
        while self._moved:
            address, name = self._moved.pop()
            parts = self.parts(address)
            with _enter(self.base, parts[:-1]) as parent, _enter(self.base, (ASIDE,)) as aside:
                os.rename(name, parts[-1], src_dir_fd=aside, dst_dir_fd=parent)

    def _rename(self, parent: int, home: str, address: str) -> str:
        with _enter(self.base, ()) as base:
            try:
                os.mkdir(ASIDE, ASIDE_MODE, dir_fd=base)
            except FileExistsError:
                owner = os.stat(ASIDE, dir_fd=base, follow_symlinks=False).st_uid
                if owner not in (0, os.geteuid()):
                    raise BadInput(
                        f"{self.base / ASIDE} belongs to another user (uid {owner}): make it root's"
                    ) from None
        with _enter(self.base, (ASIDE,)) as aside:
            name = _free_name(aside, address)
            os.rename(home, name, src_dir_fd=parent, dst_dir_fd=aside)
        return name

    def parts(self, address: str) -> tuple[str, ...]:
        """Return the way from the base to a home."""
        return Path(home(address, self._settings)).relative_to(self.base).parts


@contextmanager
def _enter(base: Path, parts: tuple[str, ...]) -> Iterator[int]:
    """Open a directory part by part, following no link below ``base``. Raises OSError."""
    directory = os.open(base, _ENTER)
    try:
        for part in parts:
            inner = os.open(part, _ENTER | os.O_NOFOLLOW, dir_fd=directory)
            os.close(directory)
            directory = inner
        yield directory
    finally:
        os.close(directory)


def _is_home(parent: int, name: str, address: str) -> bool:
    try:
        mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return False
    if not stat.S_ISDIR(mode):
        raise BadInput(f"the home of {address} is no directory but a link or file: move it aside yourself")
    return True


def _free_name(aside: int, address: str) -> str:
    """Find a name that is not taken: renaming onto an empty directory would replace it."""
    stem = f"{address.replace('/', '_')}.{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    taken = set(os.listdir(aside))
    return next(name for n in range(MAX_NAMES) if (name := f"{stem}-{n}" if n else stem) not in taken)
