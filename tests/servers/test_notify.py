"""What the service manager hears, read from a real datagram socket."""

from __future__ import annotations

import os
import socket

import pytest
from twisted.internet.task import Clock

from mailhooks import notify


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path, monkeypatch):
    name = str(tmp_path / "notify") if request.param == "path" else f"@mailhooks-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(name.replace("@", "\0", 1))
        sock.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        yield lambda: heard(sock)


def heard(sock):
    messages = []
    while True:
        try:
            messages.append(sock.recv(1000).decode())
        except BlockingIOError:
            return messages


def test_a_message_is_one_datagram(manager):
    notify.tell("READY=1", "STATUS=fine")
    assert manager() == ["READY=1\nSTATUS=fine"]


def test_a_reload_bears_its_time(manager):
    notify.reloading()
    first, time = manager()[0].split("\n")
    assert first == "RELOADING=1"
    assert time.removeprefix("MONOTONIC_USEC=").isdecimal()


def test_without_a_manager_nothing_is_said(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    clock = Clock()
    notify.tell("READY=1")
    notify.Heartbeat(clock, lambda: "fine").start()
    assert not clock.getDelayedCalls()


def test_a_manager_that_does_not_read_holds_nothing_up(manager):
    for number in range(1000):
        notify.tell(f"STATUS={number}")
    assert manager()[0] == "STATUS=0"


def test_beats_come_in_time_only_while_the_reactor_turns(manager, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    clock, status = Clock(), ["starting"]
    notify.Heartbeat(clock, lambda: status[0]).start()
    assert manager() == ["WATCHDOG=1", "STATUS=starting"]
    assert manager() == []  # the reactor does not turn
    status[0] = "serving"
    clock.advance(1)
    assert manager() == ["WATCHDOG=1", "STATUS=serving"]
    clock.pump([1] * 30)
    assert 30 >= len(manager()) >= notify.BEATS


def test_a_short_watchdog_gets_its_beats_in_time(manager, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "600000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    clock = Clock()
    notify.Heartbeat(clock, lambda: "").start()
    clock.pump([0.1] * 6)
    assert manager() == ["WATCHDOG=1"] * 4


def test_another_process_is_watched(monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert notify.watchdog_seconds() is None
