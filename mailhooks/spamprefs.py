"""Publish SpamAssassin's preferences as a small SQLite file of their own, for spamd to read.

Rules
    spamd runs as another user and must never open the live store: on a WAL database it fails while no writer has it
    open, or leaves -shm and -wal files behind that lock the writer out. So a copy is made: rollback journal, readable
    by all, written under another name and renamed, so that spamd sees the old file or the new one, never half of one.
    The table ``userpref`` has the names that spamd's queries expect (user, ``%domain``, ``@GLOBAL``), and ``prio``
    orders them: the last row wins (Mail::SpamAssassin::Conf::SQL), and by name ``007@example.com`` would sort before
    ``@GLOBAL`` and lose to it.
    A value is pasted into a configuration text: a newline in it would inject any directive. So only the preferences
    below with values of their form are published, whatever the store holds.

What it does not do
    It does not decide when: the daemon publishes when the store's change number moves.
"""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from mailhooks.store import Store
    from mailhooks.store.model import Preference

MAX_VALUE = 1000  # characters: a line of configuration that a person can still read
FILE_MODE = 0o644
DIRECTORY_MODE = 0o755
GLOBAL = "@GLOBAL"
# What ``user_scores_sql_custom_query`` in local.cf must say; spamd inserts the placeholders already quoted.
QUERY = (
    "SELECT preference, value FROM _TABLE_ WHERE username = _USERNAME_ OR username = '@GLOBAL'"
    " OR username = '%' || _DOMAIN_ ORDER BY prio ASC"
)

_SCHEMA = """
CREATE TABLE userpref (
    username TEXT NOT NULL,
    preference TEXT NOT NULL,
    value TEXT NOT NULL,
    prio INTEGER NOT NULL,
    PRIMARY KEY (username, preference)
) WITHOUT ROWID
"""

_NUMBER = r"-?[0-9]{1,4}(?:\.[0-9]{1,3})?"
_BOOLEAN = (re.compile(r"[01]"), "0 or 1")
_SCORE = (re.compile(_NUMBER), "a number like 5.0")
_PATTERNS = (re.compile(r"[^\s#]+(?: +[^\s#]+)*"), "addresses or patterns like *@example.com, separated by blanks")
_WORDS = (re.compile(r"[a-z]{2,3}(?: +[a-z]{2,3})*|all"), "codes like de en, or all")
# Preference -> (form of its value, the form in words); Mail::SpamAssassin::Conf(3), those that a user may set.
PREFERENCES: Mapping[str, tuple[re.Pattern[str], str]] = {
    "required_score": _SCORE,
    "score": (re.compile(rf"[A-Z0-9_]{{1,64}}(?: +{_NUMBER}){{1,4}}"), "a test and its score, like HTML_MESSAGE 0.5"),
    "welcomelist_from": _PATTERNS,
    "unwelcomelist_from": _PATTERNS,
    "whitelist_from": _PATTERNS,
    "unwhitelist_from": _PATTERNS,
    "blocklist_from": _PATTERNS,
    "unblocklist_from": _PATTERNS,
    "blacklist_from": _PATTERNS,
    "unblacklist_from": _PATTERNS,
    "welcomelist_to": _PATTERNS,
    "whitelist_to": _PATTERNS,
    "blocklist_to": _PATTERNS,
    "blacklist_to": _PATTERNS,
    "more_spam_to": _PATTERNS,
    "all_spam_to": _PATTERNS,
    "ok_languages": _WORDS,
    "ok_locales": _WORDS,
    "use_bayes": _BOOLEAN,
    "bayes_auto_learn": _BOOLEAN,
    "report_safe": (re.compile(r"[012]"), "0, 1 or 2"),
    "rewrite_header": (re.compile(r"(?i:subject|from|to) [^#]+"), "a header and its mark, like subject [SPAM]"),
}


class PreferenceError(ValueError):
    """The preference cannot be set; the text says what is expected."""


class PublishError(Exception):
    """The file could not be written; the old one, if any, still stands."""


@dataclass(frozen=True, slots=True)
class Published:
    """What became of the preferences."""

    written: int
    skipped: tuple[Preference, ...]  # not known here, or with a value that is not of its form


def check(name: str, value: str) -> None:
    """Raise ``PreferenceError`` unless a value may be set for a preference."""
    if name not in PREFERENCES:
        raise PreferenceError(f"{name!r} is no preference that can be set: known are {', '.join(PREFERENCES)}")
    if len(value) > MAX_VALUE:
        raise PreferenceError(f"the value of {name} is longer than {MAX_VALUE} characters")
    form, words = PREFERENCES[name]
    if not value.isprintable() or not form.fullmatch(value):
        raise PreferenceError(f"{value!r} is no value for {name}: expected {words}")


def publish(store: Store, path: Path) -> Published:
    """Write the preferences of the store to ``path``, atomically. Raises ``PublishError`` and ``Unavailable``."""
    preferences = tuple(store.preferences())
    sound = [preference for preference in preferences if _is_sound(preference)]
    skipped = tuple(preference for preference in preferences if not _is_sound(preference))
    new = path.with_name(f".{path.name}.new")
    try:
        if not path.parent.exists():
            path.parent.mkdir(parents=True)
            path.parent.chmod(DIRECTORY_MODE)  # whatever the umask says
        new.unlink(missing_ok=True)  # what a killed daemon left
        _write(new, _rows(sound))
        new.replace(path)
        _sync(path.parent)
    except (OSError, sqlite3.Error) as error:
        raise PublishError(f"cannot publish the spam preferences as {path}: {error}") from error
    return Published(len(sound), skipped)


def _write(path: Path, rows: Iterator[tuple[str, str, str, int]]) -> None:
    """Make a database that bears no journal: its last state reaches the disk before it gets its name."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        path.chmod(FILE_MODE)
        database.execute("PRAGMA journal_mode=OFF")
        database.execute("PRAGMA synchronous=OFF")
        database.execute("BEGIN")
        database.execute(_SCHEMA)
        database.executemany("INSERT INTO userpref (username, preference, value, prio) VALUES (?, ?, ?, ?)", rows)
        database.execute("COMMIT")
    _sync(path)


def _rows(preferences: list[Preference]) -> Iterator[tuple[str, str, str, int]]:
    for preference in preferences:
        if preference.scope == GLOBAL:
            yield GLOBAL, preference.name, preference.value, 0
        elif preference.scope.startswith("@"):
            yield f"%{preference.scope[1:]}", preference.name, preference.value, 1
        else:
            yield preference.scope, preference.name, preference.value, 2


def _is_sound(preference: Preference) -> bool:
    try:
        check(preference.name, preference.value)
    except PreferenceError:
        return False
    return True


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
