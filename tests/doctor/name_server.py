"""A real name server (nsd) on a loopback port, with zones of a test."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import dns.exception
import dns.resolver
from doctor_site import free_port

READY_SECONDS = 30
HEAD = "$TTL 60\n@ IN SOA ns.invalid. root.invalid. 1 3600 600 86400 60\n@ IN NS ns.invalid.\n"


@contextlib.contextmanager
def serve(directory: Path, zones: dict[str, str]) -> Iterator[dns.resolver.Resolver]:
    """Serve ``zones`` (name -> records); the root is one, so that the server can be asked like a resolver."""
    directory.mkdir()
    port = free_port()
    text = (
        f'server:\n  ip-address: 127.0.0.1@{port}\n  username: root\n  chroot: ""\n  pidfile: ""\n'
        f'  zonesdir: "{directory}"\n  zonelistfile: "{directory}/list"\n  xfrdfile: ""\n  xfrdir: "{directory}"\n'
        "  server-count: 1\nremote-control:\n  control-enable: no\n"
    )
    for number, (name, records) in enumerate({".": "", **zones}.items()):
        (directory / f"zone{number}").write_text(f"{HEAD}{records}\n")
        text += f'zone:\n  name: "{name}"\n  zonefile: "zone{number}"\n'
    (directory / "nsd.conf").write_text(text)
    with (directory / "log").open("w") as log:
        process = subprocess.Popen(["/usr/sbin/nsd", "-d", "-c", directory / "nsd.conf"], stdout=log, stderr=log)
    try:
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = ["127.0.0.1"], port
        deadline = time.monotonic() + READY_SECONDS
        while not _answers(resolver):
            assert process.poll() is None, (directory / "log").read_text()
            assert time.monotonic() < deadline, (directory / "log").read_text()
        yield resolver
    finally:
        process.terminate()
        process.wait(20)


def _answers(resolver: dns.resolver.Resolver) -> bool:
    try:
        resolver.resolve(".", "NS", lifetime=0.5)
    except (dns.exception.DNSException, OSError):
        return False
    return True
