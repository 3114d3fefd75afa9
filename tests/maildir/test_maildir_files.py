"""Message names and Dovecot's own files: read whatever somebody made of them, written as Dovecot reads them."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailhooks.maildir import keywords, message, subscriptions, uidlist
from mailhooks.maildir.message import FileName
from mailhooks.maildir.uidlist import UidList


@pytest.mark.parametrize(
    ("name", "again"),
    [
        ("1.a.host", "1.a.host"),
        ("1.a.host:2,", "1.a.host:2,"),
        ("1.a.host:2,SF", "1.a.host:2,FS"),
        ("1.a.host:2,FSab", "1.a.host:2,FSab"),
        ("1.a.host:2,SSXY,extra", "1.a.host:2,S"),
        ("1.a.host:1,S", "1.a.host:2,"),
        ("1.a.host,S=12,W=13:2,T", "1.a.host,S=12,W=13:2,T"),
    ],
)
def test_file_names(name, again):
    assert str(FileName.parse(name)) == again


@given(st.text(st.characters(exclude_characters="/\0"), max_size=300))
def test_any_name_becomes_a_sound_one(name):
    unique = FileName.parse(name).unique
    assert message.is_sound(message.another(unique, 12, 13 * 10**9))
    if message.is_sound(unique):
        full = FileName(unique, message.FLAGS, frozenset(message.KEYWORDS), info=True)
        assert len(str(full)) <= 255
        assert FileName.parse(str(full)) == full


def test_a_wrong_size_is_taken_out_of_a_name():
    assert message.sized("1.a,S=12,W=13", 12) == "1.a,S=12,W=13"
    assert message.sized("1.a,S=12,W=13", 14) == "1.a"


def test_keywords_keep_their_letters_where_those_are_free():
    source = keywords.parse(b"0 $Forwarded\n1 NonJunk\n25 Last\n26 none\nx y\n2 two words\n")
    assert source == {"a": "$Forwarded", "b": "NonJunk", "z": "Last"}
    found = keywords.translation(source, {"a": "Other", "c": "nonjunk"})
    assert found.letters == {"a": "Other", "c": "nonjunk", "b": "$Forwarded", "z": "Last"}
    assert found(frozenset("abzq")) == frozenset("bcz")
    assert keywords.parse(keywords.render(found.letters)) == found.letters


def test_keywords_beyond_the_last_letter_are_left_out():
    full = {letter: f"k{letter}" for letter in message.KEYWORDS}
    assert keywords.translation({"a": "new", "b": "kc"}, full)(frozenset("ab")) == frozenset("c")


THREE = b"3 V7 N10 Gabc\n2 W12 P77 :1.a:2,S\n5 :2.b\n8 :3 c\n"


def test_uids_are_read_and_written():
    listed = uidlist.parse(THREE)
    assert listed == UidList(7, 10, ("Gabc",), {"1.a": (2, " W12 P77"), "2.b": (5, ""), "3 c": (8, "")})
    assert uidlist.parse(listed.render()) == listed


def test_uids_of_version_1():
    assert uidlist.parse(b"1 7 10\n2 1.a:2,S\n5 2.b\n") == UidList(7, 10, (), {"1.a": (2, ""), "2.b": (5, "")})


def test_a_next_uid_that_is_too_low_is_mended():
    assert uidlist.parse(b"3 V7 N2\n2 :a\n5 :b\n").next_uid == 6


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"2 V1 N2\n",
        b"3 V0 N2\n",
        b"3 N2\n",
        b"3 V7\n2 :a\n",
        b"3 V7 N9\n5 :a\n4 :b\n",
        b"3 V7 N9\n5 :a/b\n",
        b"3 V7 N9\n5 a\n",
        b"3 V7 N9\n4294967295 :a\n",
        b"3 V99999999999 N9\n",
    ],
)
def test_a_list_that_cannot_be_trusted_is_none(data):
    assert uidlist.parse(data) is None


@example(b"3 V7 N9\n2 :\xff\n")
@given(st.binary(max_size=200) | st.binary(max_size=100).map(lambda data: b"3 V7 N9\n" + data))
def test_any_bytes_are_read(data):
    listed = uidlist.parse(data)
    if listed is not None:
        assert uidlist.parse(listed.render()) == listed
    keywords.parse(data)
    for name in subscriptions.parse(data):
        assert name == () or all(name)


def test_a_fresh_folder_gets_the_uids_of_what_was_taken():
    source = uidlist.parse(THREE)
    joined = uidlist.joined(None, source, {"1.a": "1.a", "2.b": "new", "elsewhere": "x"})
    assert joined == UidList(7, 10, ("Gabc",), {"1.a": (2, " W12 P77"), "new": (5, "")})
    assert uidlist.kept(joined, source, [("1.a", "1.a"), ("2.b", "new")])


def test_a_folder_that_gave_uids_keeps_its_own():
    target = UidList(99, 4, (), {"z": (3, "")})
    assert uidlist.joined(target, uidlist.parse(THREE), {"1.a": "1.a"}) is None
    assert not uidlist.kept(target, uidlist.parse(THREE), [("1.a", "1.a")])


def test_a_second_import_adds_what_came_meanwhile():
    target = UidList(7, 6, ("G9",), {"1.a": (2, ""), "2.b": (5, "")})
    joined = uidlist.joined(target, uidlist.parse(THREE), {"1.a": "1.a", "2.b": "2.b", "3 c": "3 c"})
    assert joined == UidList(7, 10, ("G9",), {"1.a": (2, ""), "2.b": (5, ""), "3 c": (8, "")})


def test_uids_that_were_given_here_meanwhile_are_not_given_again():
    target = UidList(7, 9, (), {"1.a": (2, ""), "own": (8, "")})
    assert uidlist.joined(target, uidlist.parse(THREE), {"1.a": "1.a", "3 c": "3 c"}) is None


def test_subscriptions_of_both_versions():
    wanted = [("Work", "2014"), ("Entwürfe",), ()]
    assert subscriptions.parse(b"V\t2\n\nWork\t2014\nEntw&APw-rfe\nINBOX\n") == wanted
    assert subscriptions.parse(b"Work.2014\nEntw&APw-rfe\nINBOX\n\n..\n") == wanted
    assert subscriptions.parse(b"Work/2014\nEntw&APw-rfe\ninbox", "/") == wanted


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, b"V\t2\n\na\tb\n"),
        (b"V\t2\n\nx", b"V\t2\n\nx\na\tb\n"),
        (b"x\n", b"x\na.b\n"),
        (b"V\t2\n\na\tb\n", None),
    ],
)
def test_subscriptions_are_added_in_the_version_that_is_there(before, after):
    assert subscriptions.joined(before, [("a", "b"), ("a", "b")]) == after
