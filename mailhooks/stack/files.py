"""Writing files that others read while they are replaced: whoever opens one sees the old or the new, never a part."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from mailhooks.stack.directories import Account


def replace(path: Path, data: bytes, owner: Account, mode: int) -> bool:
    """Write a file at once; tell whether it changed. Its directory must be one that only root writes."""
    if path.is_file() and path.read_bytes() == data:
        return False
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(data)
        os.fchown(stream.fileno(), owner.uid, owner.gid)
        os.fchmod(stream.fileno(), mode)
    os.replace(fresh, path)  # noqa: PTH105 - the word for what happens
    return True
