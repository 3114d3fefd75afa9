from __future__ import annotations

import pytest
from feeding import check, check_any, check_bounded, check_fault
from hypothesis import given
from hypothesis import strategies as st

from mailhooks.wire import auth, tabs
from mailhooks.wire.auth import (
    CacheFlush,
    ListRequest,
    LoginRequest,
    MasterParser,
    PassRequest,
    UserRequest,
    Version,
)
from mailhooks.wire.errors import WireError

COOKIE = "f46743116431d9df95a7a75d040f149d"
PLACES = {"lip": "127.0.0.1", "lport": "12024", "rip": "127.0.0.1", "rport": "49542"}

# The first, second and tenth as captured from Dovecot 2.3.19.1 and 2.4.1, the others in their form.
SAMPLES = [
    (
        b"VERSION\t1\t0\nUSER\t1\tbo@ex.test\tservice=lmtp\tlip=127.0.0.1\tlport=12024\trip=127.0.0.1\trport=49542\n",
        [Version(1, 0), UserRequest(1, "bo@ex.test", "lmtp", "2.3", {"service": "lmtp", **PLACES})],
    ),
    (
        b"VERSION\t1\t3\nUSER\t1\tbo@ex.test\tprotocol=lmtp\tlip=127.0.0.1\tlport=12024\trip=127.0.0.1\trport=49542\n",
        [Version(1, 3), UserRequest(1, "bo@ex.test", "lmtp", "2.4", {"protocol": "lmtp", **PLACES})],
    ),
    (
        b"PASS\t1\tbo@ex.test\tservice=doveadm\n",
        [PassRequest(1, "bo@ex.test", "doveadm", "2.3", {"service": "doveadm"})],
    ),
    (b"LIST\t1\tuser=*\tservice=doveadm\n", [ListRequest(1, "*", "doveadm")]),
    (b"LIST\t2\tuser=b?@*\tprotocol=doveadm\n", [ListRequest(2, "b?@*", "doveadm")]),
    (b"LIST\t1\n", [ListRequest(1, "*", "")]),
    (b"LIST\t1\tuser=\n", [ListRequest(1, "*", "")]),
    (b"CACHE-FLUSH\t1\n", [CacheFlush(1, ())]),
    (b"CACHE-FLUSH\t1\tbo@ex.test\tal@ex.test\n", [CacheFlush(1, ("bo@ex.test", "al@ex.test"))]),
    (
        f"VERSION\t1\t1\nREQUEST\t3358588929\t10662\t1\t{COOKIE}\tsession_pid=10664\trequest_auth_token\n".encode(),
        [Version(1, 1), LoginRequest(3358588929, 10662, 1, COOKIE, 10664, auth_token=True)],
    ),
    (f"REQUEST\t7\t10662\t1\t{COOKIE}\n".encode(), [LoginRequest(7, 10662, 1, COOKIE)]),
]


@pytest.mark.parametrize(("sample", "expected"), SAMPLES)
def test_samples(sample, expected):
    check(MasterParser, sample, expected)


def test_a_user_may_hold_what_had_to_be_escaped():
    (request,) = MasterParser().feed(b"USER\t1\ta\x01tb@ex.test\tservice=lmtp\n")
    assert request.user == "a\tb@ex.test"


def test_the_cookie_is_in_no_repr():
    (request,) = MasterParser().feed(f"REQUEST\t7\t10662\t1\t{COOKIE}\n".encode())
    assert COOKIE not in repr(request)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b"\n", "unknown_command"),
        (b"AUTH\t1\tPLAIN\tservice=imap\n", "unknown_command"),
        (b"VERSION\t2\t0\n", "version"),
        (b"USER\n", "field"),
        (b"USER\t1\n", "field"),
        (b"USER\t1\t\tservice=lmtp\n", "field"),
        (b"USER\t1\tbo@ex.test\n", "field"),
        (b"USER\tx\tbo@ex.test\tservice=lmtp\n", "field"),
        (b"USER\t1\t\xff\tservice=lmtp\n", "encoding"),
        (b"LIST\n", "field"),
        (b"CACHE-FLUSH\n", "field"),
        (b"REQUEST\t1\t2\t3\n", "field"),
        (b"REQUEST\t1\tx\t3\tabc\n", "field"),
        (b"REQUEST\t1\t2\tx\tabc\n", "field"),
        (b"REQUEST\t1\t2\t3\tabc\tsession_pid=x\n", "field"),
    ],
)
def test_line_that_is_none(line, kind):
    check_fault(MasterParser, line, kind)


def test_memory_is_bounded():
    check_bounded(MasterParser, b"USER\t1\t", 16_384)


@given(st.lists(st.sampled_from([sample for sample, _ in SAMPLES]) | st.binary(max_size=5)), st.integers(1, 40))
def test_any_input(parts, size):
    check_any(MasterParser, b"".join(parts), size)


def test_greeting_is_version_and_spid_and_nothing_more():
    assert auth.master_greeting(14949) == b"VERSION\t1\t1\nSPID\t14949\n"
    with pytest.raises(ValueError, match="SPID"):
        auth.master_greeting(0)


def test_replies():
    fields = {"uid": "5000", "gid": "5000", "home": "/var/mail/ex.test/bo", "quota_rule": "*:storage=20K"}
    assert (
        auth.user_reply(1, "bo@ex.test", fields)
        == b"USER\t1\tbo@ex.test\tuid=5000\tgid=5000\thome=/var/mail/ex.test/bo\tquota_rule=*:storage=20K\n"
    )
    assert (
        auth.pass_reply(2, "bo@ex.test", {"password": "{PLAIN}x"}) == b"PASS\t2\tuser=bo@ex.test\tpassword={PLAIN}x\n"
    )
    assert auth.not_found(3358588929) == b"NOTFOUND\t3358588929\n"
    assert auth.fail(1) == b"FAIL\t1\n"
    assert auth.fail(1, "disk moved") == b"FAIL\t1\treason=disk moved\n"
    assert auth.list_item(1, "bo@ex.test") == b"LIST\t1\tbo@ex.test\n"
    assert auth.list_done(1) == b"DONE\t1\t\n"
    assert auth.list_done(1, ok=False) == b"DONE\t1\tfail\n"
    assert auth.flushed(1, 3) == b"OK\t1\t3\n"


def test_user_line_is_at_most_8191_bytes():
    empty = len(auth.user_reply(1, "bo", {"home": ""}))
    assert len(auth.user_reply(1, "bo", {"home": "x" * (8191 - empty)})) == 8191
    with pytest.raises(WireError) as caught:
        auth.user_reply(1, "bo", {"home": "x" * (8192 - empty)})
    assert caught.value.kind == "oversized"


@given(st.text(), st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=5))
def test_user_replies_round_trip(user, fields):
    line = auth.user_reply(1, user, fields)
    assert line.count(b"\n") == 1
    assert tabs.split(line[:-1]) == ["USER", "1", user, *(f"{name}={value}" for name, value in fields.items())]
