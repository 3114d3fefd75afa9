"""Whose rights a command works with: root becomes the owner of the state directory before it opens store or key.

The daemon is not root. A log, lock or key file that root made would lock it out of its own store, so every file in the
state directory is made by the directory's owner. Only the effective ids change: root's rights are taken back for what
needs them (moving maildirs aside, reading the admin's files), see credentials(7).
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def owner_of(directory: Path) -> Iterator[None]:
    """Work as the owner of ``directory``; changes nothing unless run as root. Raises OSError when it is not there."""
    if os.geteuid() != 0:
        yield
        return
    status = directory.stat()
    groups = os.getgroups()
    with _as(status.st_uid, status.st_gid, [status.st_gid] if status.st_uid else groups):
        yield


@contextmanager
def root_again() -> Iterator[None]:
    """Within owner_of(): work with root's rights for a moment; changes nothing unless run as root."""
    if os.getuid() != 0 or os.geteuid() == 0:
        yield
        return
    uid, gid, groups = os.geteuid(), os.getegid(), os.getgroups()
    os.seteuid(0)
    try:
        os.setegid(0)
        yield
    finally:
        _become(uid, gid, groups)


@contextmanager
def _as(uid: int, gid: int, groups: list[int]) -> Iterator[None]:
    before = os.geteuid(), os.getegid(), os.getgroups()
    _become(uid, gid, groups)
    try:
        yield
    finally:
        os.seteuid(0)
        _become(*before)


def _become(uid: int, gid: int, groups: list[int]) -> None:
    """Give up root's rights; the user last, for the groups need them."""
    os.setgroups(groups)
    os.setegid(gid)
    os.seteuid(uid)
