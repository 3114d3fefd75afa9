"""Scenario 9: a store that cannot answer is temporary for everybody, and heals without a restart."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import smtplib
import socket
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from server import Q, Server, until

LOCK_SECONDS = 60
HEAL_SECONDS = 45
FRESH = itertools.count()


@pytest.fixture(scope="module")
def server(machine):
    with Server(machine) as running:
        running.furnish()
        yield running


def rcpt(server: Server, user: str = "adam") -> int:
    """Ask for an address of ``user`` that nobody asked for before.

    Each smtpd keeps what became of the last address it was asked for, for up to 30 s (resolve_clnt.c), an outage, too.
    """
    with server.smtp() as client:
        client.mail("joe@sender.test")
        return client.rcpt(f"{user}+{next(FRESH)}@example1.com")[0]


def smtp_login(server: Server, password: str = Q) -> int:
    client = server.smtp("submission")
    try:
        return client.login("adam@example1.com", password)[0]
    except smtplib.SMTPAuthenticationError as refused:
        return refused.smtp_code
    finally:
        client.close()


def imap_login(server: Server, password: str = Q) -> str:
    try:
        server.imap("adam@example1.com", password).logout()
    except Exception as refused:  # noqa: BLE001 - imaplib's own error class hangs on the connection's class
        return str(refused)
    return "OK"


def lmtp(server: Server, recipient: str = "adam@example1.com") -> int:
    client = smtplib.LMTP(str(server.host("run/dovecot/lmtp")))
    try:
        client.ehlo("client.test")
        client.mail("joe@sender.test")
        return client.rcpt(recipient)[0]
    finally:
        client.close()


def notices(server: Server) -> None:
    """Wait until the daemon knows of the outage; Postfix may still say what it heard before."""
    key = b"virtual_mailbox_maps adam@example1.com"

    def says_temporary() -> bool:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(server.host("var/spool/postfix/mailhooks/socketmap")))
            connection.sendall(b"%d:%s," % (len(key), key))
            return b"TEMP" in connection.recv(1000)

    until("the outage is noticed", says_temporary, 5)


def everybody_hears_temporary(server: Server) -> None:
    assert rcpt(server) == 451
    assert rcpt(server, "nobody") == 451
    assert smtp_login(server) == 454
    assert smtp_login(server, "wrong") == 454
    assert "UNAVAILABLE" in imap_login(server)
    assert "UNAVAILABLE" in imap_login(server, "wrong")
    assert lmtp(server) == 451
    assert lmtp(server, "nobody@example1.com") == 451


def all_is_well(server: Server) -> None:
    """Wait for each client."""
    for what, wanted, ask in (
        ("a known recipient", 250, lambda: rcpt(server)),
        ("an unknown recipient", 550, lambda: rcpt(server, "nobody")),
        ("SMTP login", 235, lambda: smtp_login(server)),
        ("IMAP login", "OK", lambda: imap_login(server)),
        ("delivery", 250, lambda: lmtp(server)),
        ("delivery to nobody", 550, lambda: lmtp(server, "nobody@example1.com")),
    ):
        until(f"all is well for {what}", partial(hears, ask, wanted), HEAL_SECONDS)
    assert "AUTHENTICATIONFAILED" in imap_login(server, "wrong")


def hears(ask: Callable[[], Any], wanted: object) -> bool:
    return bool(ask() == wanted)


@contextlib.contextmanager
def moved_away(server: Server) -> Iterator[Path]:
    """Move the store's files aside and back again."""
    aside = server.host("aside")
    aside.mkdir()
    for path in list(server.store.parent.glob("mailhooks.db*")):
        path.rename(aside / path.name)
    try:
        yield aside
    finally:
        for path in server.store.parent.glob("mailhooks.db*"):
            path.unlink()
        for path in aside.iterdir():
            path.rename(server.store.parent / path.name)
        aside.rmdir()


def test_store_moved_away_and_back(server: Server):
    with moved_away(server):
        notices(server)
        everybody_hears_temporary(server)
    all_is_well(server)


def test_store_replaced_by_garbage(server: Server):
    with moved_away(server):
        server.store.write_bytes(b"this is no database\n" * 1000)
        shutil.chown(server.store, user=server.store.parent.stat().st_uid)
        notices(server)
        everybody_hears_temporary(server)
    all_is_well(server)


def restart_serve(server: Server) -> None:
    """Kill the daemon; the supervisor starts another."""
    (pid,) = server.pids("serve")
    os.kill(pid, signal.SIGKILL)
    until("a new daemon runs", lambda: [new for new in server.pids("serve") if new != pid], 60)
    until("the new daemon listens", lambda: connects(server.host("var/spool/postfix/mailhooks/socketmap")), 60)


def connects(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(path))
        except OSError:
            return False
    return True


def test_store_missing_when_the_daemon_starts(server: Server):
    with moved_away(server):
        restart_serve(server)
        everybody_hears_temporary(server)
        assert not server.store.exists()  # serve never makes one
    all_is_well(server)


def test_store_unreadable_when_the_daemon_starts(server: Server):
    owner = server.store.stat()
    files = list(server.store.parent.glob("mailhooks.db*"))
    for path in files:
        os.chown(path, 0, 0)
        path.chmod(0o600)
    try:
        restart_serve(server)
        everybody_hears_temporary(server)
    finally:
        for path in server.store.parent.glob("mailhooks.db*"):
            os.chown(path, owner.st_uid, owner.st_gid)
            path.chmod(owner.st_mode & 0o777)
    all_is_well(server)


def dict_commit(server: Server) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(str(server.host("run/mailhooks/dict")))
        connection.sendall(
            b"H3\t2\t0\t\tquota\nB1\tadam@example1.com\nS1\tpriv/quota/storage\t100\nS1\tpriv/quota/messages\t1\nC1\n"
        )
        return connection.recv(1000)


def test_write_lock_held_by_another_process(server: Server):
    all_is_well(server)
    assert dict_commit(server).startswith(b"O1")
    with server.locked_store():
        deadline = time.monotonic() + LOCK_SECONDS
        while time.monotonic() < deadline:
            assert rcpt(server) == 250
            assert rcpt(server, "nobody") == 550
            assert smtp_login(server) == 235
            assert dict_commit(server).startswith((b"F1\t", b"W1\t"))
            assert imap_login(server) == "OK"
        server.mailhooks("user", "set", "adam@example1.com", "--name", "Adam", code=75)
    until("writes are back", lambda: dict_commit(server).startswith(b"O1"), 15)
    server.mailhooks("user", "set", "adam@example1.com", "--name", "Adam")
    all_is_well(server)


def accepted(server: Server, subject: str) -> bool:
    """Offer a mail as another mail server would; False when it is to be offered again."""
    try:
        server.deliver(subject, "adam@example1.com")
    except smtplib.SMTPRecipientsRefused as refused:
        code = refused.recipients["adam@example1.com"][0]
    except smtplib.SMTPResponseException as refused:
        code = refused.smtp_code
    else:
        return True
    assert code // 100 == 4
    return False


def test_mail_in_flight_survives_the_outage(server: Server):
    """Accepted before, delivered after: nothing lost, nothing bounced."""
    all_is_well(server)
    subjects = [f"in flight {number}" for number in range(5)]
    for subject in subjects:
        # Each smtpd and cleanup keeps its own last failure a while (resolve_clnt.c): a sender tries again.
        until(f"{subject} is accepted", partial(accepted, server, subject), HEAL_SECONDS)
    with moved_away(server):
        notices(server)
        until("the mail waits or has arrived", lambda: all(m["queue_name"] == "deferred" for m in server.postqueue()))
    until("lookups are back", lambda: rcpt(server) == 250, HEAL_SECONDS)
    server.drain()
    assert set(subjects) <= set(server.subjects("adam@example1.com"))
    assert "status=bounced" not in server.log
