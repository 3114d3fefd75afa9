from __future__ import annotations

import pytest
from feeding import check, check_bounded, check_fault
from hypothesis import given
from hypothesis import strategies as st

from mailhooks.wire import tcp_table
from mailhooks.wire.errors import WireError
from mailhooks.wire.tcp_table import RequestParser, parse_request


# As captured from Postfix 3.7 and 3.10.
@pytest.mark.parametrize(
    ("line", "key"),
    [
        (b"get bob@example.com", "bob@example.com"),
        (b"get a%20b", "a b"),
        (b"get a%25b", "a%b"),
        (b"get j%C3%B6rg@example.com", "jörg@example.com"),
        (b"get A+B@Example.com", "A+B@Example.com"),
    ],
)
def test_captured_requests(line, key):
    check(RequestParser, line + b"\n", [line])
    assert parse_request(line) == key
    assert tcp_table.request(key) == line + b"\n"


def test_plus_is_a_plus_and_hex_digits_have_any_case():
    assert parse_request(b"get a+%c3%B6") == "a+ö"


def test_cr_before_lf_is_forgiven():
    assert parse_request(b"get a@b\r") == "a@b"


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b"", "unknown_command"),
        (b"put a b", "unknown_command"),
        (b"GET a", "unknown_command"),
        (b"get", "field"),
        (b"get ", "field"),
        (b"get a%zz", "encoding"),
        (b"get a%", "encoding"),
        (b"get a%4", "encoding"),
        (b"get %ff", "encoding"),
    ],
)
def test_request_that_is_none(line, kind):
    with pytest.raises(WireError) as caught:
        parse_request(line)
    assert caught.value.kind == kind


def test_line_limit():
    check(RequestParser, b"get " + b"a" * 4091 + b"\n", [b"get " + b"a" * 4091])
    check_fault(RequestParser, b"get " + b"a" * 4092, "oversized")
    check_bounded(RequestParser, b"a" * 100, 4096)


@given(st.binary())
def test_any_line_is_a_request_or_a_fault(line):
    try:
        key = parse_request(line)
    except WireError:
        return
    assert parse_request(tcp_table.request(key)[:-1]) == key


@given(st.text(min_size=1))
def test_requests_round_trip(key):
    line = tcp_table.request(key)
    assert line.isascii()
    assert parse_request(line[:-1]) == key


def test_captured_replies():
    assert tcp_table.found("x y%z") == b"200 x%20y%25z\n"
    assert tcp_table.not_found() == b"500 not%20found\n"
    assert tcp_table.temporary("store unavailable") == b"400 store%20unavailable\n"


@pytest.mark.parametrize("value", ["", " ", "x" * 4092, "ä" * 700])
def test_result_that_the_client_would_misread_is_temporary(value):
    assert tcp_table.found(value).startswith(b"400 the%20result%20is%20")


def test_longest_reply():
    assert len(tcp_table.found("x" * 4091)) == 4096


@given(st.text())
def test_every_reply_is_one_line_with_a_text(text):
    for line in (tcp_table.found(text), tcp_table.temporary(text)):
        assert line.count(b"\n") == 1
        assert line[3:4] == b" "
        assert line[4:5] not in (b"", b"\n", b" ")
        assert len(line) <= 4096
