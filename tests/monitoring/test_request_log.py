"""What the real daemon tells of requests: nothing, unless asked for by hook or by signal."""

from __future__ import annotations

import json
import re
import signal

import pytest
from live_daemon import ADAM, FOUND

from mailhooks.wire import policy, socketmap

REQUEST = re.compile(
    r"debug mailhooks\.request: hook=socketmap request=\d+ table=(\S+) result=(\S+) seconds=[\d.]+ about=(\S+)"
)
NOBODY = socketmap.request("virtual_mailbox_maps", "no one@example1.com")
POLICY = policy.render_request(
    policy.Request.of(
        {"request": "smtpd_access_policy", "protocol_state": "RCPT", "instance": "12ab.1", "recipient": "x@y"}
    )
)


def told(said):
    return REQUEST.findall(said)


def test_by_default_no_request_is_told(daemon):
    daemon.start()
    assert daemon.ask() == FOUND
    assert told(daemon.end()[2]) == []


def test_a_hook_at_debug_tells_each_of_its_requests(daemon):
    daemon.write("[log.hooks]\nsocketmap = 'debug'\n")
    daemon.start()
    with daemon.connect("socketmap") as client:
        for _ in range(4):  # the second is remembered and the third answered from memory, were it not told
            client.sendall(ADAM)
            assert client.recv(1000) == FOUND
        client.sendall(NOBODY)
        client.recv(1000)
    with daemon.connect("policy") as client:
        client.sendall(POLICY)
        client.recv(1000)
    said = daemon.end()[2]
    assert told(said) == [("virtual_mailbox_maps", "found", "adam@example1.com")] * 4 + [
        ("virtual_mailbox_maps", "notfound", "no%20one@example1.com")
    ]
    assert "hook=policy" not in said
    assert len(set(re.findall(r"request=(\d+)", said))) == 5


def test_json_tells_the_fields_apart(daemon):
    daemon.write("[log]\nformat = 'json'\nlevel = 'debug'\n")
    daemon.start()
    with daemon.connect("policy") as client:
        client.sendall(POLICY)
        assert client.recv(1000) == b"action=DUNNO\n\n"
    lines = [json.loads(line) for line in daemon.end()[2].splitlines()]
    (line,) = [line for line in lines if line["logger"] == "mailhooks.request"]
    assert (line["hook"], line["result"], line["about"], line["level"]) == ("policy", "dunno", "12ab.1", "debug")
    assert isinstance(line["seconds"], float)
    assert isinstance(line["request"], int)


def test_sigusr1_has_everything_told_and_the_next_one_ends_it(daemon):
    daemon.start()
    daemon.ask(), daemon.ask()  # remembered now
    daemon.process.send_signal(signal.SIGUSR1)
    daemon.says("everything is told")
    assert daemon.ask() == FOUND
    daemon.says("hook=socketmap request=1 ")
    daemon.process.send_signal(signal.SIGUSR1)
    daemon.says("back to the levels")
    assert daemon.ask() == FOUND
    assert told(daemon.end()[2]) == []


def test_sighup_takes_other_levels_and_keeps_the_old_ones_when_they_are_wrong(daemon):
    daemon.start()
    daemon.write("[log.hooks]\nsocketmap = 'debug'\n")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.says("configuration read again")
    daemon.ask()
    daemon.says("hook=socketmap request=1 ")
    daemon.write("[log.hooks]\nsocket = 'debug'\n")
    daemon.process.send_signal(signal.SIGHUP)
    assert "log.hooks: there is no hook 'socket'" in daemon.says("the old one stays")
    daemon.ask()
    daemon.says("hook=socketmap request=2 ")


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("[log.hooks]\npolicies = 'debug'\n", "log.hooks: there is no hook 'policies'"),
        ("[log.hooks]\npolicy = 'loud'\n", "log.hooks.policy is one of debug, info, warn, error"),
    ],
)
def test_a_wrong_level_ends_the_start_with_one_line(daemon, lines, words):
    daemon.write(lines)
    code, said = daemon.fails()
    assert code == 2
    assert words in said
    assert "Traceback" not in said
