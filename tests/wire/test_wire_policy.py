from __future__ import annotations

import re

import pytest
from feeding import check, check_any, check_bounded, check_fault, cut, run
from hypothesis import given
from hypothesis import strategies as st
from recordings import SAMPLES, read

from mailhooks.wire.errors import WireError
from mailhooks.wire.policy import (
    MAX_REQUEST_BYTES,
    DeferIfPermit,
    Dunno,
    Hold,
    Prepend,
    Reject,
    Request,
    RequestParser,
    render,
    render_request,
)


def recorded(sample, state):
    """The first request of that state in a recording."""
    asked = b"".join(each.data for each in read(SAMPLES / sample) if each.who == "C>" and each.hook == "policy")
    return next(text + b"\n\n" for text in asked.split(b"\n\n") if f"protocol_state={state}\n".encode() in text)


RCPT = recorded("3.7/smtpd-two-recipients.txt", "RCPT")
END_OF_MESSAGE = recorded("3.10/smtpd-login.txt", "END-OF-MESSAGE")


def test_rcpt_of_postfix_3_7():
    (request,) = RequestParser().feed(RCPT)
    assert len(request.attributes) == 29
    assert request.state == "RCPT"
    assert request.sender == "joe@sender.test"
    assert request.recipient == "Bo@Ex.test"
    assert request.recipient_count == 0
    assert request.size == 174
    assert re.fullmatch(r"[0-9a-f]+(\.[0-9a-f]+){3}", request.instance)
    assert request.attributes["queue_id"] == ""
    assert request.client_address == "127.0.0.1"
    assert request.attributes["client_name"] == "localhost"
    assert request.attributes["helo_name"] == "client.test"
    assert request.sasl_username == ""
    assert request.attributes["sasl_method"] == ""
    assert request.attributes["encryption_protocol"] == ""
    assert request.policy_context == "smtp"
    check(RequestParser, RCPT, [request])
    assert render_request(request) == RCPT


def test_end_of_message_of_postfix_3_10_has_two_attributes_more():
    (request,) = RequestParser().feed(END_OF_MESSAGE)
    assert len(request.attributes) == 31
    assert request.attributes["mail_version"] == "3.10.13"
    assert request.attributes["compatibility_level"] == "3.6"
    assert (request.state, request.recipient, request.recipient_count) == ("END-OF-MESSAGE", "", 2)
    assert (request.attributes["sasl_method"], request.sasl_username) == ("LOGIN", "bo@ex.test")
    assert request.attributes["queue_id"]
    assert request.size > 0
    assert request.attributes["encryption_protocol"] == "TLSv1.3"
    assert request.policy_context == "end-of-message"
    check(RequestParser, END_OF_MESSAGE, [request])


@pytest.mark.parametrize("version", ["3.7", "3.10"])
def test_end_of_message_names_the_recipient_only_when_it_is_one(version):
    for sample, recipient, count in (("one-recipient", "bo@ex.test", 1), ("two-recipients", "", 2)):
        (request,) = RequestParser().feed(recorded(f"{version}/smtpd-{sample}.txt", "END-OF-MESSAGE"))
        assert (request.recipient, request.recipient_count) == (recipient, count)


def test_two_requests_in_one_segment():
    first, second = RequestParser().feed(RCPT + END_OF_MESSAGE)
    assert (first.state, second.state) == ("RCPT", "END-OF-MESSAGE")


def test_request_over_1024_bytes():
    sample = RCPT.replace(b"ccert_subject=", b"ccert_subject=" + b"x" * 2000)
    (request,) = RequestParser().feed(sample)
    check(RequestParser, sample, [request])


def test_unknown_attributes_are_kept_and_values_may_hold_equals_signs():
    (request,) = RequestParser().feed(b"request=smtpd_access_policy\nnew=a=b\n\n")
    assert request.attributes["new"] == "a=b"
    assert (request.size, request.recipient_count, request.state) == (0, 0, "")


def test_helo_that_is_not_utf_8_stops_nothing():
    (request,) = RequestParser().feed(b"request=smtpd_access_policy\nhelo_name=\xff\xfe\n\n")
    assert request.attributes["helo_name"] == "\ufffd\ufffd"


@pytest.mark.parametrize(
    ("sample", "kind"),
    [
        (b"\n\n", "framing"),
        (b"request=smtpd_access_policy\nrubbish\n\n", "framing"),
        (b"request=junk\n\n", "unknown_command"),
        (b"protocol_state=RCPT\n\n", "unknown_command"),
        (b"request=smtpd_access_policy\nsize=big\n\n", "field"),
        (b"request=smtpd_access_policy\nsize=-1\n\n", "field"),
        (b"request=smtpd_access_policy\nsize=" + b"9" * 5000 + b"\n\n", "field"),
        (b"request=smtpd_access_policy\nrecipient_count=1.5\n\n", "field"),
        ("request=smtpd_access_policy\nsize=²\n\n".encode(), "field"),
    ],
)
def test_request_that_is_none(sample, kind):
    check_fault(RequestParser, sample, kind)


def test_request_before_a_fault_is_kept():
    (request,) = RequestParser().feed(RCPT)
    check_fault(RequestParser, RCPT + b"rubbish\n\n", "framing", [request])


def test_request_limit_counts_the_empty_line():
    head = b"request=smtpd_access_policy\nx="
    longest = head + b"y" * (MAX_REQUEST_BYTES - len(head) - 2) + b"\n\n"
    assert len(run(RequestParser(), [longest])[0]) == len(run(RequestParser(), cut(longest, 1000))[0]) == 1
    assert run(RequestParser(), [head + longest]) == run(RequestParser(), cut(head + longest, 999)) == ([], "oversized")


@pytest.mark.parametrize("endless", [b"x" * 1000, b"a=b\n", b"a=b\r\n\r\n"])
def test_memory_is_bounded_without_an_empty_line(endless):
    check_bounded(RequestParser, endless, MAX_REQUEST_BYTES)


@given(
    st.lists(st.sampled_from([RCPT, b"request=smtpd_access_policy\n", b"\n", b"a=b", b"\xff", b"="])), st.integers(1, 9)
)
def test_any_input(pieces, size):
    check_any(RequestParser, b"".join(pieces), size)


words = st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=20)


@given(st.dictionaries(words.filter(lambda name: name and "=" not in name), words))
def test_requests_round_trip(attributes):
    request = Request.of({"request": "smtpd_access_policy", **attributes, "size": "7"})
    if attributes.get("request") is None and not set(attributes) & {"recipient_count"}:
        assert RequestParser().feed(render_request(request)) == [request]


NAMES = [line.partition(b"=")[0].decode() for line in END_OF_MESSAGE.splitlines() if line]


@given(st.dictionaries(st.sampled_from(NAMES[1:]), words), st.booleans())
def test_the_usual_order_and_any_other_say_the_same(values, usual):
    sample = {name: values.get(name, "7") for name in NAMES}
    sample |= {"request": "smtpd_access_policy"}
    if not usual:
        sample = dict(reversed(sample.items()))
    text = "".join(f"{name}={value}\n" for name, value in sample.items()).encode() + b"\n"
    try:
        expected = Request.of(sample)
    except WireError as error:
        check_fault(RequestParser, text, error.kind)
    else:
        (request,) = RequestParser().feed(text)
        assert request == expected
        assert request.attributes == sample


@pytest.mark.parametrize(
    ("action", "reply"),
    [
        (Dunno(), b"action=DUNNO\n\n"),
        (Reject(550, "5.1.1", "no such user"), b"action=550 5.1.1 no such user\n\n"),
        (Reject(452, "4.2.2", "mailbox full"), b"action=452 4.2.2 mailbox full\n\n"),
        (DeferIfPermit("4.3.0", "try again later"), b"action=DEFER_IF_PERMIT 4.3.0 try again later\n\n"),
        (Prepend("X-Seen", "by mailhooks"), b"action=PREPEND X-Seen: by mailhooks\n\n"),
        (Hold("for review"), b"action=HOLD for review\n\n"),
    ],
)
def test_actions(action, reply):
    assert render(action) == reply


@pytest.mark.parametrize("text", ["", " ", "\r\n", "\0"])
def test_no_action_is_empty_or_a_bare_code(text):
    assert render(Reject(550, "5.7.1", text)) == b"action=550 5.7.1 not accepted\n\n"
    assert render(DeferIfPermit("4.3.0", text)) == b"action=DEFER_IF_PERMIT 4.3.0 try again later\n\n"
    assert render(Prepend("X-A", text)) == b"action=PREPEND X-A: -\n\n"
    assert render(Hold(text)) == b"action=HOLD held by policy\n\n"


@given(st.text())
def test_a_text_cannot_forge_a_second_reply(text):
    for action in (Reject(550, "5.7.1", text), DeferIfPermit("4.3.0", text), Prepend("X-A", text), Hold(text)):
        reply = render(action)
        assert reply.startswith(b"action=")
        assert reply.endswith(b"\n\n")
        assert reply.count(b"\n") == 2
        assert b"\r" not in reply
        assert reply.count(b" ") >= 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: Reject(250, "5.7.1", "x"),
        lambda: Reject(550, "4.7.1", "x"),
        lambda: Reject(550, "", "x"),
        lambda: Reject(600, "5.0.0", "x"),
        lambda: Reject(550, "5.7.1\n", "x"),
        lambda: DeferIfPermit("5.3.0", "x"),
        lambda: Prepend("X A", "x"),
        lambda: Prepend("", "x"),
        lambda: Prepend("X:", "x"),
    ],
)
def test_actions_that_make_no_sense_cannot_be_made(make):
    with pytest.raises(ValueError, match=r"is no header name|has a dsn|and a dsn"):
        make()
