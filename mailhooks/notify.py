"""What the service manager is told: ready, reloading, stopping, how it goes, still alive (sd_notify(3)).

One datagram a message, sent without waiting: a manager that does not read cannot hold up a lookup. Without a manager
(no NOTIFY_SOCKET) nothing is said. ``Heartbeat`` beats on the reactor, so that a blocked reactor is a missing beat and
the manager ends and restarts the process (WatchdogSec= of systemd.service(5)).
"""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING

from twisted.internet.task import LoopingCall
from twisted.logger import Logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IReactorTime

BEATS = 3  # within the time after which the manager gives us up: two may come late
STATUS_SECONDS = 1.0  # how often the status line is looked at, at least

log = Logger()


def tell(*assignments: str) -> None:
    """Tell the manager, if there is one."""
    name = os.environ.get("NOTIFY_SOCKET", "")
    if not name:
        return
    address = "\0" + name[1:] if name.startswith("@") else name
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as sock:
            sock.sendto("\n".join(assignments).encode(), address)
    except BlockingIOError:
        pass  # it does not read just now; what matters is told again
    except OSError:
        log.warn("the service manager does not hear us")


def reloading() -> None:
    """Tell that the configuration is read again; READY=1 tells that this is over."""
    tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def watchdog_seconds() -> float | None:
    """Return after how many seconds without a beat the manager gives us up; None when it does not watch."""
    watched = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    usec = os.environ.get("WATCHDOG_USEC", "")
    return int(usec) / 1e6 if watched and usec.isdecimal() and int(usec) else None


class Heartbeat:
    """Tells again and again that the reactor turns, and the status line whenever it has changed."""

    def __init__(self, clock: IReactorTime, status: Callable[[], str]) -> None:
        self._status = status
        self._told = ""
        self._watched = watchdog_seconds()
        self._timer = LoopingCall(self.beat)
        self._timer.clock = clock

    def start(self) -> None:
        """Beat now and from now on; nothing to do without a manager."""
        if os.environ.get("NOTIFY_SOCKET"):
            self._timer.start(min(STATUS_SECONDS, (self._watched or STATUS_SECONDS * BEATS) / BEATS))

    def beat(self) -> None:
        """Tell what there is to tell."""
        if self._watched:
            tell("WATCHDOG=1")
        status = self._status()
        if status != self._told:
            self._told = status
            tell(f"STATUS={status}")
