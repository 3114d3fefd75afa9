"""Names of folders: on disk, as people write them, and where ``--map`` and the case of others lead."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhooks.maildir import names
from mailhooks.maildir.names import BadName, Mapping

LEVEL = st.text(
    st.characters(exclude_characters="/.", exclude_categories=("C", "Z")) | st.just(" "), min_size=1, max_size=9
)
NAME = st.lists(LEVEL, min_size=1, max_size=3).map(tuple)
DIRECTORY = st.text(st.characters(exclude_characters="/\0", codec=None), min_size=1, max_size=60)


@given(NAME)
def test_a_name_survives_the_disk(name):
    directory = names.to_directory(name)
    assert directory.isascii()
    assert names.from_directory(directory) == names.cleaned(name)


@given(DIRECTORY)
def test_every_directory_leads_to_a_name_that_may_be(directory):
    name = names.from_directory("." + directory)
    assert all(part and part.isprintable() and not set("/.") & set(part) for part in name)
    if sum(map(len, name)) < 40:
        assert names.checked(name) == name
        assert names.from_directory(names.to_directory(name)) == name if name else True


@pytest.mark.parametrize(
    ("directory", "name"),
    [
        (".Work.2014", ("Work", "2014")),
        (".Entw&APw-rfe", ("Entwürfe",)),
        (".Entwürfe", ("Entwürfe",)),
        (".A &- B", ("A & B",)),
        (".A & B", ("A & B",)),
        (".&U,BTFw-", ("台北",)),
        (".INBOX", ()),
        (".inbox.Sub", ("INBOX", "Sub")),
        ("..x", ("_", "x")),
        (".a..b", ("a", "_", "b")),
        (".~root", ("_root",)),
        (".bad\udcffbyte\n", ("bad_byte_",)),
    ],
)
def test_directories(directory, name):
    assert names.from_directory(directory) == name


@pytest.mark.parametrize(
    ("text", "name"), [("Work/2014", ("Work", "2014")), (".Work.2014", ("Work", "2014")), ("inbox", ())]
)
def test_what_people_write(text, name):
    assert names.parse(text) == name


@pytest.mark.parametrize("text", ["", "/", "a//b", "Work/", "~a", "a\nb", "x" * 300, "a/" * 30 + "a"])
def test_what_people_cannot_mean(text):
    with pytest.raises(BadName):
        names.parse(text)


@pytest.mark.parametrize("text", ["", "spam", "=Junk", "spam=", "spam=a//b"])
def test_no_mapping(text):
    with pytest.raises(BadName):
        Mapping.read([text])


def test_mapping_leads_a_folder_and_what_lies_below_it():
    mapping = Mapping.read([".spam=Junk", "Work/Old=Archive/Work", ".none=X"])
    assert mapping.place(("Spam",)) == ("Junk",)
    assert mapping.place(("spam", "2014")) == ("Junk", "2014")
    assert mapping.place(("Work", "Old", "a")) == ("Archive", "Work", "a")
    assert mapping.place(("Work",)) == ("Work",)
    assert mapping.place(()) == ()
    assert list(mapping.unused) == [("none",)]


def test_inbox_can_be_led_elsewhere_and_others_into_it():
    mapping = Mapping.read(["INBOX=Old", ".Misc=INBOX"])
    assert mapping.place(()) == ("Old",)
    assert mapping.place(("Misc",)) == ()
    assert mapping.place(("Work",)) == ("Work",)


def test_folders_merge_without_regard_to_case():
    mapping = Mapping()
    mapping.learn(("Work", "ÄRGER"))
    assert mapping.place(("work", "A\u0308rger")) == ("Work", "ÄRGER")
    assert mapping.place(("WORK", "New")) == ("Work", "New")
    assert mapping.place(("work", "new")) == ("Work", "New")
    assert mapping.place(("sent",)) == ("Sent",)  # Dovecot makes it when it is first used


def test_the_same_case_counts_first():
    mapping = Mapping()
    for name in ("Work", "work"):
        mapping.learn((name,))
    assert mapping.place(("work",)) == ("work",)
    assert mapping.place(("WORK",)) == ("Work",)
