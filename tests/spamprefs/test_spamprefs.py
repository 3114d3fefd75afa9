"""The file that spamd reads."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from mailhooks import spamprefs
from mailhooks.store import Store, Unavailable


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spam" / "preferences.db"


def put(store: Store, *preferences: tuple[str, str, str]) -> None:
    with store.change("test") as change:
        for scope, name, value in preferences:
            change.set_preference(scope, name, value)
    store.renew()


@pytest.fixture
def filled(store: Store) -> Store:
    with store.change("test") as change:
        change.add_domain("e.example")
        change.add_mailbox("adam@e.example")
        change.add_mailbox("007@e.example")
    put(
        store,
        ("@GLOBAL", "required_score", "6.5"),
        ("@e.example", "required_score", "7.5"),
        ("007@e.example", "required_score", "2.25"),
        ("adam@e.example", "welcomelist_from", "*@friend.example bob@e.example"),
    )
    return store


def ask_as_spamd(path: Path, user: str) -> dict[str, str]:
    """The query of local.cf as Conf/SQL.pm fills it in: values already quoted, the last row wins."""

    def quoted(text: str) -> str:
        return "'" + text.replace("'", "''") + "'"

    query = spamprefs.QUERY.replace("_TABLE_", "userpref").replace("_USERNAME_", quoted(user))
    query = query.replace("_DOMAIN_", quoted(user.partition("@")[2]))
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return dict(database.execute(query).fetchall())


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("007@e.example", {"required_score": "2.25"}),  # sorts before @GLOBAL, and wins all the same
        ("adam@e.example", {"required_score": "7.5", "welcomelist_from": "*@friend.example bob@e.example"}),
        ("x@outside.example", {"required_score": "6.5"}),
    ],
)
def test_the_narrowest_preference_wins(filled, path, user, expected):
    assert spamprefs.publish(filled, path) == spamprefs.Published(4, ())
    assert ask_as_spamd(path, user) == expected


def test_the_file_is_for_everybody_to_read_and_has_no_companions(filled, path):
    old = os.umask(0o077)
    try:
        spamprefs.publish(filled, path)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_the_directory_is_made_for_everybody_to_enter(filled, path):
    old = os.umask(0o077)
    try:
        spamprefs.publish(filled, path)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o755


def test_a_reader_keeps_the_old_file_and_the_next_sees_the_new_one(filled, path):
    spamprefs.publish(filled, path)
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as reader:
        put(filled, ("007@e.example", "required_score", "9.0"))
        spamprefs.publish(filled, path)
        old = reader.execute("SELECT value FROM userpref WHERE username = '007@e.example'").fetchall()
    assert old == [("2.25",)]
    assert ask_as_spamd(path, "007@e.example") == {"required_score": "9.0"}


def test_what_a_killed_daemon_left_is_replaced(filled, path):
    path.parent.mkdir()
    path.with_name(f".{path.name}.new").write_bytes(b"half a file")
    spamprefs.publish(filled, path)
    assert ask_as_spamd(path, "x@outside.example") == {"required_score": "6.5"}
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_link_in_the_place_of_the_new_file_is_not_followed(filled, path, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    path.parent.mkdir()
    path.with_name(f".{path.name}.new").symlink_to(victim)
    spamprefs.publish(filled, path)
    assert victim.read_text() == "untouched"


def test_what_is_no_preference_of_ours_is_not_published(filled, path, tmp_path):
    """The store may hold what an older or newer mailhooks allowed, or a hand put there."""
    evil = [
        ("adam@e.example", "required_score", "3\nscore GTUBE 0.2"),
        ("adam@e.example", "header", "X exists From"),
        ("adam@e.example", "rewrite_header", "subject \x07"),
    ]
    with closing(sqlite3.connect(tmp_path / "mailhooks.db")) as raw, raw:
        raw.executemany("INSERT INTO preference VALUES (?, ?, ?)", evil)
    filled.renew()
    published = spamprefs.publish(filled, path)
    assert published.written == 4
    assert sorted((one.scope, one.name, one.value) for one in published.skipped) == sorted(evil)
    assert ask_as_spamd(path, "adam@e.example")["required_score"] == "7.5"


def test_an_empty_store_publishes_an_empty_table(store, path):
    assert spamprefs.publish(store, path).written == 0
    assert ask_as_spamd(path, "adam@e.example") == {}


def test_what_cannot_be_written_keeps_the_old_file(filled, path):
    spamprefs.publish(filled, path)
    path.with_name(f".{path.name}.new").mkdir()
    with pytest.raises(spamprefs.PublishError, match="cannot publish the spam preferences"):
        spamprefs.publish(filled, path)
    assert ask_as_spamd(path, "x@outside.example") == {"required_score": "6.5"}


def test_an_outage_leaves_the_old_file(filled, path, tmp_path):
    spamprefs.publish(filled, path)
    with pytest.raises(Unavailable):
        spamprefs.publish(Store(f"sqlite:///{tmp_path}/missing.db"), path)
    assert ask_as_spamd(path, "x@outside.example") == {"required_score": "6.5"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("required_score", "5"),
        ("required_score", "-2.25"),
        ("score", "HTML_MESSAGE 0.5"),
        ("score", "BAYES_99 1 2.0 3 4.5"),
        ("welcomelist_from", "*@e.example bob@e.example"),
        ("rewrite_header", "Subject *****SPAM*****"),
        ("ok_languages", "de en"),
        ("ok_locales", "all"),
        ("use_bayes", "0"),
        ("report_safe", "2"),
    ],
)
def test_values_that_may_be_set(name, value):
    spamprefs.check(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("required_score", ""),
        ("required_score", "five"),
        ("required_score", "5\nscore GTUBE 0"),
        ("required_score", "5 # comment"),
        ("required_score", "5\u2028"),
        ("required_score", "\u0665"),
        ("score", "0.5"),
        ("score", "lower 0.5"),
        ("welcomelist_from", ""),
        ("welcomelist_from", "a\tb"),
        ("welcomelist_from", "x" * (spamprefs.MAX_VALUE + 1)),
        ("welcomelist_from", "a@b # c"),
        ("rewrite_header", "Date x"),
        ("use_bayes", "yes"),
        ("report_safe", "3"),
        ("allow_user_rules", "1"),
        ("include", "/etc/passwd"),
        ("Required_score", "5"),
    ],
)
def test_values_that_may_not_be_set(name, value):
    with pytest.raises(spamprefs.PreferenceError):
        spamprefs.check(name, value)
