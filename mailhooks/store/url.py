"""Where a store is: ``sqlite:///`` and a path, so four slashes for an absolute one."""

from __future__ import annotations

from pathlib import Path

from mailhooks.store.errors import Refused

_SQLITE = "sqlite:///"


def sqlite_path(url: str) -> Path:
    """Return the file that a URL names. Raises Refused."""
    path = url.removeprefix(_SQLITE)
    if not url.startswith(_SQLITE) or not path or path.endswith("/") or not path.isprintable():
        raise Refused(f"{url!r} is no store: expected sqlite:////path/to/file.db")
    return Path(path)
