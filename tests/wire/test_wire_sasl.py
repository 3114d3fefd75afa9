from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhooks.wire.sasl import MECHANISMS, Challenge, Credentials, Rejected, begin


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b"\0bo@ex.test\0secret", Credentials("bo@ex.test", "", "secret")),
        (b"al\0bo\0secret", Credentials("bo", "al", "secret")),
        (b"\0bo\0pw\tx", Credentials("bo", "", "pw\tx")),
        ("\0jörg\0pä ss".encode(), Credentials("jörg", "", "pä ss")),
    ],
)
def test_plain(message, expected):
    assert begin("PLAIN").step(message) == expected
    exchange = begin("PLAIN")
    assert exchange.step(None) == Challenge(b"")
    assert exchange.step(message) == expected


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\0",
        b"\0\0",
        b"bo",
        b"bo\0secret",
        b"\0\0secret",
        b"\0bo\0",
        b"\0bo\0a\0b",
        b"\0\xff\0secret",
        b"\0bo\0\xff",
        b"\xff\0bo\0x",
    ],
)
def test_plain_that_is_none(message):
    assert isinstance(begin("PLAIN").step(message), Rejected)


def test_login():
    exchange = begin("LOGIN")
    assert exchange.step(None) == Challenge(b"Username:")
    assert exchange.step(b"bo") == Challenge(b"Password:")
    assert exchange.step(b"secret") == Credentials("bo", "", "secret")


def test_login_with_an_initial_response_skips_the_question():
    exchange = begin("LOGIN")
    assert exchange.step(b"bo") == Challenge(b"Password:")
    assert exchange.step(b"secret") == Credentials("bo", "", "secret")


@pytest.mark.parametrize(("login", "password"), [(b"", b"x"), (b"bo", b""), (b"\xff", b"x"), (b"bo", b"\xff")])
def test_login_that_is_none(login, password):
    exchange = begin("LOGIN")
    exchange.step(login)
    assert isinstance(exchange.step(password), Rejected)


def test_exchanges_know_nothing_of_each_other():
    first, second = begin("LOGIN"), begin("LOGIN")
    first.step(b"bo")
    assert second.step(None) == Challenge(b"Username:")


def test_an_unknown_mechanism():
    with pytest.raises(KeyError):
        begin("CRAM-MD5")


def test_plaintext_mechanisms_say_so():
    assert {name: mechanism.flags for name, mechanism in MECHANISMS.items()} == {
        "PLAIN": ("plaintext",),
        "LOGIN": ("plaintext",),
    }


def test_the_password_is_in_no_repr():
    assert "secret" not in repr(begin("PLAIN").step(b"\0bo\0secret"))


@given(st.sampled_from(sorted(MECHANISMS)), st.lists(st.none() | st.binary(max_size=20), max_size=5))
def test_any_messages(mechanism, messages):
    exchange = begin(mechanism)
    for message in messages:
        step = exchange.step(message)
        assert isinstance(step, Challenge | Credentials | Rejected)
        if isinstance(step, Credentials):
            assert step.login
            assert step.password


utf_8 = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)


@given(utf_8, utf_8, utf_8)
def test_plain_round_trip(authzid, login, password):
    assert begin("PLAIN").step(f"{authzid}\0{login}\0{password}".encode()) == Credentials(login, authzid, password)
