"""Scenario 30: each policy rule refuses what it should, and in shadow mode only says that it would."""

from __future__ import annotations

import contextlib
import os
import signal
import smtplib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from server import Q, Server, message, trusting, until

OUTSIDE = "joe@sender.test"
SUBMISSION = ["breaker", "sender_ownership", "recipient_access", "list_posting", "quota", "limits"]
SMTP = ["flood", "recipient_access", "list_posting", "quota"]


@contextlib.contextmanager
def policy(server: Server, **settings: object) -> Iterator[None]:
    """Have the running daemon take these keys of [policy], and afterwards the defaults again."""
    _reload(server, settings)
    try:
        yield
    finally:
        _reload(server, {})


def _reload(server: Server, settings: dict[str, object]) -> None:
    texts = settings.pop("texts", {})
    server.settings["policy"] = settings
    server.settings["policy.texts"] = texts
    server._write_configuration()
    said = server.log.count("configuration read again")
    for pid in server.pids("serve"):
        os.kill(pid, signal.SIGHUP)
    until("the configuration is read", lambda: server.log.count("configuration read again") > said)


@contextlib.contextmanager
def client(server: Server, login: str = "", source: str = "127.0.0.1", password: str = Q) -> Iterator[smtplib.SMTP]:
    """Connect as another server, or with a login as a mail program, from an address of the loopback network."""
    service = "submission" if login else "smtp"
    with smtplib.SMTP("127.0.0.1", server.port[service], "client.test", 60, source_address=(source, 0)) as opened:
        opened.ehlo()
        if login:
            opened.starttls(context=trusting())
            opened.ehlo()
            opened.login(login, password)
        yield opened


def rcpt(
    server: Server, recipient: str, *, sender: str = OUTSIDE, login: str = "", size: int = 0, source: str = "127.0.0.1"
) -> tuple[int, bytes]:
    with client(server, login, source) as session:
        code, text = session.mail(sender, [f"SIZE={size}"] if size else [])
        return session.rcpt(recipient) if code == 250 else (code, text)


def submit(server: Server, login: str, *recipients: str) -> tuple[int, bytes]:
    """Send one mail to all recipients, all of which must be taken; return the reply at its end."""
    with client(server, login) as session:
        session.mail(login)
        for recipient in recipients:
            code, text = session.rcpt(recipient)
            assert code == 250, text
        return session.data(message("policy", sender=login).as_bytes())


def used(server: Server, user: str) -> int:
    line = server.mailhooks("limit", "show", user).splitlines()[0]
    return int(line.split("\t")[2])


@pytest.fixture
def user(server: Server, request: pytest.FixtureRequest) -> str:
    """Make an account for one test."""
    address = f"u{abs(hash(request.node.nodeid)) % 10**8}@example1.com"
    server.add_user(address)
    return address


def test_sender_ownership(server: Server, user: str):
    outside = {"sender": "boss@elsewhere.test", "login": user}
    assert rcpt(server, "adam@example1.com", **outside)[0] == 553
    with policy(server, shadow=["sender_ownership"]):
        # smtpd_sender_login_maps still refuses it: in shadow mode the rule only says so
        assert rcpt(server, "adam@example1.com", **outside)[0] == 553
        assert rcpt(server, "adam@example1.com", sender="", login=user)[0] == 250
        assert "rule sender_ownership would say reject (shadow)" in server.log
    code, text = rcpt(server, "adam@example1.com", sender="", login=user)
    assert (code, b"empty sender" in text) == (553, True)


def test_recipient_access(server: Server, user: str):
    server.mailhooks("user", "set", user, "--state", "closed")
    assert rcpt(server, user)[0] == 550
    with policy(server, shadow=["recipient_access"]):
        assert rcpt(server, user)[0] == 250
        assert "rule recipient_access would say reject (shadow)" in server.log


def test_list_posting(server: Server, user: str):
    name = f"list-{user}"
    server.mailhooks("alias", "add", name, user, "adam@example1.com", "bob@example1.com", "--posting", "members")
    code, text = rcpt(server, name)
    assert (code, b"only members" in text) == (550, True)
    assert rcpt(server, name, sender=user)[0] == 250
    with policy(server, shadow=["list_posting"]):
        assert rcpt(server, name)[0] == 250
        assert "rule list_posting would say reject (shadow)" in server.log


def test_quota(server: Server, user: str):
    server.mailhooks("user", "set", user, "--quota", "20K")
    assert rcpt(server, user, size=30_000)[0] == 552
    with policy(server, shadow=["quota"]):
        assert rcpt(server, user, size=30_000)[0] == 250
        assert "rule quota would say reject (shadow)" in server.log


def test_several_mails_under_way_do_not_overrun_the_quota(server: Server, user: str):
    server.mailhooks("user", "set", user, "--quota", "20K")
    body = ("y" * 70 + "\n") * 90  # with headers 6.8 kB
    codes = []
    for number in range(8):
        with client(server) as session:
            try:
                session.send_message(message(f"flight {number}", body=body), OUTSIDE, [user])
                codes.append(250)
            except smtplib.SMTPResponseException as refused:
                codes.append(refused.smtp_code)
            except smtplib.SMTPRecipientsRefused as refused:
                codes.append(refused.recipients[user][0])
    assert set(codes) - {452, 552} == {250}  # 452 while it is under way, 552 once it is counted
    assert codes[:2] == [250, 250]
    assert codes[-1] != 250
    assert codes.count(250) <= 3


def test_limits(server: Server, user: str):
    server.mailhooks("limit", "set", user, "--recipients", "3/1h,100/1d")
    assert submit(server, user, "adam@example1.com", "bob@example1.com")[0] == 250
    assert submit(server, user, "carol@example1.com")[0] == 250
    code, text = rcpt(server, "adam@example1.com", sender=user, login=user)
    assert (code, b"3/1h" in text, b"minutes" in text) == (450, True, True)
    with policy(server, limit_action="refuse", texts={"limit_user": "enough of {limit}"}):
        code, text = rcpt(server, "adam@example1.com", sender=user, login=user)
        assert (code, b"enough of 3/1h" in text) == (550, True)
    with policy(server, shadow=["limits"]):
        assert submit(server, user, "adam@example1.com")[0] == 250
        assert "rule limits would say reject (shadow)" in server.log
    server.mailhooks("limit", "set", user, "--recipients", "10/1h")
    assert submit(server, user, "adam@example1.com")[0] == 250


def test_end_of_message_with_several_recipients_counts_each(server: Server, user: str):
    server.mailhooks("limit", "set", user, "--recipients", "4/1h")
    assert submit(server, user, "adam@example1.com", "bob@example1.com", "carol@example1.com")[0] == 250
    until("it is saved", lambda: used(server, user) == 3, 10)


def test_recipients_of_one_message_and_refused_mail(server: Server, user: str):
    server.mailhooks("limit", "set", user, "--recipients", "2/1h")
    with client(server, user) as session:
        session.mail(user)
        codes = [session.rcpt(f"{each}@example1.com")[0] for each in ("adam", "nobody-at-all", "bob", "carol")]
        assert codes == [250, 550, 250, 450]
        session.rset()
        session.mail(user)
        assert session.rcpt("adam@example1.com")[0] == 250  # nothing was sent, nothing counts
    server.mailhooks("limit", "set", "@example2.com", "--recipients", "1/1h")
    assert submit(server, "adam@example2.com", "bob@example1.com")[0] == 250
    code, text = rcpt(server, "adam@example1.com", sender="bob@example2.com", login="bob@example2.com")
    assert (code, b"your domain" in text) == (450, True)
    server.mailhooks("limit", "unset", "@example2.com")
    assert submit(server, "bob@example2.com", "bob@example1.com")[0] == 250


def nothing_is_left(server: Server, user: str) -> bool:
    """Whether the store knows that a limit is used up: ``limit show`` ends with 1 then."""
    try:
        server.mailhooks("limit", "show", user, code=1)
    except AssertionError:
        return False
    return True


def test_counts_survive_kill_9(server: Server, user: str):
    server.mailhooks("limit", "set", user, "--recipients", "2/1h")
    assert submit(server, user, "adam@example1.com", "bob@example1.com")[0] == 250
    until("the counts are saved", lambda: nothing_is_left(server, user))  # at most the last second may be lost
    (pid,) = server.pids(" serve")
    os.kill(pid, signal.SIGKILL)
    until("another daemon runs", lambda: [each for each in server.pids(" serve") if each != pid])
    until("it refuses", lambda: _code(server, user) == 450)


def _code(server: Server, user: str) -> int:
    try:
        return rcpt(server, "adam@example1.com", sender=user, login=user)[0]
    except (smtplib.SMTPException, OSError):
        return 0


def test_fifty_sessions_at_once_do_not_overrun_a_limit(server: Server, user: str):
    server.mailhooks("limit", "set", user, "--recipients", "20/1h")
    together = threading.Barrier(50)
    results: list[int] = []

    def one() -> None:
        try:
            with client(server, user) as session:
                session.mail(user)
                taken, _ = session.rcpt("bob@example1.com")
                together.wait(120)
                results.append(session.data(message("many", sender=user).as_bytes())[0] if taken == 250 else taken)
        except (smtplib.SMTPException, OSError) as error:
            together.abort()
            results.append(getattr(error, "smtp_code", 0))

    threads = [threading.Thread(target=one) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(200)
    assert sorted(results) == [250] * 20 + [450] * 30


def test_breaker(server: Server, user: str):
    everybody = ["adam@example1.com", "bob@example1.com", "carol@example1.com"]
    with policy(server, submission=SUBMISSION, breaker_recipients=2, shadow=["breaker"]):
        assert submit(server, "carol@example1.com", *everybody)[0] == 250
        assert rcpt(server, "adam@example1.com", sender="carol@example1.com", login="carol@example1.com")[0] == 250
        assert "carol@example1.com would be suspended (shadow)" in server.log
    with policy(server, submission=SUBMISSION, breaker_recipients=2):
        with client(server, user) as session:
            session.mail(user)
            assert [session.rcpt(each)[0] for each in everybody] == [250, 250, 250]
            assert session.rcpt("adam@example1.com")[0] == 550  # within the session
        code, text = rcpt(server, "adam@example1.com", sender=user, login=user)
        assert (code, b"sending is suspended" in text) == (550, True)
        server.imap(user).logout()  # reading goes on
        assert f"{user} may not send any more: 3 recipients within an hour" in server.log
        until("it is written", lambda: "suspended" in server.mailhooks("user", "show", user))
        assert "limit trip" in server.mailhooks("audit")
        server.mailhooks("limit", "lift", user)
        assert rcpt(server, "adam@example1.com", sender=user, login=user)[0] == 250


def test_breaker_by_networks_and_by_refused_recipients(server: Server, user: str):
    with policy(server, submission=SUBMISSION, breaker_networks=3, breaker_refused=0.5):
        for number in range(3):
            assert rcpt(server, "adam@example1.com", sender=user, login=user, source=f"127.0.{number}.1")[0] == 250
        assert rcpt(server, "adam@example1.com", sender=user, login=user)[0] == 550
        server.mailhooks("user", "set", user, "--state", "active")
        for part in range(2):  # smtpd itself ends a session after 20 errors
            with client(server, user) as session:
                session.mail(user)
                codes = [session.rcpt(f"nobody{part}-{number}@example1.com")[0] for number in range(10)]
                assert codes == [550] * 10
        code, text = rcpt(server, "adam@example1.com", sender=user, login=user)
        assert (code, b"sending is suspended" in text) == (550, True)


def test_breaker_names_the_app_password(server: Server, user: str):
    secret = server.mailhooks("app-password", "add", user, "--label", "old phone").split()[-1]
    with policy(server, submission=SUBMISSION, breaker_recipients=1):
        with client(server, user, password=secret) as session:
            session.mail(user)
            for each in ("adam@example1.com", "bob@example1.com"):
                assert session.rcpt(each)[0] == 250
        assert f"{user} may not send any more: 2 recipients within an hour, last with the app password 'old phone'" in (
            server.log
        )


def test_flood(server: Server):
    strangers = [f"nobody{number}@example1.com" for number in range(5)]
    with policy(server, smtp=SMTP, flood_session=3, shadow=["flood"]), client(server, source="127.0.9.1") as session:
        session.mail(OUTSIDE)
        assert [session.rcpt(each)[0] for each in strangers] == [550] * 5
        assert session.rcpt("adam@example1.com")[0] == 250
        assert "rule flood would say reject (shadow)" in server.log
    with policy(server, smtp=SMTP, flood_session=3, flood_unknown=100):
        with client(server, source="127.0.10.1") as session:
            session.mail(OUTSIDE)
            assert [session.rcpt(each)[0] for each in strangers[:3]] == [550] * 3
            assert session.rcpt("adam@example1.com")[0] == 421
        assert rcpt(server, "adam@example1.com", source="127.0.10.1")[0] == 250
    with policy(server, smtp=SMTP, flood_session=0, flood_unknown=4):
        for each in strangers[:4]:
            assert rcpt(server, each, source="127.0.11.1")[0] == 550
        assert rcpt(server, "adam@example1.com", source="127.0.11.1")[0] == 450
        assert rcpt(server, "adam@example1.com", source="127.0.12.1")[0] == 250


def test_store_away_is_put_off_and_back_is_normal(server: Server):
    path = server.store
    away = path.with_name("away.db")
    names = [Path(f"{path}{end}") for end in ("", "-wal", "-shm") if Path(f"{path}{end}").exists()]
    for name in names:
        name.rename(str(name).replace("mailhooks.db", away.name))
    try:
        until("the store is missed", lambda: _ask(server).startswith("action=DEFER_IF_PERMIT 4.3.0 "), 10)
        assert rcpt(server, "adam@example1.com")[0] == 451
    finally:
        for name in names:
            Path(str(name).replace("mailhooks.db", away.name)).rename(name)
    until("the store is back", lambda: _ask(server) == "action=DUNNO\n\n", 20)
    until("all tables answer", lambda: rcpt(server, "adam@example1.com")[0] == 250, 20)


def _ask(server: Server) -> str:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(str(server.host("var/spool/postfix/mailhooks/policy")))
        connection.sendall(
            b"request=smtpd_access_policy\nprotocol_state=RCPT\nsender=a=b@sender.test\nqueue_id=\nnew_in_postfix_9=x=y\n"
            b"recipient=adam@example1.com\npolicy_context=smtp\n\n"
        )
        return connection.recv(4096).decode()
