"""A small ``up``: supervises the shell scripts it is given, so that the tests see real processes and signals.

supervised.py STAGES: a JSON list of stages, each a list of {"name", "script", "grace", "waits_for"}.
"""

from __future__ import annotations

import json
import signal
import sys

from twisted.internet import reactor
from twisted.internet.defer import Deferred

from mailhooks.stack import supervisor
from mailhooks.stack.children import Child, Probe, detached
from mailhooks.stack.ready import Waiter
from mailhooks.stack.sockets import Address

supervisor.FIRST_DELAY = 0.01
supervisor.LONGEST_DELAY = 0.05


def child(given: dict) -> Child:
    probes = ()
    if "waits_for" in given:
        probes = (Probe(Address(path=given["waits_for"]), ends=b"DONE\n", seconds=given["seconds"], required=True),)
    command = (*detached(), "/bin/sh", "-c", given["script"])
    more = {key: given[key] for key in ("reloads", "vital") if key in given}
    return Child(given["name"], command, given.get("grace", 5.0), probes=probes, **more)


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    stages = [[child(each) for each in stage] for stage in json.loads(sys.argv[1])]
    watched = supervisor.Supervisor(reactor, stages, Waiter(reactor), say)
    codes = []

    def started() -> None:
        signal.signal(signal.SIGTERM, lambda *_: reactor.callFromThread(watched.stop))
        signal.signal(signal.SIGHUP, lambda *_: reactor.callFromThread(watched.reload))
        Deferred.fromCoroutine(watched.start())

    watched.finished.addCallback(lambda code: (codes.append(code), reactor.stop()))
    reactor.callWhenRunning(started)
    reactor.run()
    return codes[0]


if __name__ == "__main__":
    sys.exit(main())
