from __future__ import annotations

from base64 import b64encode

import pytest
from feeding import check, check_any, check_bounded, check_fault, cut, run
from hypothesis import given
from hypothesis import strategies as st

from mailhooks.wire import auth, tabs
from mailhooks.wire.auth import AuthRequest, Cancel, ClientParser, Continue, Cpid, Version
from mailhooks.wire.errors import WireError

BO = b"\0bo@ex.test\0secret"
BO64 = b64encode(BO)

# As captured from Dovecot 2.3.19.1 and 2.4.1 and from Postfix 3.7 and 3.10.
IMAP_LOGIN_23 = b"VERSION\t1\t2\nCPID\t10662\n"
AUTH_23 = (
    b"AUTH\t1\tPLAIN\tservice=imap\tsecured\tsession=RsqGANhgsMV/AAAB\tlip=127.0.0.1\trip=127.0.0.1"
    b"\tlport=12143\trport=50608\tresp=" + BO64 + b"\n"
)
AUTH_24 = (
    b"AUTH\t1\tPLAIN\tprotocol=imap\tfinal-resp-ok\tsecured\tsession=FDz9BNhgTtV/AAAB\tlip=127.0.0.1\trip=127.0.0.1"
    b"\tlport=13143\trport=54606\tresp=" + BO64 + b"\n"
)
AUTH_POSTFIX = b"AUTH\t1\tPLAIN\tservice=smtp\tnologin\tlip=127.0.0.1\trip=127.0.0.1\tresp=" + BO64 + b"\n"
AUTH_POSTFIX_LOGIN = b"AUTH\t2\tLOGIN\tservice=smtp\tnologin\tlip=127.0.0.1\trip=127.0.0.1\tsecured\n"


def one(line):
    (message,) = ClientParser().feed(line)
    return message


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        (IMAP_LOGIN_23, [Version(1, 2), Cpid(10662)]),
        (b"VERSION\t1\t3\nCPID\t1\n", [Version(1, 3), Cpid(1)]),
        (b"VERSION\t1\t0\nCPID\t13405\n", [Version(1, 0), Cpid(13405)]),
        (b"VERSION\t1\t99\n", [Version(1, 99)]),
        (b"CONT\t2\tYWxpY2U=\n", [Continue(2, b"alice")]),
        (b"CANCEL\t7\n", [Cancel(7)]),
    ],
)
def test_captured_lines(sample, expected):
    check(ClientParser, sample, expected)


def test_auth_of_dovecot_2_3():
    request = one(AUTH_23)
    assert (request.id, request.mechanism, request.service, request.generation) == (1, "PLAIN", "imap", "2.3")
    assert (request.secured, request.tls, request.nologin, request.final_resp_ok) == (True, False, False, False)
    assert request.parameters["rip"] == "127.0.0.1"
    assert request.parameters["session"] == "RsqGANhgsMV/AAAB"
    assert request.resp == BO
    check(ClientParser, AUTH_23, [request])


def test_auth_of_dovecot_2_4_says_protocol():
    request = one(AUTH_24)
    assert (request.service, request.generation, request.final_resp_ok) == ("imap", "2.4", True)
    assert request.resp == BO
    check(ClientParser, AUTH_24, [request])


def test_auth_of_postfix():
    request = one(AUTH_POSTFIX)
    assert (request.service, request.generation, request.nologin, request.secured) == ("smtp", "2.3", True, False)
    assert request.resp == BO
    check(ClientParser, AUTH_POSTFIX, [request])
    request = one(AUTH_POSTFIX_LOGIN)
    assert (request.mechanism, request.secured, request.resp) == ("LOGIN", True, None)


def test_secured_is_not_tls_unless_it_says_so():
    request = one(b"AUTH\t1\tPLAIN\tservice=imap\tsecured=tls\n")
    assert (request.secured, request.tls) == (True, True)


def test_two_requests_in_one_segment():
    first, second = ClientParser().feed(AUTH_POSTFIX + AUTH_POSTFIX_LOGIN)
    assert (first.id, second.id) == (1, 2)


def test_a_fragmented_line_and_what_follows_it():
    parser = ClientParser()
    assert parser.feed(IMAP_LOGIN_23 + AUTH_23[:20]) == [Version(1, 2), Cpid(10662)]
    assert parser.incomplete
    assert parser.feed(AUTH_23[20:] + b"CANC") == [one(AUTH_23)]
    assert parser.feed(b"EL\t1\n") == [Cancel(1)]
    assert not parser.incomplete


def test_request_over_1024_bytes():
    line = AUTH_23.replace(b"session=", b"client_id=" + b"x" * 10_000 + b"\tsession=")
    check_whole_and_cut(line, [one(line)])


def check_whole_and_cut(line, expected):
    assert run(ClientParser(), [line, line]) == ([*expected, *expected], None)
    assert run(ClientParser(), cut(line + line)) == ([*expected, *expected], None)


def test_line_limit():
    line = b"AUTH\t1\tPLAIN\tservice=imap\tx="
    longest = line + b"y" * (16_384 - len(line))
    assert len(run(ClientParser(), [longest + b"\n"])[0]) == 1
    check_fault(ClientParser, longest + b"y\n", "oversized")
    check_bounded(ClientParser, b"AUTH\t", 16_384)


def test_resp_present_but_empty_is_treated_as_absent():
    request = one(b"AUTH\t1\tLOGIN\tservice=smtp\tresp=\n")
    assert (request.resp, request.bad_base64) == (None, False)


def test_resp_is_no_parameter_and_in_no_repr():
    request = one(AUTH_23)
    assert "resp" not in request.parameters
    assert "secret" not in repr(request)
    assert BO64.decode() not in repr(request)
    assert "secret" not in repr(one(b"CONT\t1\t" + b64encode(b"secret") + b"\n"))


@pytest.mark.parametrize(
    "rubbish", [b"!", b"A", b"AA", b"AAA", b"=", b"AA==A", b"A A=", b"AA==\r", b"AAAA=", b"\xc3\xa4"]
)
def test_base64_rubbish_is_marked_and_no_fault_of_the_protocol(rubbish):
    request = one(b"AUTH\t1\tPLAIN\tservice=imap\tresp=" + rubbish + b"\n")
    assert (request.resp, request.bad_base64) == (None, True)
    assert one(b"CONT\t1\t" + rubbish + b"\n") == Continue(1, b"", bad_base64=True)


def test_password_with_a_tab_is_safe_in_base64():
    assert one(b"AUTH\t1\tPLAIN\tservice=imap\tresp=AGFsQGV4LnRlc3QAcHcJeA==\n").resp == b"\0al@ex.test\0pw\tx"


def test_cont_with_an_empty_third_field():
    check(ClientParser, b"CONT\t1\t\n", [Continue(1, b"")])


def test_cont_with_a_field_of_2_4_behind_it():
    assert one(b"CONT\t1\tYWxpY2U=\tchannel_binding=AAAA\n") == Continue(1, b"alice")


def test_equals_signs_and_escapes_in_parameters():
    request = one(b"AUTH\t1\tPLAIN\tservice=imap\tclient_id=a=b\x01tc\tlocal_name=\x011\n")
    assert request.parameters["client_id"] == "a=b\tc"
    assert request.parameters["local_name"] == "\x01"


def test_unknown_parameters_are_kept_and_forward_fields_stay_closed():
    inner = tabs.join("original_rip=192.0.2.9", "x=1")[:-1].decode()
    request = one(tabs.join("AUTH", "1", "PLAIN", "service=imap", f"forward_fields={inner}"))
    assert request.parameters["forward_fields"] == inner
    assert "original_rip" not in request.parameters


def test_mechanisms_have_no_case():
    assert one(b"AUTH\t1\tplain\tservice=smtp\n").mechanism == "PLAIN"


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b"\n", "unknown_command"),
        (b"HELLO\t1\n", "unknown_command"),
        (b"version\t1\t0\n", "unknown_command"),
        (b"MECH\tPLAIN\n", "unknown_command"),
        (b"VERSION\t1\t0\r\nCPID\t1\n", "field"),
        (b"VERSION\n", "field"),
        (b"VERSION\t1\n", "field"),
        (b"VERSION\t1\tx\n", "field"),
        (b"VERSION\t2\t0\n", "version"),
        (b"VERSION\t0\t1\n", "version"),
        (b"CPID\n", "field"),
        (b"CPID\tx\n", "field"),
        (b"CPID\t0\n", "field"),
        (b"AUTH\n", "field"),
        (b"AUTH\t0\tPLAIN\tservice=imap\n", "field"),
        (b"AUTH\t-1\tPLAIN\tservice=imap\n", "field"),
        (b"AUTH\t4294967296\tPLAIN\tservice=imap\n", "field"),
        (b"AUTH\t" + b"9" * 5000 + b"\tPLAIN\tservice=imap\n", "field"),
        (b"AUTH\t1_0\tPLAIN\tservice=imap\n", "field"),
        (b"AUTH\t 1\tPLAIN\tservice=imap\n", "field"),
        ("AUTH\t²\tPLAIN\tservice=imap\n".encode(), "field"),
        (b"AUTH\t1\tPLAIN\tlip=127.0.0.1\n", "field"),
        (b"AUTH\t1\tPLAIN\tservice=\n", "field"),
        (b"AUTH\t1\tPLAIN\tservice=imap\tx=\xff\n", "encoding"),
        (b"CONT\t1\n", "field"),
        (b"CONT\n", "field"),
        (b"CANCEL\n", "field"),
    ],
)
def test_line_that_is_none(line, kind):
    check_fault(ClientParser, line, kind)


def test_messages_before_a_fault_are_kept():
    check_fault(ClientParser, IMAP_LOGIN_23 + b"HELLO\n", "unknown_command", [Version(1, 2), Cpid(10662)])
    check_fault(ClientParser, b"CPID\t1\n" + b"x" * 16_385, "oversized", [Cpid(1)])
    check_fault(ClientParser, b"CPID\t1\nHELLO\n" + b"x" * 16_385, "unknown_command", [Cpid(1)])


def test_a_fault_never_repeats_what_was_said():
    for line in (b"SECRET\t1\n", b"AUTH\tSECRET\n", b"AUTH\t1\tPLAIN\tSECRET\n", b"AUTH\t1\tSECRET\xff\n"):
        with pytest.raises(WireError) as caught:
            ClientParser().feed(line)
        assert "SECRET" not in str(caught.value)


pieces = st.sampled_from(
    [
        IMAP_LOGIN_23,
        AUTH_23,
        AUTH_24,
        b"CONT\t1\t",
        b"CANCEL\t1\n",
        b"\n",
        b"\t",
        b"\x01",
        b"\xff",
        b"resp=A\n",
        b"AUTH\t",
    ]
)


@given(st.lists(pieces | st.binary(max_size=5)), st.integers(1, 40))
def test_any_input(parts, size):
    check_any(ClientParser, b"".join(parts), size)


@given(
    st.integers(1, 2**32 - 1),
    st.dictionaries(st.text(min_size=1).filter(lambda name: "=" not in name and name != "resp"), st.text()),
    st.none() | st.binary(min_size=1),
)
def test_requests_round_trip(number, given_parameters, resp):
    parameters = {**given_parameters, "service": "imap"}
    parameters.pop("protocol", None)
    fields = [f"{name}={value}" for name, value in parameters.items()]
    if resp is not None:
        fields.append(f"resp={b64encode(resp).decode()}")
    line = tabs.join("AUTH", str(number), "PLAIN", *fields)
    assert one(line) == AuthRequest(number, "PLAIN", "imap", parameters, resp)


def test_greeting_says_all_in_the_order_that_postfix_needs():
    greeting = auth.greeting(
        [("PLAIN", "plaintext"), ("LOGIN", "plaintext")], 14949, 4, "1f9afb3689515afc7079d0b274fb03d0"
    )
    assert greeting == (
        b"VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tLOGIN\tplaintext\nSPID\t14949\nCUID\t4\n"
        b"COOKIE\t1f9afb3689515afc7079d0b274fb03d0\nDONE\n"
    )


@pytest.mark.parametrize(
    ("mechanisms", "spid", "cookie"),
    [([], 1, "0" * 32), ([("PLAIN",)], 0, "0" * 32), ([("PLAIN",)], 1, "0" * 4)],
)
def test_greeting_that_would_break_clients_cannot_be_made(mechanisms, spid, cookie):
    with pytest.raises(ValueError, match="a greeting has"):
        auth.greeting(mechanisms, spid, 1, cookie)


def test_replies():
    assert auth.challenge(1, b"") == b"CONT\t1\t\n"
    assert auth.challenge(2, b"Username:") == b"CONT\t2\tVXNlcm5hbWU6\n"
    assert auth.challenge(2, b"Password:") == b"CONT\t2\tUGFzc3dvcmQ6\n"
    assert auth.success(1, "bo@ex.test") == b"OK\t1\tuser=bo@ex.test\n"
    assert auth.success(1, "bo@ex.test", original_user="al") == b"OK\t1\tuser=bo@ex.test\toriginal_user=al\n"
    assert auth.success(1, "bo@ex.test", resp=b"v=x") == b"OK\t1\tuser=bo@ex.test\tresp=dj14\n"
    assert auth.failure(3) == b"FAIL\t3\n"
    assert auth.failure(3, user="bo@ex.test", code="temp_fail") == b"FAIL\t3\tuser=bo@ex.test\tcode=temp_fail\n"
    assert (
        auth.failure(5, code="invalid_base64", reason="Invalid base64 data in initial response")
        == b"FAIL\t5\tcode=invalid_base64\treason=Invalid base64 data in initial response\n"
    )
    assert auth.cancelled(9) == b"CANCELLED\t9\n"


@given(st.text(), st.text(), st.binary())
def test_replies_are_one_line_whatever_is_in_them(user, reason, data):
    for line in (auth.success(1, user), auth.failure(1, user=user, reason=reason), auth.challenge(1, data)):
        assert line.count(b"\n") == 1
        assert line.endswith(b"\n")
    assert tabs.split(auth.success(1, user)[:-1]) == ["OK", "1", f"user={user}"]


def test_reply_longer_than_a_client_takes_is_our_fault_and_not_sent():
    with pytest.raises(WireError) as caught:
        auth.success(1, "x" * 16_384)
    assert caught.value.kind == "oversized"
