from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhooks.wire import sasl
from mailhooks.wire.auth import AuthRequest, ClientParser
from mailhooks.wire.auth.whole import plain_login
from mailhooks.wire.errors import WireError

WORDS = ["service=smtp", "service=imap", "protocol=pop3", "protocol=", "service", "nologin", "nologin=", "secured"]
WORDS += ["rip=192.0.2.1", "rip=::1", "rip", "lip=127.0.0.1", "session=a=b", "x=\x01t", "ä=ö", "", "resp=AAAA", "a\nb"]
TEXT = st.text(st.sampled_from("aÄ@.b \t\0\x01"), max_size=8)
BYTES = st.one_of(
    st.tuples(st.sampled_from(["", "", "", "x"]), TEXT, TEXT).map(lambda parts: "\0".join(parts).encode()),
    st.binary(max_size=9),
)
SPOILT = [b"", b"", b"", b"", b"=", b"\n", b"\tnologin", b"\tresp=", b" ", b"\r"]


@st.composite
def lines(draw):
    number = draw(st.sampled_from(["1", "42", "999999999", "4294967295", "01", "0", "1a", "", "²", "-1"]))
    mechanism = draw(st.sampled_from(["PLAIN", "PLAIN", "PLAIN", "plain", "LOGIN", ""]))
    command = draw(st.sampled_from(["AUTH", "AUTH", "AUTH", "CONT", "auth"]))
    head = "\t".join([command, number, mechanism, *draw(st.lists(st.sampled_from(WORDS), max_size=4))])
    resp = b64encode(draw(BYTES)) + draw(st.sampled_from(SPOILT))
    return head.encode() + b"\tresp=" + resp + draw(st.sampled_from([b"\n", b"\n", b"\n", b"\n\n", b""]))


def by_the_general_way(data):
    """The one request that the general way makes of this, and its credentials; None when it is something else."""
    parser = ClientParser()
    try:
        messages = parser.feed(data)
    except WireError:
        return None
    if parser.incomplete or len(messages) != 1 or not isinstance(messages[0], AuthRequest):
        return None
    request = messages[0]
    step = sasl.Plain().step(request.resp)
    if request.bad_base64 or request.mechanism != "PLAIN" or not isinstance(step, sasl.Credentials) or step.authzid:
        return None
    network = request.parameters.get("rip")
    return request.id, request.service, network, request.nologin, step.login, step.password


@given(lines())
def test_it_takes_no_line_in_another_way_than_the_general_way(data):
    found = plain_login(data)
    assert found is None or tuple(found) == by_the_general_way(data)


@pytest.mark.parametrize(
    "head",
    [
        "AUTH\t7\tPLAIN\tservice=smtp\tnologin\tlip=127.0.0.1\trip=192.0.2.1\tsecured",
        "AUTH\t7\tPLAIN\tservice=imap\tsecured\tsession=abc=\tlip=127.0.0.1\trip=192.0.2.1\tlport=143\trport=51234",
        "AUTH\t7\tPLAIN\tprotocol=imap\tsecured=tls\tfinal-resp-ok\trip=192.0.2.1\tlocal_name=mx",
    ],
)
def test_it_takes_what_postfix_and_both_dovecots_say(head):
    data = f"{head}\tresp=".encode() + b64encode("\0adam@example.com\0geheim€".encode()) + b"\n"
    found = plain_login(data)
    assert found is not None
    assert tuple(found) == by_the_general_way(data)


def test_a_line_that_is_too_long_is_for_the_general_way():
    data = b"AUTH\t1\tPLAIN\tservice=imap\tresp=" + b64encode(b"\0a@b\0" + b"x" * 20_000) + b"\n"
    assert plain_login(data) is None


def test_the_password_is_not_in_its_representation():
    found = plain_login(b"AUTH\t1\tPLAIN\tservice=imap\tresp=" + b64encode(b"\0adam@example.com\0geheim") + b"\n")
    assert "geheim" not in repr(found)
    assert "adam" in repr(found)
