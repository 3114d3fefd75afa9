"""Scenario 44: user+folder into the folder that exists, else INBOX or a cleaned one; no name is a path."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from server import Server, until

ADAM = "adam@example1.com"
HOME = "var/mail/example1.com/adam"

# What follows the plus sign, and the folder it reaches, or "" for INBOX.
EXISTING = [
    ("work", "Work"),
    ("WORK", "Work"),
    ("lists.debian", "Lists/Debian"),
    ("junk", "Junk"),
    ("inbox", ""),
    ("INBOX", ""),
    ("Inbox.Work", ""),
    ("sent", ""),
    ("trash", ""),
    ("nowhere", ""),
]

# What must lead nowhere. (Postfix itself refuses a percent sign in a local part from outside.)
TRICKS = [
    "../bob",
    "../../example1.com/bob/Maildir",
    "/etc/passwd",
    "/var/mail/example1.com/bob",
    ".",
    "..",
    "...",
    ".hidden",
    "~bob",
    "~/x",
    "a/../../b",
    "cur",
    "new",
    "*",
    "&AC8-etc",
    "&",
    "-rf",
    "x" * 40 + "." + "y" * 15,
    "&jjbm6VnFNvJBy1lqg-",
    "${home}",
    "`id`",
    "$(id)",
    "shared/bob",
    "a.b.c.d.e.f",
]


@pytest.fixture(scope="module", params=["inbox", "create"])
def missing(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def server(machine, missing: str) -> Iterator[Server]:
    quick = {"server": {"spam_filter": False, "missing_folder": missing}, "server.ports": {"spamd": 0}}
    with Server(machine, quick) as running:
        running.furnish()
        imap = running.imap(ADAM)
        for folder in ("Work", "Lists/Debian"):
            assert imap.create(folder)[0] == "OK"
        imap.logout()
        yield running


def send(server: Server, details: list[str]) -> None:
    """Send a mail for each detail; its subject is the detail's number."""
    with server.smtp() as client:
        for number, detail in enumerate(details):
            address = f'<"adam+{detail}"@example1.com>'
            assert client.docmd("MAIL", "FROM:<joe@sender.test>")[0] == 250
            code, said = client.docmd("RCPT", f"TO:{address}")
            assert code == 250, (detail, said)
            assert client.data(f"Subject: {number}\r\n\r\nHello.\r\n".encode())[0] == 250
    server.drain()


def found(server: Server) -> dict[str, str]:
    """Return in which folder each numbered mail lies, read from the disk: Dovecot is not asked what it did."""
    maildir = server.host(HOME) / "Maildir"
    places = {}
    for path in maildir.rglob("*"):
        if path.parent.name in ("new", "cur") and path.is_file():
            lines = path.read_bytes().split(b"\n\n")[0].replace(b"\r", b"").splitlines()
            subject = next(line for line in lines if line.startswith(b"Subject: "))
            places[subject[9:].decode()] = path.parent.parent.relative_to(maildir).as_posix().lstrip(".")
    return places


def test_every_name_reaches_its_folder_and_no_other_place(server: Server, missing: str):
    details = [detail for detail, _ in EXISTING] + TRICKS
    others = server.host("var/mail/example1.com/bob")
    before = {path: path.stat().st_mtime_ns for path in others.rglob("*")} if others.exists() else {}
    send(server, details)
    places = until("every mail is there", lambda: len(p := found(server)) == len(details) and p)
    for number, (detail, folder) in enumerate(EXISTING):
        wanted = folder.replace("/", ".")
        if detail == "nowhere" and missing == "create":
            wanted = "nowhere"
        assert places[str(number)] == wanted, detail
    for number, detail in enumerate(TRICKS, len(EXISTING)):
        if missing == "inbox":
            assert places[str(number)] == "", detail
        else:
            assert "/" not in places[str(number)], detail
            assert "." not in places[str(number)], detail
    # Nothing was written outside of the one Maildir.
    home = server.host(HOME)
    assert {path.name for path in home.iterdir()} <= {"Maildir", ".dovecot.lda-dupes", ".dovecot.lda-dupes.lock"}
    assert not [path for path in (home / "Maildir").rglob("*") if path.is_symlink()]
    assert not others.exists() or before == {path: path.stat().st_mtime_ns for path in others.rglob("*")}
    assert "status=bounced" not in server.log
    assert not [name for name in (home / "Maildir").iterdir() if len(name.name) > 100]
