from __future__ import annotations

import pytest
from feeding import check, check_any, check_bounded, check_fault, cut, run
from hypothesis import given
from hypothesis import strategies as st

from mailhooks.wire import dict as wire
from mailhooks.wire import tabs
from mailhooks.wire.dict import (
    Begin,
    Commit,
    DictParser,
    Hello,
    HideValues,
    Increment,
    Iterate,
    Lookup,
    Rollback,
    Set,
    SetBinary,
    Timestamp,
    Unset,
)

# In the form captured from Dovecot 2.3.19.1 and 2.4.1.
PASSDB = b"H3\t2\t0\t\tmailhooks\nLshared/passdb/bo@ex.test\tbo@ex.test\n"
QUOTA_CLONE_23 = b"B1\tbo@ex.test\nS1\tpriv/quota/storage\t663\nS1\tpriv/quota/messages\t3\nC1\n"
QUOTA_CLONE_24 = b"B1\tbo@ex.test\t0\nS1\tpriv/quota/storage\t663\nS1\tpriv/quota/messages\t3\nC1\n"
QUOTA_SET = [Set(1, "priv/quota/storage", "663"), Set(1, "priv/quota/messages", "3"), Commit(1)]
SAMPLES = [
    (PASSDB, [Hello(3, 2, 0, "mailhooks"), Lookup("shared/passdb/bo@ex.test", "bo@ex.test")]),
    (b"H4\t0\t0\t\tclone\n", [Hello(4, 0, 0, "clone")]),
    (b"I0\t0\tshared/userdb/\t*\n", [Iterate(0, 0, "shared/userdb/", "*")]),
    (b"I25\t3\tpriv/guid/\tbo@ex.test\n", [Iterate(25, 3, "priv/guid/", "bo@ex.test")]),
    (QUOTA_CLONE_23, [Begin(1, "bo@ex.test", 0), *QUOTA_SET]),
    (QUOTA_CLONE_24, [Begin(1, "bo@ex.test", 0), *QUOTA_SET]),
    (b"B1\tbo@ex.test\t60\n", [Begin(1, "bo@ex.test", 60)]),
    (
        b"B1\tu\nA1\tpriv/quota/storage\t221\nA1\tpriv/quota/messages\t-1\nC1\n",
        [
            Begin(1, "u"),
            Increment(1, "priv/quota/storage", 221),
            Increment(1, "priv/quota/messages", -1),
            Commit(1),
        ],
    ),
    (b"U1\tpriv/quota/storage\n", [Unset(1, "priv/quota/storage")]),
    (b"T1\t1795331342\t999999999\n", [Timestamp(1, 1795331342, 999999999)]),
    (b"V1\tyes\n", [HideValues(1)]),
    (b"R1\n", [Rollback(1)]),
    (b'S1\tpriv/guid/comment\thello"w\n', [Set(1, "priv/guid/comment", 'hello"w')]),
    (b"S1\tpriv/sieve/data/42\tif x {\x01n}\x01n\n", [Set(1, "priv/sieve/data/42", "if x {\n}\n")]),
]


def one(line):
    (message,) = DictParser().feed(line)
    return message


@pytest.mark.parametrize(("sample", "expected"), SAMPLES)
def test_samples(sample, expected):
    check(DictParser, sample, expected)


def test_two_requests_in_one_segment():
    assert len(DictParser().feed(b"Lpriv/a\tu\nLpriv/b\tu\n")) == 2


def test_two_transactions_are_told_apart_by_id():
    messages = DictParser().feed(b"B1\tu\nS1\ta\t1\nB2\tu\nS2\tb\t2\nC1\nC2\n")
    assert [message.id for message in messages] == [1, 1, 2, 2, 1, 2]


def test_request_over_1024_bytes():
    script = "keep;\n" * 5000
    line = tabs.join("S1", "priv/sieve/data/1", script)
    assert run(DictParser(), [line + line]) == run(DictParser(), cut(line + line)) == ([one(line)] * 2, None)
    assert one(line).value == script


def test_three_value_begin():
    assert one(b"B7\tbo@ex.test\t60\n") == Begin(7, "bo@ex.test", 60)
    assert one(b"B7\tbo@ex.test\n") == Begin(7, "bo@ex.test", 0)


def test_empty_last_field_is_there():
    assert one(b"Lshared/x\t\n") == Lookup("shared/x", "")
    assert one(b"S1\tpriv/x\t\n") == Set(1, "priv/x", "")
    assert one(b"B1\t\n") == Begin(1, "")
    assert one(b"H3\t2\t0\t\t\n") == Hello(3, 2, 0, "")


def test_fields_of_a_later_minor_version_are_passed_over():
    assert one(b"Lpriv/x\tu\tnew\n") == Lookup("priv/x", "u")
    assert one(b"C1\tnew\n") == Commit(1)


def test_fields_are_split_first_and_unescaped_second():
    assert one(b"S1\ta\x01tb\tc\x01td\x011t\n") == Set(1, "a\tb", "c\td\x01t")


def test_a_value_that_is_no_text_is_told_from_a_key_that_is_none():
    assert one(b"S1\tpriv/x\t\xff\xfe\n") == SetBinary(1, "priv/x")
    for line, kind in (
        (b"S1\tpriv/\xff\tv\n", "encoding"),
        (b"S\xff\tx\tv\n", "encoding"),
        (b"S1\t\xff\n", "field"),
    ):
        assert run(DictParser(), [line])[1] == kind


def test_values_are_in_no_repr():
    assert "secret" not in repr(one(b"S1\tpriv/x\tsecret\n"))


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b"\n", "unknown_command"),
        (b"X1\n", "unknown_command"),
        (b"l\n", "unknown_command"),
        (b"D1\n", "unknown_command"),
        (b"H\n", "field"),
        (b"H3\t2\t0\tmailhooks\n", "field"),
        (b"Hx\t2\t0\t\tmailhooks\n", "field"),
        (b"H3\t2\t\t\tmailhooks\n", "field"),
        (b"Lpriv/x\n", "field"),
        (b"L\xff\tu\n", "encoding"),
        (b"I1\t0\tx\n", "field"),
        (b"I-1\t0\tx\tu\n", "field"),
        (b"B\tu\n", "field"),
        (b"B1\n", "field"),
        (b"B1\tu\tsoon\n", "field"),
        (b"S1\tpriv/x\n", "field"),
        (b"S\tpriv/x\tv\n", "field"),
        (b"U1\n", "field"),
        (b"A1\tpriv/x\n", "field"),
        (b"A1\tpriv/x\t1.5\n", "field"),
        (b"A1\tpriv/x\t+1\n", "field"),
        (b"A1\tpriv/x\t9223372036854775808\n", "field"),
        (b"A1\tpriv/x\t" + b"9" * 5000 + b"\n", "field"),
        (b"T1\t0\n", "field"),
        (b"C\n", "field"),
        (b"C-1\n", "field"),
        (b"C18446744073709551616\n", "field"),
        (b"Rx\n", "field"),
        (b"C1\r\n", "field"),
    ],
)
def test_line_that_is_none(line, kind):
    check_fault(DictParser, line, kind)


def test_messages_before_a_fault_are_kept():
    check_fault(DictParser, b"Lpriv/a\tu\nXrubbish\n", "unknown_command", [Lookup("priv/a", "u")])


def test_line_limit():
    line = b"S1\tx\t"
    longest = line + b"y" * (65_536 - len(line))
    assert len(run(DictParser(), [longest + b"\n"])[0]) == 1
    assert run(DictParser(), [longest + b"y"]) == ([], "oversized")
    check_bounded(DictParser, b"Lpriv/" * 50, 65_536)


@given(st.lists(st.sampled_from([sample for sample, _ in SAMPLES]) | st.binary(max_size=5)), st.integers(1, 40))
def test_any_input(parts, size):
    check_any(DictParser, b"".join(parts), size)


ids = st.integers(0, 2**64 - 1)


@given(ids, st.text(), st.text(), st.integers(-(2**63), 2**63 - 1))
def test_commands_round_trip(number, key, value, diff):
    assert one(tabs.join(f"S{number}", key, value)) == Set(number, key, value)
    assert one(tabs.join(f"A{number}", key, str(diff))) == Increment(number, key, diff)
    assert one(b"L" + tabs.join(key, value)) == Lookup(key, value)
    assert one(tabs.join(f"U{number}", key)) == Unset(number, key)


def test_replies():
    assert wire.found("663") == b"O663\n"
    assert wire.found("") == b"O\n"
    assert wire.found("if x {\n}\n") == b"Oif x {\x01n}\x01n\n"
    assert wire.missing() == b"N\n"
    assert wire.missing(1) == b"N1\n"
    assert wire.failed("try again") == b"Ftry again\n"
    assert wire.committed(7) == b"O7\n"
    assert wire.row("shared/userdb/bo@ex.test", "{}") == b"Oshared/userdb/bo@ex.test\t{}\n"
    assert wire.END_OF_ROWS == b"\n"


def test_a_row_without_value_keeps_its_field():
    assert wire.row("priv/x", "") == b"Opriv/x\t\n"


def test_a_failed_commit_has_its_id_before_the_text():
    assert wire.failed("try again", 3) == b"F3\ttry again\n"
    assert wire.failed("", 3) == b"F3\tfailed\n"


@given(st.text(), st.text())
def test_replies_are_one_line_of_a_kind_that_clients_know(key, value):
    for line in (wire.found(value), wire.row(key, value), wire.failed(value), wire.failed(value, 1)):
        assert line[:1] in (b"O", b"F")
        assert line.count(b"\n") == 1
        assert line.endswith(b"\n")
    assert tabs.split(wire.row(key, value)[1:-1]) == [key, value]
