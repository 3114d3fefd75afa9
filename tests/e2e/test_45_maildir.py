"""Moving in: a Maildir of another server becomes the mailbox of a user, and his mail program notices nothing."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from server import Server, header, message, until

ADAM, BOB, CAROL = "adam@example1.com", "bob@example1.com", "carol@example1.com"
OLD = 1_400_000_000  # 13 May 2014, 16:53:20 UTC
VALIDITY = 1_399_999_999


def write(folder: Path, place: str, name: str, subject: str, moment: int = OLD) -> None:
    data = message(subject).as_bytes()
    path = folder / place / name.replace("SIZE", str(len(data)))
    path.write_bytes(data)
    os.utime(path, (moment, moment))


def make(folder: Path) -> Path:
    for place in ("cur", "new", "tmp"):
        (folder / place).mkdir(parents=True)
    return folder


@pytest.fixture(scope="module")
def old(server: Server) -> Path:
    """A Maildir++ as a Dovecot left it: flags, a keyword, UIDs with gaps, folders, subscriptions."""
    root = make(server.host("old"))
    write(root, "cur", "1400000000.M1P1.old,S=SIZE:2,FSa", "read and flagged")
    write(root, "cur", "1400000001.M2P1.old,S=999:2,", "seen by nobody", OLD + 1)  # a size that is wrong
    write(root, "new", "1400000002.M3P1.old", "just in", OLD + 2)
    (root / "dovecot-keywords").write_text("0 $Important\n")
    (root / "dovecot-uidlist").write_text(
        f"3 V{VALIDITY} N100 G0123456789abcdef0123456789abcdef\n"
        f"7 :{next((root / 'cur').glob('*:2,FSa')).name}\n21 :1400000001.M2P1.old,S=999\n42 :1400000002.M3P1.old\n"
    )
    (root / "subscriptions").write_text("V\t2\n\nWork\t2014\n.spam\n")
    work = make(root / ".Work.2014")
    write(work, "cur", "1400000003.M4P1.old:2,RS", "old work")
    (work / "dovecot-uidlist").write_text(f"3 V{VALIDITY + 1} N6\n5 :1400000003.M4P1.old\n")
    write(make(root / ".spam"), "cur", "1400000004.M5P1.old:2,S", "cheap watches")
    write(make(root / ".Entw&APw-rfe"), "cur", "1400000005.M6P1.old:2,DS", "a draft")
    return root


def fetched(server: Server, user: str, folder: str) -> dict[str, tuple[int, frozenset[str], str]]:
    """Subject -> UID, flags and date of every message in a folder."""
    client = server.imap(user)
    try:
        assert client.select(f'"{folder}"', readonly=True)[0] == "OK", folder
        found = {}
        for part in client.fetch("1:*", "(UID FLAGS INTERNALDATE BODY.PEEK[])")[1]:
            if isinstance(part, tuple):
                said = part[0].decode()
                flags = re.search(r"FLAGS \(([^)]*)\)", said)[1].split()
                found[header(part[1], "Subject")] = (
                    int(re.search(r"UID (\d+)", said)[1]),
                    frozenset(flags) - {r"\Recent"},
                    re.search(r'INTERNALDATE "([^"]*)"', said)[1].strip(),
                )
        return found
    finally:
        client.logout()


def validity(server: Server, user: str, folder: str) -> int:
    client = server.imap(user)
    try:
        answer = client.status(f'"{folder}"', "(UIDVALIDITY)")[1][0]
        return int(re.search(rb"UIDVALIDITY (\d+)", answer)[1])
    finally:
        client.logout()


def folders(server: Server, user: str, command: str = "list") -> set[str]:
    client = server.imap(user)
    try:
        lines = getattr(client, command)()[1]
        return {line.decode().rpartition(' "/" ')[2].strip('"') for line in lines if line}
    finally:
        client.logout()


def take(server: Server, source: Path, user: str, *options: str) -> str:
    return server.mailhooks("import", "maildir", str(server.root / source.relative_to(server.host(""))), user, *options)


FIRST = {
    "read and flagged": (7, {r"\Flagged", r"\Seen", "$Important"}, "13-May-2014 16:53:20 +0000"),
    "seen by nobody": (21, set(), "13-May-2014 16:53:21 +0000"),
    "just in": (42, set(), "13-May-2014 16:53:22 +0000"),
}


def test_a_first_import_while_the_server_runs(server: Server, old: Path):
    assert "would be" in take(server, old, ADAM, "--dry-run")
    assert not server.host("var/mail/example1.com/adam").exists()
    take(server, old, ADAM, "--map", ".spam=Junk")
    assert fetched(server, ADAM, "INBOX") == FIRST
    assert validity(server, ADAM, "INBOX") == VALIDITY
    assert fetched(server, ADAM, "Work/2014") == {
        "old work": (5, {r"\Answered", r"\Seen"}, "13-May-2014 16:53:20 +0000")
    }
    assert validity(server, ADAM, "Work/2014") == VALIDITY + 1
    assert set(fetched(server, ADAM, "Junk")) == {"cheap watches"}
    assert set(fetched(server, ADAM, "Entw&APw-rfe")) == {"a draft"}
    assert {"INBOX", "Work/2014", "Junk", "Entw&APw-rfe"} <= folders(server, ADAM)
    assert {"Work/2014", "Junk"} <= folders(server, ADAM, "lsub")
    home = server.host("var/mail/example1.com/adam")
    assert {(path.stat().st_uid, path.stat().st_gid) for path in [home, *home.rglob("*")]} == {(5000, 5000)}


def test_again_takes_nothing_twice_and_new_mail_goes_on_with_the_uids(server: Server, old: Path):
    take(server, old, ADAM, "--map", ".spam=Junk")
    assert fetched(server, ADAM, "INBOX") == FIRST
    server.deliver("after the move", ADAM)
    server.arrives("after the move", ADAM)
    found = fetched(server, ADAM, "INBOX")
    assert found.pop("after the move")[0] >= 100
    assert found == FIRST


def test_usage_is_counted(server: Server):
    def used() -> bool:
        return '"messages": 7' in server.mailhooks("quota", "show", ADAM, "--json")

    until("Dovecot told the usage", used)


def test_merging_into_a_mailbox_that_is_in_use(server: Server, old: Path):
    """Bob has mail, a folder in other letters and an open session; the import gives his messages new UIDs."""
    server.deliver("was here before", BOB)
    server.arrives("was here before", BOB)
    client = server.imap(BOB)
    client.create("work")
    client.create("work/2014")
    client.append("work/2014", "(Funny)", None, message("own work").as_bytes())
    client.select("INBOX")
    try:
        take(server, old, BOB, "--map", ".spam=work")
        client.noop()
        assert len(client.search(None, "ALL")[1][0].split()) == 4
    finally:
        client.logout()
    assert "Work" not in folders(server, BOB)
    inbox = fetched(server, BOB, "INBOX")
    assert set(inbox) == {*FIRST, "was here before"}
    assert {subject: inbox[subject][1:] for subject in FIRST} == {key: row[1:] for key, row in FIRST.items()}
    assert inbox["was here before"][0] == 1
    work = fetched(server, BOB, "work/2014")
    assert set(work) == {"own work", "old work"}
    assert "Funny" in work["own work"][1]
    assert set(fetched(server, BOB, "work")) == {"cheap watches"}


def test_a_mailbox_that_was_opened_but_never_had_mail_keeps_the_uids(server: Server, old: Path):
    client = server.imap(CAROL)
    client.select("INBOX")
    client.logout()
    take(server, old, CAROL)
    assert fetched(server, CAROL, "INBOX") == FIRST
    assert validity(server, CAROL, "INBOX") == VALIDITY


def test_dovecot_had_nothing_to_complain_about(server: Server):
    assert [line for line in server.log.splitlines() if re.search(r"uidlist|[Cc]orrupt|Broken|rescan", line)] == []
