"""Read what mailhooks shares with everything else on the machine: disks, clock, SpamAssassin."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from mailhooks.doctor.facts import Entry, SpamSetup, Volume
from mailhooks.doctor.reading.sockets import account, entry, talk
from mailhooks.doctor.reading.tool import ask
from mailhooks.servers.probes import Probe
from mailhooks.stack import render
from mailhooks.stack.children import PING, PONG
from mailhooks.stack.sockets import Address

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mailhooks.config import Config

SETTINGS = ("user_scores_dsn", "user_scores_sql_custom_query")  # Mail::SpamAssassin::Conf(3)

_LINE = re.compile(rb"\n\Z")


def volumes(places: Iterable[tuple[str, Path]]) -> tuple[Volume, ...]:
    """Measure the file systems below some directories; of what does not exist yet, that of its parent."""
    found = []
    for use, path in places:
        there = next((each for each in (path, *path.parents) if _is_there(each)), Path("/"))
        space = os.statvfs(there)
        found.append(
            Volume(
                use, str(path), space.f_bavail * space.f_frsize, space.f_blocks * space.f_frsize, space.f_favail,
                space.f_files,
            )
        )  # fmt: skip
    return tuple(found)


def entries(state: Path, config: Config) -> tuple[Entry, ...]:
    """Look at the store's directory and at those of its files that are there; nothing when it cannot be seen."""
    url = config.store.url
    database = url.removeprefix("sqlite:///") if url.startswith("sqlite:///") else config.store.snapshot
    files = [Path(database + end) for end in ("", "-wal", "-shm")] + [Path(config.store.key_file)]
    try:
        return (entry(state), *(entry(file) for file in files if file.parent == state and file.exists()))
    except OSError:
        return ()


def synchronised() -> bool | None:
    """Tell whether the clock follows a time server, as far as systemd knows."""
    if not (program := shutil.which("timedatectl")):
        return None
    said = ask(program, "show", "--property=NTPSynchronized", "--value")
    return {"yes": True, "no": False}.get(said.out.strip()) if said.code == 0 else None


def spam(config: Config, directories: Iterable[Path], *, wanted: bool) -> SpamSetup:
    """Ask spamd, look at the preferences, and read what SpamAssassin's files say about them."""
    settings = tuple(_settings(directories))
    if not wanted:
        return SpamSetup(settings=settings)
    address = Address(host="127.0.0.1", port=config.server.ports.spamd)
    silent, _ = talk(address, Probe(PING, _LINE, PONG))
    return SpamSetup(True, silent, _preferences(Path(config.spam.preferences)), settings)


def _preferences(path: Path) -> str:
    """Say what is wrong with the preferences file, as spamd's user meets it."""
    try:
        found, above = entry(path), [entry(each) for each in path.parents]
    except OSError as error:
        return error.strerror or "cannot be read"
    spamd = account(render.SPAM_USER)
    if spamd is not None and not (spamd.may(found, 4) and all(spamd.may(each, 1) for each in above)):
        return f"is not readable for {spamd.name}"
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=1)) as connection:
            connection.execute("SELECT username, preference, value, prio FROM userpref LIMIT 1").fetchone()
    except sqlite3.Error as error:
        return str(error)
    return ""


def _settings(directories: Iterable[Path]) -> Iterator[tuple[str, str, str]]:
    for directory in directories:
        for file in sorted(directory.glob("*.cf")):
            try:
                text = file.read_text(errors="replace")
            except OSError:
                continue
            for line in text.splitlines():
                name, _, value = line.strip().partition(" ")
                if name in SETTINGS:
                    yield str(file), name, value.strip()


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:
        return False
