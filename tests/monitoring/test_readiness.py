"""/readyz of the real daemon: every hook answers a real question on its own socket, and a failure names its cause."""

from __future__ import annotations

import socket
import time

import pytest
from live_daemon import LIMIT

HOOKS = ("socketmap", "policy", "postfix_auth", "login", "auth_master", "auth_userdb", "dict", "tcp_table")


def readiness(daemon):
    """Return the status, and what is said of each hook."""
    status, page = daemon.get("/readyz")
    found = {}
    for line in page.splitlines():
        name, _, said = line.rpartition(": ") if ": cannot" not in line else line.partition(": cannot")
        found[name.split(" ")[0]] = said
    return status, found


@pytest.fixture
def whole(daemon):
    """A daemon with every hook there is."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    daemon.write(f"[listen.tcp_table]\nvirtual_alias_maps = ['tcp:{port}:interface=127.0.0.1']\n")
    return daemon.start()


def test_every_hook_is_asked_and_quickly(whole):
    begun = time.monotonic()
    status, found = readiness(whole)
    assert (status, found) == (200, dict.fromkeys(HOOKS, "ready"))
    assert time.monotonic() - begun < LIMIT
    page = whole.get("/metrics")[1]
    assert 'mailhooks_requests_total{hook="login",result="refused",table=""} 1.0' in page
    assert "mailhooks_auth_total{" not in page  # nobody tried to log in
    assert "login failed" not in whole.end()[2]


def test_a_store_that_is_away_is_seen_by_every_hook(whole, tmp_path):
    (tmp_path / "mailhooks.db").rename(tmp_path / "away")
    end = time.monotonic() + LIMIT
    while "ready" in (answer := readiness(whole))[1].values():
        assert time.monotonic() < end
    status, found = answer
    assert status == 503
    assert found.keys() == {*HOOKS, "store"}
    assert found.pop("store") not in ("", "ready")
    assert found.pop("postfix_auth") == "closes the connection"  # what Postfix takes for an outage
    assert set(found.values()) == {"answers that it cannot answer now"}
    (tmp_path / "away").rename(tmp_path / "mailhooks.db")
    while readiness(whole)[0] != 200:
        assert time.monotonic() < end


@pytest.mark.parametrize("hook", ["socketmap", "policy", "postfix_auth", "login", "auth_master", "auth_userdb", "dict"])
def test_a_hook_that_cannot_be_reached_is_named_with_the_cause(whole, hook):
    whole.sockets[hook].unlink()
    status, page = whole.get("/readyz")
    assert status == 503
    assert [line for line in page.splitlines() if not line.endswith(": ready")] == [
        f"{hook} unix:{whole.sockets[hook]}:mode=0600: cannot be asked: No such file or directory"
    ]
    assert whole.get("/healthz") == (200, "alive\n")
