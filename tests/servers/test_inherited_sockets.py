"""Sockets that a service manager passes: which hook takes them, and what is left of them when the daemon ends."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys

import pytest
from live_daemon import ADAM, FOUND, LIMIT, ROOT, Daemon

from mailhooks.inherited import Inherited, place

UNIX = Inherited(0, "socketmap", "UNIX", "")
TCP = Inherited(1, "socketmap", "INET", "127.0.0.1")
OTHER = Inherited(2, "policy", "UNIX", "")
ODD = Inherited(3, "socketmap", "VSOCK", "")

ON_UNIX, ON_TCP, ON_TLS = "unix:/run/x", "tcp:1:interface=127.0.0.1", "ssl:1:privateKey=k"


@pytest.mark.parametrize(
    ("passed", "texts", "listened"),
    [
        ([], (ON_UNIX,), (ON_UNIX,)),
        ([UNIX, OTHER], (ON_UNIX,), ("systemd:domain=UNIX:index=0",)),
        ([UNIX], (ON_TCP, ON_UNIX), ("systemd:domain=UNIX:index=0", ON_TCP)),
        ([UNIX, TCP], (ON_UNIX, ON_TCP), ("systemd:domain=UNIX:index=0", "systemd:domain=INET:index=1")),
        ([UNIX, UNIX], (ON_UNIX,), ("systemd:domain=UNIX:index=0",) * 2),
        ([UNIX], (), ()),  # switched off
        ([UNIX], ("systemd:domain=UNIX:name=mine",), ("systemd:domain=UNIX:name=mine",)),
        ([TCP], (ON_UNIX,), (ON_UNIX,)),  # nobody asked for TCP
        ([TCP], (ON_TLS,), (ON_TLS,)),
        ([ODD], (ON_UNIX,), (ON_UNIX,)),
    ],
)
def test_a_socket_stands_in_for_the_strings_of_its_kind(passed, texts, listened):
    assert place("socketmap", texts, passed) == listened


# Moves the descriptors to where systemd passes them, and becomes the program.
LAUNCHER = """
import os, sys
count = int(os.environ["LISTEN_FDS"])
for place, descriptor in enumerate(map(int, sys.argv[1 : count + 1])):
    os.dup2(descriptor, 3 + place)
    os.close(descriptor)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[count + 1], sys.argv[count + 1 :])
"""


class Activated(Daemon):
    """``mailhooks serve`` as systemd starts it: with listening sockets from descriptor 3 on."""

    def __init__(self, directory):
        super().__init__(directory)
        self.passed = {hook: self.bind(path) for hook, path in self.sockets.items()}
        self.passed["http"] = socket.create_server(("127.0.0.1", 0))
        self.port = self.passed["http"].getsockname()[1]

    def bind(self, path):
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(str(path))
        path.chmod(0o620)
        sock.listen()
        return sock

    def start(self, *arguments):
        high = [os.dup2(sock.fileno(), 50 + place) for place, sock in enumerate(self.passed.values())]
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-c", LAUNCHER, *map(str, high)),
                *(sys.executable, "-m", "mailhooks", "--config", str(self.config), "serve", *arguments),
            ],
            cwd=ROOT,
            env=os.environ | {"LISTEN_FDS": str(len(high)), "LISTEN_FDNAMES": ":".join(self.passed)},
            pass_fds=high,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for fd in high:
            os.close(fd)
        return self

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        for sock in self.passed.values():
            sock.close()


@pytest.fixture
def daemon(tmp_path):
    made = Activated(tmp_path)
    made.fill()
    yield made
    made.close()


def test_each_hook_takes_the_socket_of_its_name_and_leaves_it_as_it_was(daemon):
    daemon.config.write_text("\n".join(line for line in daemon.config.read_text().split("\n") if "unix:" not in line))
    early = daemon.connect("socketmap")  # before anybody serves: it waits
    daemon.start()
    early.sendall(ADAM)
    assert early.recv(1000) == FOUND
    assert daemon.get("/readyz")[0] == 200
    status, _, said = daemon.end()
    assert status == 0, said
    assert "warn" not in said
    early.close()
    for path in daemon.sockets.values():
        assert stat.S_IMODE(path.stat().st_mode) == 0o620
    waiting = daemon.connect("socketmap")  # nobody serves, nobody is refused
    waiting.sendall(ADAM)
    daemon.start()
    assert waiting.recv(1000) == FOUND
    waiting.close()


def test_a_process_of_some_hooks_leaves_the_other_sockets_alone(daemon):
    daemon.start("--only", "socketmap")
    assert daemon.ask() == FOUND
    with daemon.connect("policy") as client:
        client.settimeout(0.2)
        client.sendall(b"request=smtpd_access_policy\n\n")
        with pytest.raises(TimeoutError):
            client.recv(100)
    assert "warn" not in daemon.end()[2]


def test_a_socket_that_no_hook_takes_is_named(daemon):
    daemon.passed["surplus"] = daemon.bind(daemon.directory / "surplus")
    daemon.listen["policy"] = ""
    daemon.write()
    daemon.start()
    assert "nobody answers" in daemon.says("socket named policy")
    assert "nobody answers" in daemon.says("socket named surplus")
    assert daemon.ask() == FOUND


def test_http_beyond_loopback_needs_a_token_also_when_it_is_inherited(daemon):
    with socket.create_server(("0.0.0.0", 0)) as anywhere:
        daemon.passed["http"].close()
        daemon.passed["http"] = anywhere
        daemon.start()
        said, _ = daemon.process.communicate(timeout=LIMIT)
    assert daemon.process.returncode == 2
    assert "token_file" in said
