"""Scenario 22: what Dovecot keeps in mailhooks' dict, as people with mail programs see it."""

from __future__ import annotations

import contextlib
import imaplib
import json
import smtplib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from own_auth import OwnAuth, own_auth
from server import Q, Server, message, until

ADAM, BOB, CAROL = (f"{name}@example1.com" for name in ("adam", "bob", "carol"))
SETTINGS = {
    "server": {"sieve_dict": True, "metadata": True, "shared_folders": True},
    "server.ports": {"sieve": 0},
    "dict": {"names": ["quota", "lastlogin", "sieve", "metadata", "acl", "passdb", "userdb"]},
}
INTO = 'require ["fileinto", "mailbox"];\nfileinto :create "{}";\n'


@pytest.fixture(scope="module")
def server(machine):
    with Server(machine, settings=SETTINGS, pop3=True) as running:
        running.furnish()
        yield running


@pytest.fixture(scope="module")
def own(server: Server):
    if "ssl_server_cert_file" in server.host("run/mailhooks-stack/dovecot/dovecot.conf").read_text():
        pytest.skip("Dovecot 2.4 has no dict passdb and no quota dict driver")
    with own_auth(server) as running:
        yield running


def rows(server: Server, sql: str) -> list[tuple]:
    with closing(sqlite3.connect(server.store)) as connection:
        return connection.execute(sql).fetchall()


for word in ("GETMETADATA", "SETMETADATA"):
    imaplib.Commands[word] = ("AUTH", "SELECTED")


def command(client: imaplib.IMAP4, name: str, *arguments: str) -> list[bytes]:
    status, said = client.xatom(name, *arguments)
    assert status == "OK", said
    return said


def metadata(client: imaplib.IMAP4, *arguments: str) -> bytes:
    command(client, "GETMETADATA", *arguments)
    found = client.response("METADATA")[1]
    return b" ".join(part if isinstance(part, bytes) else b" ".join(part) for part in found if part)


# --- METADATA


def test_metadata_is_kept_in_the_store_and_is_everybodys_own(server: Server):
    client = server.imap(ADAM)
    assert b" METADATA " in client.capability()[1][0]
    command(client, "SETMETADATA", "INBOX", '(/private/comment "hello \\"w\\"" /shared/comment "for all")')
    assert b'hello \\"w\\"' in metadata(client, "INBOX", "/private/comment") or b'hello "w"' in metadata(
        client, "INBOX", "/private/comment"
    )
    assert b"for all" in metadata(client, "(DEPTH infinity)", "INBOX", "(/shared)")
    client.logout()
    other = server.imap(BOB)
    assert b"hello" not in metadata(other, "INBOX", "/private/comment")
    other.logout()
    kept = rows(server, "SELECT address, substr(key, 1, 5), value FROM attribute ORDER BY key")
    assert kept == [(ADAM, "priv/", 'hello "w"'), (ADAM, "share", "for all")]
    client = server.imap(ADAM)
    command(client, "SETMETADATA", "INBOX", "(/private/comment NIL /shared/comment NIL)")
    client.logout()
    assert rows(server, "SELECT count(*) FROM attribute") == [(0,)]


def test_metadata_beyond_the_limits_of_an_account_is_refused_and_the_session_lives(server: Server):
    client = server.imap(CAROL)
    with closing(sqlite3.connect(server.store)) as connection, connection:
        connection.executemany(
            "INSERT INTO attribute VALUES (?, ?, 'x')", [(CAROL, f"priv/guid/{each}") for each in range(1000)]
        )
    status, _ = client.xatom("SETMETADATA", "INBOX", '(/private/comment "one more")')
    assert status == "NO"
    assert client.noop()[0] == "OK"
    client.logout()
    with closing(sqlite3.connect(server.store)) as connection, connection:
        connection.execute("DELETE FROM attribute")


def test_metadata_that_is_no_text_is_refused_and_the_session_lives(server: Server):
    client = server.imap(CAROL)
    client.send(b"x1 SETMETADATA INBOX (/private/comment {3+}\r\n\xff\xfe\xfd)\r\n")
    while not (line := client.readline()).startswith(b"x1 "):
        assert line
    assert line.startswith(b"x1 NO")
    command(client, "SETMETADATA", "INBOX", '(/private/comment "text")')
    client.logout()
    with closing(sqlite3.connect(server.store)) as connection, connection:
        assert connection.execute("DELETE FROM attribute").rowcount == 1


# --- Shared folders


def listed(server: Server, login: str) -> bytes:
    """Every folder, in a new session: Dovecot keeps what it heard of shares for as long as one."""
    with server.imap(login) as client:
        return b"\n".join(filter(None, client.list('""', '"*"')[1]))


def test_a_shared_folder_is_listed_for_whom_it_is_shared_with_and_nobody_else(server: Server):
    name = f"shared/{ADAM}/Project"
    assert b"Project" not in listed(server, BOB)
    with server.imap(ADAM) as adam:
        adam.create("Project")
        adam.append("Project", None, None, b"Subject: plan\r\n\r\nLet us begin.\r\n")
        assert adam.setacl("Project", BOB, "lr")[0] == "OK"
        command(adam, "SETMETADATA", "Project", '(/shared/comment "for both" /private/comment "mine")')
    assert rows(server, "SELECT reader, owner FROM share") == [(f"user/{BOB}", ADAM)]
    assert name.encode() in listed(server, BOB)
    assert b"Project" not in listed(server, CAROL)
    with server.imap(CAROL) as carol:
        assert carol.select(name, readonly=True)[0] == "NO"
    with server.imap(BOB) as bob:
        assert bob.select(name, readonly=True)[0] == "OK"
        assert b"Let us begin." in bob.fetch("1", "(BODY[])")[1][0][1]
        assert b"for both" in metadata(bob, name, "/shared/comment")
        assert b"mine" not in metadata(bob, name, "/private/comment")
    with server.imap(ADAM) as adam:
        assert adam.deleteacl("Project", BOB)[0] == "OK"
    assert rows(server, "SELECT reader, owner FROM share") == []
    assert b"Project" not in listed(server, BOB)


# --- Sieve


def test_the_active_script_of_the_store_sorts_mail_and_a_changed_one_at_once(server: Server):
    server.mailhooks("sieve", "put", BOB, "mine", given=INTO.format("First"))
    server.deliver("one", BOB)
    server.arrives("one", BOB, "First")
    server.mailhooks("sieve", "put", BOB, "mine", given=INTO.format("Second"))
    server.mailhooks("sieve", "put", BOB, "spare", given=INTO.format("Third"))
    server.deliver("two", BOB)
    server.arrives("two", BOB, "Second")
    server.deliver("three", BOB)  # from what is compiled
    server.arrives("three", BOB, "Second")
    server.mailhooks("sieve", "activate", BOB, "spare")
    server.deliver("four", BOB)
    server.arrives("four", BOB, "Third")
    server.mailhooks("sieve", "activate", BOB, "--none")
    server.deliver("five", BOB)
    server.arrives("five", BOB)


def test_a_script_that_does_not_compile_is_not_stored(server: Server):
    server.mailhooks("sieve", "put", BOB, "broken", given='require "nonsense";\n', code=2)
    assert "broken" not in server.mailhooks("sieve", "list", BOB)


# --- While the store is away


@contextlib.contextmanager
def store_away(server: Server, known: Callable[[], object]) -> Iterator[None]:
    """Move the store aside until the end, and wait until ``known`` tells that this was noticed."""
    away = server.store.with_name("away.db")
    server.store.rename(away)
    try:
        until("the outage is noticed", known)
        yield
    finally:
        away.rename(server.store)


def unavailable(server: Server) -> bool:
    return ask(server, 0, "sieve", "priv/sieve/name/active", BOB).startswith("F")


def test_mail_waits_while_the_script_cannot_be_asked_for_and_is_not_filed_without_it(server: Server):
    server.mailhooks("sieve", "put", BOB, "outage", given=INTO.format("Sorted"))
    server.mailhooks("sieve", "activate", BOB, "outage")
    client = smtplib.LMTP(str(server.host("run/dovecot/lmtp")))
    client.ehlo("client.test")
    client.mail("joe@sender.test")
    assert client.rcpt(BOB)[0] == 250  # the userdb is asked here, and the dict only when the mail is whole
    with store_away(server, lambda: unavailable(server)):
        code, said = client.data(message("kept waiting", to=BOB).as_bytes())
        assert code // 100 == 4, said
    client.close()
    until("the store is back", lambda: not unavailable(server))
    server.deliver("sorted afterwards", BOB)
    server.arrives("sorted afterwards", BOB, "Sorted")
    assert "kept waiting" not in server.subjects(BOB) + server.subjects(BOB, "Sorted")
    server.mailhooks("sieve", "activate", BOB, "--none")


def test_a_session_hears_no_while_the_store_is_away_and_goes_on(server: Server):
    client = server.imap(CAROL)
    client.create("Plans")
    command(client, "SETMETADATA", "INBOX", '(/private/comment "before")')
    with store_away(server, lambda: unavailable(server)):
        assert client.xatom("SETMETADATA", "INBOX", '(/private/comment "during")')[0] == "NO"
        assert client.xatom("GETMETADATA", "INBOX", "/private/comment")[0] == "NO"
        assert client.xatom("GETMETADATA", "(DEPTH infinity)", "INBOX", "(/private)")[0] == "NO"
        assert client.setacl("Plans", BOB, "lr")[0] == "OK"  # its own file is written, and an error is in the log
        assert client.noop()[0] == "OK"
    until("the store is back", lambda: not unavailable(server))
    assert b"before" in metadata(client, "INBOX", "/private/comment")
    after = ("SETMETADATA", "INBOX", '(/private/comment "after")')
    until("writes are back", lambda: client.xatom(*after)[0] == "OK")
    assert b"after" in metadata(client, "INBOX", "/private/comment")
    assert rows(server, "SELECT reader, owner FROM share") == []
    client.deleteacl("Plans", BOB)  # to give what stands in the file already changes nothing
    client.setacl("Plans", BOB, "lr")
    assert rows(server, "SELECT reader, owner FROM share") == [(f"user/{BOB}", CAROL)]
    client.deleteacl("Plans", BOB)
    client.logout()


# --- Last logins


def test_last_logins_are_told_apart_by_service(server: Server):
    server.imap(CAROL).logout()

    def services() -> set[str]:
        shown = json.loads(server.mailhooks("user", "show", CAROL, "--json"))
        return set(shown["last_login"] or ())

    until("the login is told", lambda: "imap" in services())
    assert "pop3" not in services()


# --- Who may ask


ASK = """
use IO::Socket::UNIX;
my $dict = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die "no connection: $!";
print $dict "H3\\t2\\t0\\t\\t$ARGV[1]\\nL$ARGV[2]\\t$ARGV[3]\\n";
$dict->flush; shutdown($dict, 1); print <$dict>;
"""


def ask(server: Server, uid: int, name: str, key: str, user: str) -> str:
    """Ask the dict as another user of the machine, who is in the group of the mail users."""
    gid = ("--regid", "5000", "--clear-groups")
    done = server.machine.run(
        *("setpriv", "--reuid", str(uid), *gid, "perl", "-e", ASK, f"{server.root}/run/mailhooks/dict"),
        *(name, key, user),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_uid_of_the_peer_decides_what_it_hears(server: Server):
    script = ("sieve", "priv/sieve/name/spare", BOB)
    assert ask(server, 5000, *script).startswith("O")
    assert ask(server, 0, *script).startswith("O")
    assert ask(server, 5001, *script).startswith("F")
    secret = ("passdb", f"shared/passdb/{BOB}", BOB)
    assert '"password"' in ask(server, 0, *secret)
    for uid in (5000, 5001):
        assert ask(server, uid, *secret).startswith("F")
        assert ask(server, uid, "userdb", f"shared/userdb/{BOB}", BOB).startswith("F")


def test_very_many_connections_of_one_operation_each(server: Server):
    answers: list[str] = []

    def client() -> None:
        loop = "for my $i (1..500) { my $d = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die; "
        loop += (
            'print $d "H3\\t2\\t0\\t\\tquota\\nLpriv/quota/storage\\tnobody\\@example1.com\\n"; print scalar <$d>; }'
        )
        program = ("perl", "-MIO::Socket::UNIX", "-e", loop, f"{server.root}/run/mailhooks/dict")
        answers.append(server.machine.run(*program).stdout)

    threads = [threading.Thread(target=client) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["N\n" * 500] * 4


# --- A Dovecot 2.3 that keeps its own auth process


def test_own_auth_logs_in_by_the_dict(own: OwnAuth, server: Server):
    own.imap(ADAM).logout()
    with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
        own.imap(ADAM, "wrong")
    with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
        own.imap("nobody@example1.com")
    server.mailhooks("user", "set", CAROL, "--allow", "pop3,smtp")
    with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
        own.imap(CAROL)
    server.mailhooks("user", "set", CAROL, "--allow", "all")
    own.imap(CAROL).logout()
    assert own.doveadm("auth", "test", ADAM, Q).returncode == 0


def test_own_auth_knows_and_lists_users(own: OwnAuth):
    assert own.doveadm("user", ADAM).stdout.split("\n")[1].split() == ["uid", "5000"]
    assert own.doveadm("user", "nobody@example1.com").returncode != 0
    listed = own.doveadm("user", "*").stdout.split()
    assert {ADAM, BOB, CAROL, "bob@example2.com"} <= set(listed)


def test_an_outage_is_temporary_to_own_auth(own: OwnAuth, server: Server):
    with (
        store_away(server, lambda: own.doveadm("user", ADAM).returncode),
        pytest.raises(imaplib.IMAP4.error, match="UNAVAILABLE"),
    ):
        own.imap(ADAM)
    until("the store is back", lambda: own.doveadm("user", ADAM).returncode == 0)


def test_the_quota_dict_driver_adds_subtracts_and_counts_anew(own: OwnAuth, server: Server):
    server.mailhooks("user", "set", ADAM, "--quota", "3K")

    def used() -> list[tuple]:
        return rows(server, f"SELECT storage, messages FROM usage WHERE address = '{ADAM}'")

    with closing(sqlite3.connect(server.store)) as connection, connection:
        connection.execute("DELETE FROM usage")
    mail = b"Subject: x\r\n\r\n" + b"y" * 986  # 1,000 bytes
    client = own.imap(ADAM)
    client.append("INBOX", None, None, mail)
    until("the first is counted", lambda: used() == [(1000, 1)])
    client.append("INBOX", None, None, mail)
    until("the second is added", lambda: used() == [(2000, 2)])
    assert b"STORAGE 2 3" in b" ".join(client.getquotaroot("INBOX")[1][1])
    client.append("INBOX", None, None, mail)
    assert b"OVERQUOTA" in client.append("INBOX", None, None, mail)[1][0]
    client.select("INBOX")
    client.store("1:2", "+FLAGS", "\\Deleted")
    client.expunge()
    client.logout()
    until("two are taken off", lambda: used() == [(1000, 1)])
    with closing(sqlite3.connect(server.store)) as connection, connection:
        connection.execute("DELETE FROM usage")
    client = own.imap(ADAM)
    client.append("INBOX", None, None, mail)
    client.logout()
    until("it is counted anew", lambda: used() == [(2000, 2)])
    server.mailhooks("user", "set", ADAM, "--quota", "default")


def test_neither_dovecot_complains_about_the_dict(server: Server, request: pytest.FixtureRequest):
    logs = server.log
    if "own" in request.fixturenames or server.host("own/log").exists():
        logs += server.host("own/log").read_text(errors="replace")
    for line in logs.splitlines():
        assert not ("dict" in line and ("Panic" in line or "BUG" in line or "broken" in line)), line
    assert "Panic" not in logs
    assert "signal 11" not in logs
