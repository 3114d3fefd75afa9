"""A mailbox that changes while messages come into it."""

from __future__ import annotations

import os

import pytest

from mailhooks.maildir import Mailbox, Mapping, Source, Transfer
from mailhooks.maildir.own import Owner


@pytest.fixture
def old(tmp_path):
    for place in ("cur", "new", "tmp"):
        (tmp_path / "old" / place).mkdir(parents=True)
    for number in range(3):
        (tmp_path / f"old/cur/{number}.a:2,").write_text(f"Subject: {number}\n\n")
    return tmp_path / "old"


def take(tmp_path, old, tick=lambda _count: None):
    with (
        Source.opened(old) as source,
        Mailbox.opened(tmp_path, ("mail",), Owner(os.geteuid(), os.getegid()), make=True) as mailbox,
    ):
        return list(Transfer(source, mailbox, Mapping()).run(tick))


def test_a_message_that_is_flagged_or_removed_meanwhile_is_not_doubled(tmp_path, old):
    take(tmp_path, old)
    cur = tmp_path / "mail/Maildir/cur"

    def read_on(_count):
        if (cur / "1.a:2,").exists():
            (cur / "1.a:2,").rename(cur / "1.a:2,S")
            (cur / "2.a:2,").unlink()

    (outcome,) = take(tmp_path, old, read_on)
    assert (outcome.there, outcome.copied, outcome.renamed) == (2, 1, 0)
    assert sorted(path.name for path in cur.iterdir()) == ["0.a:2,", "1.a:2,S", "2.a:2,"]


def test_a_message_that_comes_twice_in_the_source_is_taken_once(tmp_path, old):
    (old / "new/1.a").write_text("Subject: 1\n\n")
    (old / "new/2.a").write_text("Subject: other\n\n")
    (outcome,) = take(tmp_path, old)
    assert (outcome.there, outcome.copied, outcome.renamed) == (1, 4, 1)
    assert sorted(path.read_text() for path in (tmp_path / "mail/Maildir").glob("[cn]*/*")) == [
        "Subject: 0\n\n",
        "Subject: 1\n\n",
        "Subject: 2\n\n",
        "Subject: other\n\n",
    ]
