"""``mailhooks ready`` without a daemon; with one it is asked in tests/image."""

from __future__ import annotations

import socket


def test_no_daemon_is_one_line_and_no(shell):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: nobody else can answer there
        endpoint = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
        (shell.directory / "mailhooks.toml").write_text(f'[listen]\nhttp = ["{endpoint}"]\n')
        assert f"the daemon does not answer on {endpoint!r}" in shell.fails(1, "ready")


def test_no_port_to_ask_on_is_named(shell):
    (shell.directory / "mailhooks.toml").write_text("[listen]\nhttp = []\n")
    assert "listen.http is empty" in shell.fails(2, "ready")
