"""Scenario 1: mail from outside lands where it should."""

from __future__ import annotations

import pytest
from server import Server, until


def test_to_a_user(server: Server):
    server.deliver("to a user", "adam@example1.com")
    server.arrives("to a user", "adam@example1.com")


def test_to_an_alias(server: Server):
    server.deliver("to an alias", "office@example1.com")
    server.arrives("to an alias", "adam@example1.com")


def test_to_a_list_of_three(server: Server):
    server.deliver("to a list", "team@example1.com")
    for member in ("adam", "bob", "carol"):
        server.arrives("to a list", f"{member}@example1.com")


def test_to_a_catch_all_but_not_the_mail_of_its_neighbour(server: Server):
    server.deliver("nobody in particular", "whoever@example2.com")
    server.deliver("for the neighbour", "adam@example2.com")
    server.arrives("nobody in particular", "bob@example2.com")
    server.arrives("for the neighbour", "adam@example2.com")
    assert "for the neighbour" not in server.subjects("bob@example2.com")


@pytest.mark.parametrize("folder", ["work", "Work"])
def test_extension_goes_to_the_folder_whatever_its_case(server: Server, folder: str):
    login = f"folder-{folder.lower()}-{'upper' if folder[0].isupper() else 'lower'}@example1.com"
    server.add_user(login)
    client = server.imap(login)
    assert client.create(folder)[0] == "OK"
    client.logout()
    local, domain = login.split("@")
    server.deliver("into the folder", f"{local.capitalize()}+Work@{domain.upper()}")
    server.arrives("into the folder", login, folder)


def test_extension_without_such_a_folder_goes_to_the_inbox(server: Server):
    server.deliver("no such folder", "Adam+Nowhere@EXAMPLE1.COM")
    server.arrives("no such folder", "adam@example1.com")


@pytest.mark.parametrize("extension", ["..", "../../bob", ".hidden", "a/b", "INBOX.x", "*"])
def test_extension_plays_no_path_tricks(server: Server, extension: str):
    subject = f"trick {extension}"
    server.deliver(subject, f'"carol+{extension}"@example1.com')
    until("the mail arrives", lambda: subject in server.subjects("carol@example1.com"))


def test_alias_domain(server: Server):
    server.mailhooks("domain", "add", "example1.net", "--alias-of", "example1.com")
    server.deliver("by the other domain", "bob@example1.net")
    server.arrives("by the other domain", "bob@example1.com")


def test_alias_given_in_capitals_is_expanded(server: Server):
    """smtpd folds the key and cleanup does not: both must find the alias."""
    server.deliver("in capitals", "OFFICE@Example1.com")
    server.arrives("in capitals", "adam@example1.com")
