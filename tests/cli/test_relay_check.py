"""``relay check`` talks to a real socket, and says what the relay host says."""

from __future__ import annotations

import base64
import socketserver
import threading

import pytest

from mailhooks.cli import relaycheck
from mailhooks.cli.errors import BadInput

TOKEN = base64.b64encode(b"\0user\0pass word").decode()


class RelayHost(socketserver.StreamRequestHandler):
    """Speaks as much SMTP as a client needs that logs in without TLS."""

    timeout = 20

    def handle(self):
        self.say("220 relay.test")
        for line in self.rfile:
            words = line.decode().split()
            verb = words[0].upper()
            if verb == "EHLO":
                self.say("250-relay.test\r\n250 AUTH PLAIN")
            elif verb == "AUTH":
                self.say("235 2.7.0 ok" if words[2:] == [TOKEN] else "535 5.7.8 wrong \x1b[31mpassword")
            else:
                self.say("221 bye")
                return

    def say(self, text):
        self.wfile.write(f"{text}\r\n".encode())


@pytest.fixture
def nexthop():
    with socketserver.TCPServer(("127.0.0.1", 0), RelayHost) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"[127.0.0.1]:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def lax(shell):
    with (shell.directory / "mailhooks.toml").open("a") as stream:
        stream.write('[server]\nrelay_tls = "may"\n')
    return shell


def add(shell, nexthop, password):
    shell.ok("relay", "add", nexthop, "--username", "user", "--password-stdin", given=f"{password}\n")


def test_accepted(lax, nexthop):
    add(lax, nexthop, "pass word")
    assert lax.ok("relay", "check", nexthop) == f"{nexthop} accepts user\n"


def test_refused(lax, nexthop):
    add(lax, nexthop, "wrong one")
    said = lax.fails(1, "relay", "check", nexthop)
    assert "refuses user: 535 5.7.8 wrong ?[31mpassword" in said
    assert "wrong one" not in said


def test_no_password_goes_out_in_clear(shell, nexthop):
    add(shell, nexthop, "pass word")
    assert "STARTTLS" in shell.fails(1, "relay", "check", nexthop)


def test_nobody_is_there(lax):
    with socketserver.TCPServer(("127.0.0.1", 0), RelayHost) as closed:
        port = closed.server_address[1]
    add(lax, f"[127.0.0.1]:{port}", "x")
    assert "cannot be reached" in lax.fails(75, "relay", "check", f"[127.0.0.1]:{port}")


@pytest.mark.parametrize(
    ("nexthop", "host", "port"),
    [
        ("[smtp.example.net]:587", "smtp.example.net", 587),
        ("[smtp.example.net]", "smtp.example.net", 25),
        ("smtp.example.net:submission", "smtp.example.net", 587),
        ("[IPv6:2001:db8::1]:465", "2001:db8::1", 465),
        ("[2001:db8::1]", "2001:db8::1", 25),
    ],
)
def test_next_hops(nexthop, host, port):
    assert relaycheck.parse(nexthop) == (host, port)


@pytest.mark.parametrize("nexthop", ["", "[]", "a b", "[x]:0", "[x]:99999", "x:nowhere", "[x"])
def test_no_next_hops(nexthop):
    with pytest.raises(BadInput):
        relaycheck.parse(nexthop)
