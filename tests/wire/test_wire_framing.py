from __future__ import annotations

import time

import pytest
from feeding import check, check_any, check_bounded, check_fault, cut, run
from hypothesis import given
from hypothesis import strategies as st

from mailhooks.wire import netstring, tabs
from mailhooks.wire.errors import KINDS, WireError
from mailhooks.wire.lines import LineParser
from mailhooks.wire.netstring import NetstringParser
from mailhooks.wire.sentence import MAX_SENTENCE, clean


def make_netstrings() -> NetstringParser:
    return NetstringParser(100)


def make_lines() -> LineParser:
    return LineParser(100)


@pytest.mark.parametrize("payload", [b"", b"x", b"vmm alice@example.com", b"1:a,", b"\0\n\xff", b"," * 100])
def test_netstring_round_trip(payload):
    check(make_netstrings, netstring.encode(payload), [payload])


@pytest.mark.parametrize(
    ("sample", "kind"),
    [
        (b"x", "framing"),
        (b":,", "framing"),
        (b",", "framing"),
        (b"-1:x,", "framing"),
        (b" 1:x,", "framing"),
        (b"+1:x,", "framing"),
        (b"1 :x,", "framing"),
        (b"01:x,", "framing"),
        (b"00:,", "framing"),
        ("²:x,".encode(), "framing"),
        (b"\n", "framing"),
        (b"get a@b\n", "framing"),
        (b"101:", "oversized"),
        (b"1000", "oversized"),
        (b"101\0", "oversized"),
        (b"0999", "framing"),
        (b"10 :", "framing"),
        (b"99999999999999999999999999:x,", "oversized"),
    ],
)
def test_netstring_that_lies_about_itself(sample, kind):
    check_fault(make_netstrings, sample, kind)


@pytest.mark.parametrize("sample", [b"3:abcd,", b"2:abc,", b"3:abc\n", b"1:a,2:bcd,"])
def test_netstring_that_lies_about_its_length(sample):
    values, kind = run(make_netstrings(), [sample])
    assert kind == "framing"
    assert (values, kind) == run(make_netstrings(), cut(sample))


def test_netstring_before_a_fault_is_kept():
    check_fault(make_netstrings, b"3:abc,4:defg,x", "framing", [b"abc", b"defg"])


def test_netstring_half_a_frame_then_silence():
    assert run(make_netstrings(), [b"21:vmm ali"]) == ([], None)


@given(st.binary(max_size=300), st.integers(1, 7))
def test_netstring_any_input(data, size):
    check_any(make_netstrings, data, size)


@given(st.lists(st.binary(max_size=100), max_size=9), st.binary(max_size=20), st.integers(1, 50))
def test_netstring_any_payloads_then_rubbish(payloads, rubbish, size):
    data = b"".join(map(netstring.encode, payloads)) + rubbish
    values, _ = run(make_netstrings(), cut(data, size))
    assert values[: len(payloads)] == payloads
    check_any(make_netstrings, data, size)


def test_netstring_holds_no_more_than_a_frame():
    parser = make_netstrings()
    assert parser.feed(b"100:" + b"a" * 100) == []
    assert len(parser._held) == 104
    assert parser.feed(b"," + b"1:b,") == [b"a" * 100, b"b"]
    assert len(parser._held) == 0


def test_netstring_byte_by_byte_is_linear():
    parser = NetstringParser(1_000_000)
    frame = netstring.encode(b"x" * 200_000)
    started = time.process_time()
    assert len(run(parser, cut(frame))[0]) == 1
    assert time.process_time() - started < 5  # copying 200 kB for each byte takes longer by far


@pytest.mark.parametrize("line", [b"", b"x", b"\r", b"AUTH\t1", b"\0\xff", b"y" * 100])
def test_line_round_trip(line):
    check(make_lines, line + b"\n", [line])


def test_lines_in_one_segment_and_a_fragment():
    parser = make_lines()
    assert parser.feed(b"a\nb\nc") == [b"a", b"b"]
    assert parser.feed(b"d") == []
    assert parser.feed(b"e\n\nf\n") == [b"cde", b"", b"f"]


@pytest.mark.parametrize("sample", [b"y" * 101, b"y" * 101 + b"\n", b"y" * 10_000_000])
def test_line_too_long(sample):
    assert run(make_lines(), [sample]) == ([], "oversized")
    assert run(make_lines(), cut(sample[:200])) == ([], "oversized")


def test_line_before_a_long_one_is_kept():
    check_fault(make_lines, b"a\nb\n" + b"y" * 101, "oversized", [b"a", b"b"])
    check_fault(make_lines, b"a\n" + b"y" * 101 + b"\nb\n", "oversized", [b"a"])


@given(st.binary(max_size=300), st.integers(1, 7))
def test_line_any_input(data, size):
    check_any(make_lines, data, size)
    if max(map(len, data.split(b"\n"))) <= 100:
        assert run(make_lines(), cut(data, size))[0] == data.split(b"\n")[:-1]


@pytest.mark.parametrize("size", [1, 7, 99])
def test_line_memory_is_bounded(size):
    check_bounded(make_lines, b"y" * size, 100)


def test_line_byte_by_byte_is_linear():
    started = time.process_time()
    values, kind = run(LineParser(1_000_000), cut(b"x" * 200_000 + b"\n"))
    assert (len(values), kind) == (1, None)
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("field", "escaped"),
    [
        ("", ""),
        ("bo@ex.test", "bo@ex.test"),
        ("\0\x01\t\r\n", "\x010\x011\x01t\x01r\x01n"),
        ("if x {\n}\n", "if x {\x01n}\x01n"),
        ("jörg", "jörg"),
    ],
)
def test_escaping(field, escaped):
    assert tabs.escape(field) == escaped
    assert tabs.unescape(escaped) == field
    assert tabs.escape(field.encode()) == escaped.encode()
    assert tabs.unescape(escaped.encode()) == field.encode()


def test_unescape_of_what_nobody_escapes():
    assert tabs.unescape("a\x01xb") == "axb"
    assert tabs.unescape("a\x01") == "a"
    assert tabs.unescape("\x01\x01") == "\x01"


def test_an_escaped_tab_does_not_split():
    assert tabs.split(b"M\tv1\x01tv2\t") == ["M", "v1\tv2", ""]


def test_empty_last_field_is_a_field():
    assert tabs.split(b"CONT\t1\t") == ["CONT", "1", ""]
    assert tabs.join("CONT", "1", "") == b"CONT\t1\t\n"


def test_a_field_list_inside_a_field_is_escaped_twice():
    inner = tabs.join("a=b\tc", "d=\n")[:-1].decode()
    line = tabs.join("AUTH", f"forward_fields={inner}")
    assert line.count(b"\t") == 1
    assert tabs.split(tabs.split(line[:-1])[1].removeprefix("forward_fields=").encode()) == ["a=b\tc", "d=\n"]


def test_fields_must_be_utf_8():
    with pytest.raises(WireError) as caught:
        tabs.split(b"USER\t1\t\xff")
    assert caught.value.kind == "encoding"
    assert "xff" not in str(caught.value)


@given(st.lists(st.text(), min_size=1, max_size=6))
def test_fields_round_trip(fields):
    line = tabs.join(*fields)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert b"\r" not in line
    assert tabs.split(line[:-1]) == fields


@given(st.binary())
def test_fields_of_any_bytes(line):
    try:
        fields = tabs.split(line)
    except WireError as error:
        assert error.kind == "encoding"  # noqa: PT017 - either way is right
    else:
        assert len(fields) == line.count(b"\t") + 1


@given(st.binary())
def test_escaped_bytes_hold_no_special(field):
    assert not set(tabs.escape(field)) & set(b"\0\t\r\n")
    assert tabs.unescape(tabs.escape(field)) == field


def test_kinds_are_a_closed_set():
    assert {"oversized", "framing", "encoding", "unknown_command", "version", "field", "order"} == KINDS


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", "sorry"), (" \r\n\t", "sorry"), ("a\r\nb", "a b"), ("disk\0full", "disk full"), ("voll: ü", "voll: ü")],
)
def test_sentences_are_one_line_and_never_empty(text, expected):
    assert clean(text, "sorry") == expected


@given(st.text(max_size=2 * MAX_SENTENCE))
def test_sentences_of_any_text(text):
    sentence = clean(text, "sorry")
    assert sentence
    assert sentence.isprintable()
    assert len(sentence) <= MAX_SENTENCE
    assert clean(sentence, "sorry") == sentence
