"""user+folder: an existing folder without regard to case, and no tricks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhooks.stack.programs import folder


@pytest.mark.parametrize(
    ("detail", "existing", "found"),
    [
        ("Work", ["work"], "work"),
        ("wORK", ["Work"], "Work"),
        ("taxreturns", ["TaxReturns"], "TaxReturns"),
        ("work", ["Work", "work"], "work"),
        ("WORK", ["work", "Work"], "Work"),
        ("lists.debian", ["Lists/Debian"], "Lists/Debian"),
        ("büro", ["Bu\u0308ro"], "Bu\u0308ro"),
        ("work", ["Workshop"], ""),
        ("nothing", [], ""),
        ("", ["x"], ""),
    ],
)
def test_existing_folders(detail, existing, found):
    assert folder.choose(detail, existing, create=False) == found


@pytest.mark.parametrize("detail", ["Sent", "sent", "TRASH", "Drafts", "inbox", "Sent/x", "sent.x"])
@pytest.mark.parametrize("create", [True, False])
def test_strangers_do_not_file_into_what_the_owner_wrote_or_threw_away(detail, create):
    assert folder.choose(detail, ["Sent", "Trash", "Drafts", "INBOX", "Sent/x"], create=create) == ""


@pytest.mark.parametrize(
    ("detail", "made"),
    [
        ("new", "new"),
        ("../../bob", "bob"),
        ("a/b", "a_b"),
        (".hidden", "hidden"),
        ("...", ""),
        ("*%", ""),
        ("~root", "root"),
    ],
)
def test_a_new_folder_gets_a_cleaned_name(detail, made):
    assert folder.choose(detail, [], create=True) == made


@given(st.text())
def test_a_made_name_is_harmless(detail):
    name = folder.choose(detail, [], create=True)
    assert len(name) <= folder.MAX_NAME
    assert not set(name) & set("./\\*%~&:\0\r\n\t")
    assert name == name.strip()
    assert name.lower() not in folder.PROTECTED


@given(st.text(), st.lists(st.text(min_size=1)))
def test_without_creating_only_existing_names_come_out(detail, existing):
    assert folder.choose(detail, existing, create=False) in {"", *existing}


@pytest.mark.parametrize(
    ("name", "decoded"), [("Work", "Work"), ("B&APw-ro", "Büro"), ("A&-B", "A&B"), ("&!!!-", "&!!!-"), ("&A-", "&A-")]
)
def test_modified_utf7(name, decoded):
    assert folder.decode(name) == decoded


def test_the_program_reads_the_maildir(tmp_path):
    for name in ("cur", ".Work", ".Lists.Debian", ".B&APw-ro"):
        (tmp_path / "Maildir" / name).mkdir(parents=True)
    (tmp_path / "Maildir/.afile").touch()
    (tmp_path / "Maildir/.etc").symlink_to("/etc")
    assert sorted(folder.folders(str(tmp_path))) == ["Büro", "Lists/Debian", "Work"]

    def ask(detail: str, missing: str = "inbox") -> str:
        command = [sys.executable, "-I", str(Path(folder.__file__)), detail, missing]
        done = subprocess.run(command, env={"HOME": str(tmp_path)}, capture_output=True, check=True, timeout=30)
        return done.stdout.decode()

    assert ask("WORK") == "Work"
    assert ask("JUNK") == "Junk"  # Dovecot makes it when it is first used
    assert ask("etc") == ""
    assert ask("new") == ""
    assert ask("new", "create") == "new"


def test_a_mailbox_that_is_not_there_yet_has_no_folders(tmp_path):
    assert folder.folders(str(tmp_path / "nowhere")) == []
