"""Each lookup table, with the keys that Postfix was seen to send."""

from __future__ import annotations

import inspect

import pytest

from mailhooks import tables
from mailhooks.store import Store, Unavailable
from mailhooks.store.model import State

ODD_KEYS = [
    "",
    "*",
    "<>",
    '"<>"',
    '""',
    "@",
    "@e.example",
    "adam",
    "adam@",
    "e.example",
    "a b@e.example",
    '"a b"@e.example',
    '"unfinished@e.example',
    "jörg@e.example",
    "adam@exämple.example",
    "exämple.example",
    "\x00@e.example",
    "a@b@e.example",
    "[127.0.0.1]:12530",
    "[::1]:587",
    "adam@[127.0.0.1]",
    "x" * 5000 + "@e.example",
    "a@" + "ä" * 5000,
    "\ud800@e.example",
    "..@..",
    " ",
    "postmaster+x@e.example",
    "+@e.example",
    "+x@e.example",
]


@pytest.fixture
def filled(store: Store) -> Store:
    with store.change("test") as change:
        change.add_domain("e.example")
        change.add_domain("exämple.example")
        change.add_domain("other.example", alias_of="e.example")
        for address in ("adam@e.example", '"a b"@e.example', "jörg@exämple.example", "bob@e.example"):
            change.add_mailbox(address)
        change.add_mailbox("closed@e.example", state=State.CLOSED)
        change.add_mailbox("noreply@e.example", state=State.SEND_ONLY)
        change.add_alias("sales@e.example", ["adam@e.example"])
        change.add_alias("quoted@e.example", ['"a b"@e.example', "x@outside.example"])
    store.renew()
    return store


def ask(store: Store, table: str, key: str) -> str | None:
    return tables.lookup(store, table, key, "+")


def change_alias(store: Store, source: str, *targets: str) -> None:
    with store.change("test") as change:
        change.add_alias(source, list(targets), keep_dangling=True)
    store.renew()


@pytest.mark.parametrize("table", tables.TABLES)
@pytest.mark.parametrize("key", ODD_KEYS)
def test_odd_keys_have_an_answer(filled, table, key):
    answer = ask(filled, table, key)
    assert answer is None or answer


@pytest.mark.parametrize("table", tables.TABLES)
def test_every_table_says_what_it_answers(table):
    assert inspect.getdoc(tables.TABLES[table])


def test_an_unknown_table_names_the_nearest(filled):
    with pytest.raises(tables.UnknownTable, match="did you mean virtual_alias_maps"):
        ask(filled, "virtual_alias_map", "adam@e.example")
    with pytest.raises(tables.UnknownTable, match="known here"):
        ask(filled, "zzz", "adam@e.example")


@pytest.mark.parametrize(
    ("key", "hosted", "alias"),
    [
        ("e.example", "e.example", None),
        ("E.Example", "e.example", None),
        ("other.example", None, "e.example"),
        ("exämple.example", "xn--exmple-cua.example", None),
        ("xn--exmple-cua.example", "xn--exmple-cua.example", None),
        ("sub.e.example", None, None),
        ("adam@e.example", None, None),
    ],
)
def test_a_domain_is_in_one_of_the_two_tables(filled, key, hosted, alias):
    assert ask(filled, "virtual_mailbox_domains", key) == hosted
    assert ask(filled, "virtual_alias_domains", key) == alias


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("adam@e.example", "adam@e.example"),
        ("Adam+Work@E.EXAMPLE", "adam@e.example"),
        ('"a b"@e.example', '"a b"@e.example'),
        ("a b@e.example", '"a b"@e.example'),
        ("JÖRG@exämple.example", "jörg@xn--exmple-cua.example"),
        ("jo\u0308rg@xn--exmple-cua.example", "jörg@xn--exmple-cua.example"),
        ("who@e.example", None),
        ("sales@e.example", None),
        ("adam@other.example", None),  # virtual_alias_maps leads there
    ],
)
def test_mailboxes(filled, key, expected):
    assert ask(filled, "virtual_mailbox_maps", key) == expected


def test_accounts_that_do_not_receive_exist(filled):
    """The policy rule gives the reason; NOTFOUND here would say "user unknown" instead."""
    assert ask(filled, "virtual_mailbox_maps", "closed@e.example") == "closed@e.example"
    assert ask(filled, "virtual_mailbox_maps", "noreply+x@e.example") == "noreply@e.example"
    assert ask(filled, "virtual_alias_maps", "closed@e.example") is None


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("sales@e.example", "adam@e.example"),
        ("SALES+Eu@E.example", "adam+eu@e.example"),
        ("quoted@e.example", '"a b"@e.example,x@outside.example'),
        ("quoted+z@e.example", '"a b+z"@e.example,x+z@outside.example'),
        ("adam@e.example", None),
        ("adam+x@e.example", None),
        ("adam+x@other.example", "adam+x@e.example"),
        ("sales@other.example", "sales@e.example"),
        ("who@e.example", None),
        ("who@other.example", None),
        ("who@outside.example", None),
        ("e.example", None),
    ],
)
def test_aliases(filled, key, expected):
    assert ask(filled, "virtual_alias_maps", key) == expected


def test_a_mailbox_is_never_swallowed_by_its_catch_all(filled):
    change_alias(filled, "@e.example", "bob@e.example")
    assert ask(filled, "virtual_alias_maps", "who@e.example") == "bob@e.example"
    assert ask(filled, "virtual_alias_maps", "who@other.example") == "who@e.example"
    for key in ("adam@e.example", "adam+x@e.example", "closed@e.example", "noreply@e.example", "bob@e.example"):
        assert ask(filled, "virtual_alias_maps", key) is None


def test_targets_that_do_not_receive_are_left_out(filled):
    change_alias(filled, "list@e.example", "closed@e.example", "adam@e.example", "noreply@e.example", "gone@e.example")
    assert ask(filled, "virtual_alias_maps", "list@e.example") == "adam@e.example"
    change_alias(filled, "outer@e.example", "list@e.example", "closed@e.example")
    assert ask(filled, "virtual_alias_maps", "outer@e.example") == "list@e.example"


def test_an_alias_whose_accounts_are_all_silent_is_still_found(filled):
    """Mail that was accepted before an account was closed is expanded and delivered: NOTFOUND would bounce it."""
    change_alias(filled, "list@e.example", "closed@e.example", "gone@e.example", "noreply@e.example")
    assert ask(filled, "virtual_alias_maps", "list@e.example") == "closed@e.example,noreply@e.example"
    change_alias(filled, "outer@e.example", "list@e.example", "adam@e.example")
    assert ask(filled, "virtual_alias_maps", "outer@e.example") == "adam@e.example"


def test_an_alias_of_which_nobody_is_left_is_unknown(filled):
    change_alias(filled, "list@e.example", "gone@e.example")
    assert ask(filled, "virtual_alias_maps", "list@e.example") is None
    assert ask(filled, "virtual_alias_maps", "list@other.example") is None


def test_a_forward_of_a_closed_account_goes_on_without_the_copy(filled):
    change_alias(filled, "closed@e.example", "closed@e.example", "adam@e.example")
    assert ask(filled, "virtual_alias_maps", "closed@e.example") == "adam@e.example"


def test_a_forward_keeps_its_copy_with_the_extension(filled):
    change_alias(filled, "bob@e.example", "bob@e.example", "adam@e.example")
    assert ask(filled, "virtual_alias_maps", "bob+x@e.example") == "bob+x@e.example,adam+x@e.example"


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("adam@e.example", "adam@e.example"),
        ("Adam+X@other.example", "adam@e.example"),
        ("sales@e.example", "adam@e.example"),
        ("who@e.example", None),
        ("who@outside.example", None),
    ],
)
def test_sender_logins(filled, key, expected):
    assert ask(filled, "smtpd_sender_login_maps", key) == expected


def test_several_sender_logins_are_joined_by_commas(filled):
    with filled.change("test") as change:
        change.allow_sender("bob@e.example", "sales@e.example")
    filled.renew()
    assert ask(filled, "smtpd_sender_login_maps", "sales@e.example") == "adam@e.example,bob@e.example"


def test_a_login_that_looks_like_a_list_of_logins_is_left_out(filled):
    with filled.change("test") as change:
        change.add_mailbox('"x adam@e.example y"@e.example')
    filled.renew()
    assert ask(filled, "smtpd_sender_login_maps", '"x adam@e.example y"@e.example') is None
    assert ask(filled, "smtpd_sender_login_maps", '"a b"@e.example') is None


@pytest.fixture
def relayed(filled: Store) -> Store:
    with filled.change("test") as change:
        change.add_relay("[smtp.example.net]:587", username="site", password="s3cret:with:colons")
        change.add_relay("plain.example.net", username="plain", password="p")
        change.add_relay("[a.example.net]:465", username="adam", password="pa", sender="adam@e.example")
        change.add_relay("[e.example.net]:465", username="every", password="pe", sender="@e.example")
    filled.renew()
    return filled


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("[smtp.example.net]:587", "site:s3cret:with:colons"),
        ("[SMTP.Example.NET]:587", "site:s3cret:with:colons"),
        ("smtp.example.net", None),
        ("[smtp.example.net]", None),
        ("plain.example.net", "plain:p"),
        ("[a.example.net]:465", None),  # only for its sender
        ("Adam@E.Example", "adam:pa"),
        ("adam+x@e.example", "adam:pa"),
        ("adam@other.example", "adam:pa"),
        ("bob@e.example", "every:pe"),
        ("bob@other.example", "every:pe"),
        ("joe@outside.example", None),
        ("<>", None),
    ],
)
def test_relay_passwords(relayed, key, expected):
    assert ask(relayed, "smtp_sasl_password_maps", key) == expected


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("Adam+X@e.example", "[a.example.net]:465"),
        ("adam@other.example", "[a.example.net]:465"),
        ("sales@e.example", "[e.example.net]:465"),
        ("joe@outside.example", None),
        ('"<>"', None),
        ("<>", None),
    ],
)
def test_relay_hosts_by_sender(relayed, key, expected):
    assert ask(relayed, "sender_dependent_relayhost_maps", key) == expected


@pytest.mark.parametrize("key", ["[A.example.net]:465", "[e.example.net]:465"])
def test_every_relay_host_is_asked_for_tls(relayed, key):
    assert ask(relayed, "smtp_tls_policy_maps", key) == "encrypt"


@pytest.mark.parametrize("key", ["outside.example", ".e.example", "[a.example.net]", "e.example", "*", ""])
def test_servers_that_mail_goes_straight_to_have_no_tls_policy(relayed, key):
    assert ask(relayed, "smtp_tls_policy_maps", key) is None


@pytest.mark.parametrize("table", tables.TABLES)
def test_an_outage_is_never_a_negative_answer(tmp_path, table):
    away = Store(f"sqlite:///{tmp_path}/missing.db")
    key = "e.example" if table.endswith("domains") else "adam@e.example"
    with pytest.raises(Unavailable):
        ask(away, table, key)
