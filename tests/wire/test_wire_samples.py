"""What the stock daemons said, cut in every way: recorded with mailhooks (tests/record.py), or captured elsewhere."""

from __future__ import annotations

import pytest
from feeding import check, run
from recordings import PATHS, SAMPLES, name, read

from mailhooks.wire import auth, policy, socketmap, tcp_table
from mailhooks.wire import dict as wire_dict

PARSERS = {
    "auth": auth.ClientParser,
    "login": auth.ClientParser,
    "auth-master": auth.MasterParser,
    "auth-userdb": auth.MasterParser,
    "dict": wire_dict.DictParser,
    "policy": policy.RequestParser,
    "socketmap": socketmap.RequestParser,
    "tcp_table": tcp_table.RequestParser,
}


def streams():
    """All that was said on one connection, for every connection: its hook, what to call it, and the bytes."""
    for path in PATHS:
        said = [each for each in read(path) if each.who == "C>"]
        for connection in dict.fromkeys(each.connection for each in said):
            data = b"".join(each.data for each in said if each.connection == connection)
            yield connection.split()[0], f"{name(path)}-{connection}", data
    for path in sorted(SAMPLES.glob("tcp_table/*.client")):
        yield "tcp_table", path.stem, path.read_bytes()


STREAMS = list(streams())


def test_every_protocol_is_recorded_in_both_generations():
    for version, hooks in {
        "2.3": {"login", "auth-master", "auth-userdb", "dict"},
        "2.4": {"login", "auth-master", "auth-userdb", "dict"},
        "3.7": {"auth", "policy", "socketmap"},
        "3.10": {"auth", "policy", "socketmap"},
    }.items():
        assert {said.hook for path in PATHS if path.parent.name == version for said in read(path)} == hooks


@pytest.mark.parametrize(("hook", "sample"), [pytest.param(hook, data, id=title) for hook, title, data in STREAMS])
def test_recorded_stream(hook, sample):
    make = PARSERS[hook]
    values, fault = run(make(), [sample])
    assert fault is None
    assert values
    check(make, sample, values)


def test_lookups_of_postfix_can_be_read():
    for hook, _, sample in STREAMS:
        if hook == "socketmap":
            assert all(all(socketmap.parse_request(each)) for each in socketmap.RequestParser().feed(sample))
        if hook == "tcp_table":
            assert all(tcp_table.parse_request(each) for each in tcp_table.RequestParser().feed(sample))


def test_no_recording_tells_where_it_was_made():
    for path in PATHS:
        for said in read(path):
            assert b"/tmp" not in said.data
            assert b"mailhooks-" not in said.data
