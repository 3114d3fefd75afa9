"""Scenario 4: Dovecot's own clients and doveadm live off mailhooks."""

from __future__ import annotations

import poplib

import pytest
from server import Q, Server, trusting, until
from sieve import ManageSieve


@pytest.fixture(scope="module")
def server(machine):
    with Server(machine, pop3=True) as running:
        running.furnish()
        yield running


def test_imap_login(server: Server):
    server.imap("adam@example1.com").logout()


def test_imap_wrong_password(server: Server):
    with pytest.raises(Exception, match="AUTHENTICATIONFAILED"):
        server.imap("adam@example1.com", "wrong")


def test_pop3_login(server: Server):
    client = poplib.POP3_SSL("127.0.0.1", server.port["pop3s"], context=trusting(), timeout=60)
    client.user("adam@example1.com")
    assert client.pass_(Q).startswith(b"+OK")
    client.quit()


def test_managesieve_login_and_a_script_of_the_user(server: Server):
    client = ManageSieve(server.port["sieve"])
    assert client.login("carol@example1.com", "wrong").startswith("NO")
    assert client.login("carol@example1.com", Q).startswith("OK")
    assert client.put("mine", 'require ["fileinto", "mailbox"];\nfileinto :create "Sorted";\n').startswith("OK")
    assert client.activate("mine").startswith("OK")
    client.close()
    server.deliver("sort me", "carol@example1.com")
    server.arrives("sort me", "carol@example1.com", "Sorted")


def test_special_use_folders(server: Server):
    client = server.imap("bob@example1.com")
    folders = b"\n".join(client.list()[1])
    client.logout()
    for flag in (b"\\Junk", b"\\Sent", b"\\Drafts", b"\\Trash"):
        assert flag in folders


def test_doveadm_lists_all_users(server: Server):
    listed = server.doveadm("user", "*").stdout.split()
    assert {"adam@example1.com", "bob@example1.com", "bob@example2.com"} <= set(listed)


def test_doveadm_auth_test(server: Server):
    assert server.doveadm("auth", "test", "adam@example1.com", Q).returncode == 0
    assert server.doveadm("auth", "test", "adam@example1.com", "wrong").returncode != 0


def test_doveadm_quota_get_and_usage_reach_the_store(server: Server):
    server.add_user("ida@example1.com", "--quota", "10M")
    server.deliver("some bytes", "ida@example1.com", body="x" * 5000)
    server.arrives("some bytes", "ida@example1.com")
    shown = server.doveadm("-f", "tab", "quota", "get", "-u", "ida@example1.com").stdout
    assert "10240" in shown
    until("the usage is told", lambda: "ida@example1.com" in server.mailhooks("quota", "list", "--json"))


def test_last_login_reaches_the_store(server: Server):
    server.imap("adam@example2.com").logout()
    until("the login is told", lambda: "last_login" in server.mailhooks("user", "show", "adam@example2.com", "--json"))
