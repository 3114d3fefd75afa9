"""Scenario 21: SCRAM, master users, other login names, networks, and what an admin does with doveadm."""

from __future__ import annotations

import base64
import imaplib
import poplib
import smtplib

import pytest
from scramp import ScramClient, ScramException
from server import Q, Server, trusting, until

ADAM, BOB, CAROL = "adam@example1.com", "bob@example1.com", "carol@example1.com"
ADMIN = "admin@example1.com"
MECHANISMS = ["SCRAM-SHA-256", "SCRAM-SHA-1"]


class Dialogue:
    """A SCRAM client that says its part when asked."""

    def __init__(self, mechanism: str, user: str, password: str) -> None:
        self.client = ScramClient([mechanism], user, password)
        self.asked = ""
        self._turn = 0

    def answer(self, challenge: bytes | None = None) -> str:
        self._turn += 1
        if self._turn == 1:
            assert not challenge
            return self.client.get_client_first()
        assert challenge is not None
        if self._turn == 2:
            self.asked = challenge.decode()
            self.client.set_server_first(self.asked)
            return self.client.get_client_final()
        self.client.set_server_final(challenge.decode())  # the server knows the keys
        return ""


@pytest.fixture(scope="module")
def server(machine):
    settings = {"auth": {"scram": True, "alias_login": True, "master_users": [ADMIN]}, "throttle": {"enabled": False}}
    with Server(machine, settings, pop3=True) as running:
        running.furnish()
        running.add_user(ADMIN, password="admin-secret")
        yield running


def imap(server: Server) -> imaplib.IMAP4_SSL:
    return imaplib.IMAP4_SSL("127.0.0.1", server.port["imaps"], ssl_context=trusting(), timeout=60)


def scram(server: Server, user: str, password: str = Q, mechanism: str = "SCRAM-SHA-256") -> Dialogue:
    """Log in over IMAP; the server has proved itself when this returns."""
    client, dialogue = imap(server), Dialogue(mechanism, user, password)
    try:
        client.authenticate(mechanism, lambda challenge: dialogue.answer(challenge).encode())
        assert client.select("INBOX")[0] == "OK"
    finally:
        client.shutdown()
    assert dialogue.client.stage == 4
    return dialogue


# SCRAM


def test_all_clients_are_offered_scram(server: Server):
    client = imap(server)
    assert {f"AUTH={mechanism}" for mechanism in MECHANISMS} <= set(client.capabilities)
    client.shutdown()
    with server.smtp("submission") as smtp:
        assert set(MECHANISMS) <= set(smtp.esmtp_features["auth"].split())


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_imap(server: Server, mechanism):
    assert scram(server, ADAM, mechanism=mechanism).asked.endswith(",i=65536")


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_submission(server: Server, mechanism):
    dialogue = Dialogue(mechanism, ADAM, Q)
    with server.smtp("submission") as client:
        assert client.auth(mechanism, dialogue.answer)[0] == 235
        client.sendmail(ADAM, [BOB], "Subject: sent after SCRAM\r\n\r\nHello.\r\n")
    assert dialogue.client.stage == 4
    server.arrives("sent after SCRAM", BOB)


def test_pop3(server: Server):
    client = poplib.POP3_SSL("127.0.0.1", server.port["pop3s"], context=trusting(), timeout=60)
    dialogue, heard = Dialogue("SCRAM-SHA-256", ADAM, Q), client._shortcmd("AUTH SCRAM-SHA-256")
    while heard.startswith(b"+ "):
        heard = client._shortcmd(base64.b64encode(dialogue.answer(base64.b64decode(heard[2:])).encode()).decode())
    assert heard.startswith(b"+OK")
    assert dialogue.client.stage == 4
    client.quit()


def test_a_wrong_password(server: Server):
    with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
        scram(server, ADAM, "wrong")
    with server.smtp("submission") as client, pytest.raises(smtplib.SMTPAuthenticationError) as refused:
        client.auth("SCRAM-SHA-256", Dialogue("SCRAM-SHA-256", ADAM, "wrong").answer)
    assert refused.value.smtp_code == 535


def test_who_has_no_keys_is_asked_as_anybody_and_refused_like_a_wrong_password(server: Server):
    hashed = "{PLAIN}" + Q
    server.mailhooks("user", "add", "keyless@example1.com", "--hash-stdin", given=hashed + "\n")
    asked = []
    for user in ("keyless@example1.com", "nobody@example1.com", "nobody@example1.com"):
        dialogue, client = Dialogue("SCRAM-SHA-256", user, Q), imap(server)
        with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
            client.authenticate("SCRAM-SHA-256", lambda challenge, say=dialogue: say.answer(challenge).encode())
        client.shutdown()
        asked.append(dialogue.asked.partition(",s=")[2])
    assert asked[1] == asked[2]
    assert {text.partition(",i=")[2] for text in asked} == {"65536"}
    assert len({len(text) for text in asked}) == 1
    server.imap("keyless@example1.com").logout()


def test_a_new_password_has_new_keys(server: Server):
    server.add_user("dora@example1.com")
    scram(server, "dora@example1.com")
    server.mailhooks("user", "passwd", "dora@example1.com", "--password-stdin", given="another-9\n")
    with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
        scram(server, "dora@example1.com")
    scram(server, "dora@example1.com", "another-9")


def test_the_client_knows_a_false_server():
    client = Dialogue("SCRAM-SHA-256", ADAM, Q)
    client.answer()
    with pytest.raises(ScramException):
        client.answer(b"r=made-up,s=QSXCR+Q6sek8bf92,i=4096")


# Other names


def test_logins_by_other_addresses_of_the_account(server: Server):
    for name in ("office@example1.com", "adam+work@example1.com"):
        client = server.imap(name)
        client.select("INBOX")
        client.logout()
    for name in ("team@example1.com", "whoever@example2.com"):
        with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
            server.imap(name)
    until("Dovecot logs the account", lambda: f"user=<{ADAM}>" in server.log)
    with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
        scram(server, "office@example1.com")  # the account's own address only: its salt would tell whose alias it is
    with server.submit("office@example1.com") as client:
        client.sendmail(ADAM, [BOB], "Subject: sent by the alias\r\n\r\nHello.\r\n")
    server.arrives("sent by the alias", BOB)


def test_a_master_user_reads_and_does_not_send(server: Server):
    server.deliver("for carol only", CAROL)
    server.arrives("for carol only", CAROL)
    assert b"for carol only" in b"".join(server.mails(f"{CAROL}*{ADMIN}", password="admin-secret"))
    scram(server, f"{CAROL}*{ADMIN}", "admin-secret")
    with pytest.raises(smtplib.SMTPAuthenticationError):
        server.submit(f"{CAROL}*{ADMIN}", "admin-secret")
    for login, password in (
        (f"{CAROL}*{ADMIN}", Q),
        (f"{CAROL}*{BOB}", Q),
        (f"no@example1.com*{ADMIN}", "admin-secret"),
    ):
        with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
            server.imap(login, password)
    written = server.mailhooks("audit", "--json")
    assert '"login as"' in written
    assert f"imap by {ADMIN}" in written


def test_an_account_that_logs_in_from_some_networks_only(server: Server):
    server.add_user("nick@example1.com")
    server.mailhooks("user", "set", "nick@example1.com", "--networks", "192.0.2.0/24")
    for login in (lambda: server.imap("nick@example1.com"), lambda: scram(server, "nick@example1.com")):
        with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
            login()
    server.mailhooks("user", "set", "nick@example1.com", "--networks", "192.0.2.0/24,127.0.0.0/8")
    server.imap("nick@example1.com").logout()
    scram(server, "nick@example1.com")


# doveadm


def test_doveadm_auth(server: Server):
    assert server.doveadm("auth", "test", ADAM, Q).returncode == 0
    assert server.doveadm("auth", "test", ADAM, "wrong").returncode != 0
    login = server.doveadm("auth", "login", ADAM, Q)
    assert login.returncode == 0, login.stderr
    assert "uid=5000" in login.stdout.replace(" ", "").replace(":", "=")
    assert server.doveadm("auth", "lookup", ADAM).returncode == 0
    assert server.doveadm("auth", "lookup", "nobody@example1.com").returncode != 0
    assert "cache entries flushed" in server.doveadm("auth", "cache", "flush").stdout
    assert "cache entries flushed" in server.doveadm("auth", "cache", "flush", ADAM).stdout


def test_doveadm_user_and_all_users(server: Server):
    assert "5000" in server.doveadm("user", ADAM).stdout
    assert server.doveadm("user", "nobody@example1.com").returncode != 0
    listed = server.doveadm("user", "*").stdout.split()
    assert {ADAM, BOB, "bob@example2.com"} <= set(listed)
    assert set(server.doveadm("user", "adam@*").stdout.split()) == {ADAM, "adam@example2.com"}
    everybody = server.doveadm("-f", "tab", "quota", "get", "-A")
    assert everybody.returncode == 0, everybody.stderr
    assert ADAM in everybody.stdout


def is_open(client: imaplib.IMAP4) -> bool:
    try:
        return client.noop()[0] == "OK"
    except (imaplib.IMAP4.abort, OSError):
        return False


def test_doveadm_who_and_kick(server: Server):
    client = server.imap(BOB)
    until("who shows the session", lambda: BOB in server.doveadm("who").stdout)
    assert server.doveadm("kick", BOB).returncode == 0
    until("the session is over", lambda: not is_open(client))
    client.shutdown()


@pytest.mark.parametrize(
    ("command", "given"),
    [
        (("user", "set", "{}", "--state", "no-login"), None),
        (("user", "passwd", "{}", "--password-stdin"), "other-7\n"),
        (("app-password", "revoke", "{}", "--label", "phone"), None),
    ],
)
def test_what_was_taken_away_is_gone_at_once(server: Server, command, given):
    user = f"{command[1]}@example1.com"
    server.add_user(user)
    server.mailhooks("app-password", "add", user, "--label", "phone")
    client, other = server.imap(user), server.imap(BOB)
    assert is_open(client)
    server.mailhooks(*(word.format(user) for word in command), given=given)
    until("the session is over", lambda: not is_open(client), 15)
    assert is_open(other)
    other.logout()
    client.shutdown()
