"""Scenario 3: who may log in to submit mail, and how."""

from __future__ import annotations

import base64
import smtplib
import subprocess

import pytest
from server import Q, Server


def login_by(client: smtplib.SMTP, mechanism: str, user: str, password: str) -> tuple[int, bytes]:
    client.user, client.password = user, password
    return client.auth(mechanism, getattr(client, f"auth_{mechanism.lower()}"))


@pytest.mark.parametrize("service", ["submission", "submissions"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_login_and_submit(server: Server, service: str, mechanism: str):
    subject = f"{service} {mechanism}"
    with server.smtp(service) as client:
        assert login_by(client, mechanism, "adam@example1.com", Q)[0] == 235
        client.sendmail("adam@example1.com", ["bob@example1.com"], f"Subject: {subject}\r\n\r\nhello\r\n")
    server.arrives(subject, "bob@example1.com")


@pytest.mark.parametrize(
    ("service", "options"),
    [
        ("smtp", ("--from", "joe@sender.test")),
        ("submission", ("--tls", "--auth-user", "adam@example1.com", "--from", "adam@example1.com")),
        ("submissions", ("--tls-on-connect", "--auth-user", "adam@example1.com", "--from", "adam@example1.com")),
    ],
)
def test_swaks_as_the_demo_prints_it(server: Server, service: str, options: tuple[str, ...]):
    subject = f"swaks to {service}"
    where = ("swaks", "--server", f"127.0.0.1:{server.port[service]}", "--to", "bob@example1.com")
    password = ("--auth-password", Q) if "--auth-user" in options else ()  # else swaks asks for it
    command = (*where, *options, *password, "--header", f"Subject: {subject}", "--timeout", "60")
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    server.arrives(subject, "bob@example1.com")


@pytest.mark.parametrize("service", ["submission", "submissions"])
def test_submission_without_login_is_refused(server: Server, service: str):
    with server.smtp(service) as client:
        client.mail("adam@example1.com")
        code, _ = client.rcpt("bob@example1.com")
        assert code in (530, 550, 553, 554)


@pytest.mark.parametrize("user", ["adam@example1.com", "nobody@example1.com", "adam@elsewhere.test", "adam"])
def test_wrong_password_and_unknown_user_hear_the_same(server: Server, user: str):
    with server.smtp("submission") as client, pytest.raises(smtplib.SMTPAuthenticationError) as refused:
        login_by(client, "PLAIN", user, "wrong")
    assert refused.value.smtp_code == 535


@pytest.mark.parametrize(
    ("state", "smtp", "imap"),
    [("no-login", 535, False), ("no-send", 535, True), ("closed", 535, False), ("send-only", 235, True)],
)
def test_states(server: Server, state: str, smtp: int, imap: bool):
    address = f"state-{state}@example1.com"
    server.add_user(address)
    server.mailhooks("user", "set", address, "--state", state, "--reason", "by order")
    with server.smtp("submission") as client:
        try:
            code = login_by(client, "PLAIN", address, Q)[0]
        except smtplib.SMTPAuthenticationError as refused:
            code = refused.smtp_code
    assert code == smtp
    if imap:
        server.imap(address).logout()
    else:
        with pytest.raises(Exception, match=r"AUTHENTICATIONFAILED|CONTACTADMIN|ALERT|by order"):
            server.imap(address)


def test_app_password_limited_to_imap_does_not_submit(server: Server):
    server.add_user("gerd@example1.com")
    secret = server.mailhooks(
        "app-password", "add", "gerd@example1.com", "--label", "phone", "--services", "imap"
    ).split()[-1]
    server.imap("gerd@example1.com", secret).logout()
    with server.smtp("submission") as client, pytest.raises(smtplib.SMTPAuthenticationError):
        login_by(client, "PLAIN", "gerd@example1.com", secret)
    server.mailhooks("app-password", "revoke", "gerd@example1.com", "--label", "phone")
    with pytest.raises(Exception, match="AUTHENTICATIONFAILED"):
        server.imap("gerd@example1.com", secret)


def test_no_auth_before_starttls(server: Server):
    client = smtplib.SMTP("127.0.0.1", server.port["submission"], timeout=60)
    client.ehlo()
    assert not client.has_extn("auth")
    token = base64.b64encode(f"\0adam@example1.com\0{Q}".encode()).decode()
    assert client.docmd("AUTH", f"PLAIN {token}")[0] >= 500
    client.close()


def test_no_auth_on_port_25(server: Server):
    with server.smtp() as client:
        assert not client.has_extn("auth")
        client.starttls()
        client.ehlo()
        assert not client.has_extn("auth")


def test_changed_password_is_live(server: Server):
    server.add_user("hans@example1.com")
    server.submit("hans@example1.com").quit()
    server.mailhooks("user", "passwd", "hans@example1.com", "--password-stdin", given="other-8\n")
    with pytest.raises(smtplib.SMTPAuthenticationError):
        server.submit("hans@example1.com")
    server.submit("hans@example1.com", "other-8").quit()
