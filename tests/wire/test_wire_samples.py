from __future__ import annotations

from pathlib import Path

import pytest
from feeding import check, run

from mailhooks.wire import auth, policy, socketmap, tcp_table
from mailhooks.wire import dict as wire_dict

SAMPLES = Path(__file__).parent.parent / "samples"
PARSERS = {
    "auth_client": auth.ClientParser,
    "auth_master": auth.MasterParser,
    "dict": wire_dict.DictParser,
    "policy": policy.RequestParser,
    "socketmap": socketmap.RequestParser,
    "tcp_table": tcp_table.RequestParser,
}
CONVERSATIONS = sorted(SAMPLES.glob("*/*.client"))


@pytest.mark.parametrize("path", CONVERSATIONS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_recorded_conversation(path):
    make, sample = PARSERS[path.parent.name], path.read_bytes()
    values, fault = run(make(), [sample])
    assert fault is None
    assert values
    check(make, sample, values)


def test_every_protocol_has_a_conversation():
    assert {path.parent.name for path in CONVERSATIONS} == set(PARSERS)


def test_lookups_of_postfix_can_be_read():
    for path in SAMPLES.glob("socketmap/*.client"):
        for payload in socketmap.RequestParser().feed(path.read_bytes()):
            assert all(socketmap.parse_request(payload))
    for path in SAMPLES.glob("tcp_table/*.client"):
        for line in tcp_table.RequestParser().feed(path.read_bytes()):
            assert tcp_table.parse_request(line)


def test_answers_to_smtpd():
    expected = (SAMPLES / "auth_client" / "smtpd-plain-login-3.7.server").read_bytes()
    made = [
        auth.success(1, "alice"),
        auth.challenge(2, b"Username:"),
        auth.challenge(2, b"Password:"),
        auth.success(2, "alice"),
    ]
    assert b"".join(made) == expected
