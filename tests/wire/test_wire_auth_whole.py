from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given, settings
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


# What the clients write, in their order, and at the end what is odd there.
IN_ORDER = [
    (["service=smtp", "protocol=imap"], ["service=", "protocol=\x01t", "service=ö", "nologin"]),
    (["nologin"], ["nologin=", "nologin=x"]),
    (["final-resp-ok"], ["valid-client-cert"]),
    (["secured", "secured=tls"], ["secured=trusted", "secured="]),
    (["session=abc="], ["session=", "session=a\nb", "session"]),
    (["lip=127.0.0.1", "lip=192.0.2.1", "lip=::1"], ["lip=", "lip"]),
    (["rip=127.0.0.1", "rip=192.0.2.1", "rip=::1"], ["rip=", "rip", "rip=rubb ish"]),
    (["lport=143", "real_rip=192.0.2.7", "ssl_ja3_hash=abc"], ["rip=192.0.2.2", "lip=192.0.2.1", "port=7"]),
    (["rport=51234", "local_name=mx", "client_id=x"], ["nologin", "service=imap", "protocol=pop3"]),
    (["secured"], ["secured=tls", "resp=AAAA"]),
]


@st.composite
def usual_lines(draw):
    odd_at = draw(st.integers(0, 3 * len(IN_ORDER)))  # one at most, for two hide each other
    fields = [
        draw(st.sampled_from(odd if at == odd_at else usual))
        for at, (usual, odd) in enumerate(IN_ORDER)
        if at == 0 or draw(st.booleans())
    ]
    number = draw(st.sampled_from(["1", "1", "999999999", "1000000000", "01"]))
    resp = b64encode(draw(st.one_of(st.just("\0adam@e.test\0geheim€".encode()), BYTES)))
    return "\t".join(["AUTH", number, "PLAIN", *fields]).encode() + b"\tresp=" + resp + b"\n"


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
    if request.in_clear:
        return None
    return str(request.id), request.service, request.nologin, network, step.login, step.password


@settings(max_examples=500)
@given(st.one_of(lines(), usual_lines()))
def test_it_takes_no_line_in_another_way_than_the_general_way(data):
    found = plain_login(data)
    assert found is None or found == by_the_general_way(data)


@pytest.mark.parametrize(
    "head",
    [
        "AUTH\t7\tPLAIN\tservice=smtp\tnologin\tlip=127.0.0.1\trip=192.0.2.1\tsecured",
        "AUTH\t7\tPLAIN\tservice=smtp\tnologin\tlip=127.0.0.1\trip=192.0.2.1",  # without TLS
        "AUTH\t7\tPLAIN\tservice=imap\tsecured=tls\tsession=abc=\tlip=192.0.2.1\trip=192.0.2.1\tlport=143\trport=5",
        "AUTH\t7\tPLAIN\tservice=imap\tsecured\tsession=abc=\tlip=127.0.0.1\trip=192.0.2.1\tlport=143\trport=51234",
        "AUTH\t7\tPLAIN\tprotocol=imap\tfinal-resp-ok\tsecured=tls\trip=192.0.2.1\tlocal_name=mx",
        "AUTH\t7\tPLAIN\tprotocol=imap\tsession=a/B+c\tlip=::1\trip=::1\tlport=993\trport=5\tssl_ja3_hash=c12b4ccd5320",
    ],
)
def test_it_takes_what_postfix_and_both_dovecots_say(head):
    data = f"{head}\tresp=".encode() + b64encode("\0adam@example.com\0geheim€".encode()) + b"\n"
    found = plain_login(data)
    assert found is not None
    assert found == by_the_general_way(data)


def test_a_line_that_is_too_long_is_for_the_general_way():
    data = b"AUTH\t1\tPLAIN\tservice=imap\tresp=" + b64encode(b"\0a@b\0" + b"x" * 20_000) + b"\n"
    assert plain_login(data) is None


@pytest.mark.parametrize("secured", ["", "\tsecured"])
def test_a_password_that_came_in_clear_from_the_own_address_is_for_the_general_way(secured):
    head = f"AUTH\t1\tPLAIN\tservice=smtp\tnologin\tlip=192.0.2.1\trip=192.0.2.1{secured}"
    assert plain_login(f"{head}\tresp=".encode() + b64encode(b"\0a@b\0x") + b"\n") is None
