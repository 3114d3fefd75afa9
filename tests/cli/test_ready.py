"""``mailhooks ready`` without a daemon, and with one whose HTTP port is off; others are asked in scenario 60."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time

import pytest


def test_no_daemon_is_one_line_and_no(shell):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: nobody else can answer there
        endpoint = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
        (shell.directory / "mailhooks.toml").write_text(f'[listen]\nhttp = ["{endpoint}"]\n')
        assert f"the daemon does not answer on {endpoint!r}" in shell.fails(1, "ready")


def test_a_token_that_cannot_be_read_is_not_a_daemon_that_does_not_answer(shell, monkeypatch):
    (shell.directory / "mailhooks.toml").write_text(f'[http]\ntoken_file = "{shell.directory}/none"\n')
    assert "http.token_file='" in (said := shell.fails(2, "ready"))
    assert "none': cannot be read: No such file" in said
    monkeypatch.setenv("HTTP_TOKEN_FILE", str(shell.directory))
    assert f"HTTP_TOKEN_FILE='{shell.directory}': cannot be read" in shell.fails(2, "ready")


@pytest.fixture
def hooks(site, tmp_path_factory):
    """A site whose HTTP port is off, and whose sockets have short names."""
    run = tmp_path_factory.mktemp("s")
    names = ("socketmap", "policy", "postfix_auth", "login", "auth_master", "auth_userdb", "dict")
    lines = [f'{name} = ["unix:{run}/{name}:mode=0600:group=root"]\n' for name in names]
    with (site.directory / "mailhooks.toml").open("a") as file:
        file.write("[listen]\nhttp = []\n" + "".join(lines))
        file.write(f'[spam]\npreferences = "{run}/spam/preferences.db"\n')
    return site


def test_without_an_http_port_no_daemon_is_still_no(hooks):
    said = hooks.run("ready")
    assert said.exit_code == 1
    assert "cannot be asked: No such file or directory" in said.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="auth_userdb answers root")
def test_without_an_http_port_every_hook_is_asked_itself(hooks):
    """HTTP_LISTEN=off made a container unhealthy for ever."""
    command = [sys.executable, "-P", "-m", "mailhooks", "--config", str(hooks.directory / "mailhooks.toml"), "serve"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as daemon:
        try:
            deadline = time.monotonic() + 30
            while (said := hooks.run("ready")).exit_code and time.monotonic() < deadline:
                assert daemon.poll() is None
            assert said.exit_code == 0, said.output
            assert [line.split()[0] for line in said.stdout.splitlines()] == [
                *("socketmap", "policy", "postfix_auth", "login", "auth_master", "auth_userdb", "dict")
            ]
            assert all(line.endswith(": ready") for line in said.stdout.splitlines())
            hooks.store_path.rename(hooks.store_path.with_name("aside.db"))
            while (said := hooks.run("ready")).exit_code == 0 and time.monotonic() < deadline:
                pass
            assert said.exit_code == 1
            assert "socketmap" in said.stderr
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(20)
