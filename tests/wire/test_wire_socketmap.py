from __future__ import annotations

import pytest
from feeding import check, check_fault
from hypothesis import given
from hypothesis import strategies as st

from mailhooks.wire import netstring, socketmap
from mailhooks.wire.errors import WireError
from mailhooks.wire.socketmap import RequestParser, parse_request

# As captured from Postfix 3.7 and 3.10.
CAPTURED = [
    (b"21:vmm alice@example.com,", ("vmm", "alice@example.com")),
    (b"19:vad sub.example.com,", ("vad", "sub.example.com")),
    (b"21:vam sales@example.com,", ("vam", "sales@example.com")),
    (b"4:tr *,", ("tr", "*")),
    (b'8:sdr "<>",', ("sdr", '"<>"')),
    (b"6:sdr <>,", ("sdr", "<>")),
    (b'21:vmm "a b"@example.com,', ("vmm", '"a b"@example.com')),
    (b"19:vmm a b@example.com,", ("vmm", "a b@example.com")),
    (b"16:vmd ex\xc3\xa4mple.com,", ("vmd", "exämple.com")),
    (b'5:sc "",', ("sc", '""')),
    (b"21:sp [127.0.0.1]:12530 ,", ("sp", "[127.0.0.1]:12530 ")),
    (b"4:vmm ,", ("vmm", "")),
]


@pytest.mark.parametrize(("frame", "expected"), CAPTURED)
def test_captured_requests(frame, expected):
    payload = frame.partition(b":")[2][:-1]
    check(RequestParser, frame, [payload])
    assert parse_request(payload) == expected
    assert socketmap.request(*expected) == frame


def test_two_requests_in_one_segment():
    first, second = RequestParser().feed(b"21:vmm alice@example.com,6:sdr <>,")
    assert (parse_request(first), parse_request(second)) == (("vmm", "alice@example.com"), ("sdr", "<>"))


def test_request_over_1024_bytes():
    key = "a" * 2000 + "@example.com"
    check(RequestParser, socketmap.request("vmm", key), [f"vmm {key}".encode()])


def test_request_over_the_limit():
    check_fault(RequestParser, b"%d:" % (socketmap.MAX_REQUEST + 1), "oversized")


@pytest.mark.parametrize(
    ("payload", "kind"), [(b"vmm", "field"), (b"", "field"), (b" key", "field"), (b"v \xff", "encoding")]
)
def test_request_that_is_none(payload, kind):
    with pytest.raises(WireError) as caught:
        parse_request(payload)
    assert caught.value.kind == kind


@given(st.binary(max_size=50))
def test_any_payload_is_a_request_or_a_fault(payload):
    try:
        table, key = parse_request(payload)
    except WireError:
        return
    assert f"{table} {key}".encode() == payload


@given(st.text(st.characters(exclude_characters=" ", codec="utf-8"), min_size=1), st.text())
def test_requests_round_trip(table, key):
    (payload,) = RequestParser().feed(socketmap.request(table, key))
    assert parse_request(payload) == (table, key)


def test_captured_replies():
    assert socketmap.ok("x") == b"4:OK x,"
    assert socketmap.ok("alice@example.com, bob@example.com") == b"37:OK alice@example.com, bob@example.com,"
    assert socketmap.NOT_FOUND == b"9:NOTFOUND ,"
    assert socketmap.temporary("store unavailable") == b"22:TEMP store unavailable,"
    assert socketmap.permanent("no such table") == b"18:PERM no such table,"


@pytest.mark.parametrize("value", ["", " ", "\t\n"])
def test_empty_result_is_temporary_and_never_ok(value):
    assert socketmap.ok(value) == b"24:TEMP the result is empty,"


def test_reply_limit_counts_the_payload():
    assert socketmap.ok("x" * 99_997).startswith(b"100000:OK x")
    assert socketmap.ok("x" * 99_998) == b"27:TEMP the result is too long,"
    assert socketmap.ok("ä" * 49_999) == b"27:TEMP the result is too long,"


def test_reasons_cannot_forge_a_reply():
    assert socketmap.temporary("a\r\nb,4:OK x,") == netstring.encode(b"TEMP a b,4:OK x,")
    assert socketmap.temporary("") == netstring.encode(b"TEMP try again later")


@given(st.text())
def test_every_reply_is_one_frame_with_a_word_and_data(text):
    for frame in (socketmap.ok(text), socketmap.temporary(text), socketmap.permanent(text)):
        (payload,) = netstring.NetstringParser(socketmap.MAX_REPLY).feed(frame)
        word, _, data = payload.partition(b" ")
        assert word in (b"OK", b"TEMP", b"PERM")
        assert data
