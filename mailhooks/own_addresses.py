"""The IP addresses of this machine, as the kernel lists them: whoever comes from one is a program here, like a webmail.

Linux only; where /proc has no such file (other systems, odd containers) it is loopback alone.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path

from mailhooks.throttle import LOOPBACK

NET = Path("/proc/self/net")  # not /proc/net: a sandbox may hide everything but processes (ProcSubset=pid)
OWN = "own"  # how a configuration names these
MAX_ADDRESSES = 10_000  # a machine with a whole network on one interface lists many

# proc_pid_net(5): the routing trie names each local address, and below it "/32 host LOCAL".
_LOCAL = re.compile(r"\|-- (\S+)\n\s+/32 host LOCAL")


def shared(networks: tuple[str, ...], proc: Path = NET) -> tuple[str, ...]:
    """Return networks in CIDR notation, with the machine's own addresses in the place of "own".

    Raises ValueError for what is no network.
    """
    found: list[str] = []
    for network in networks:
        try:
            found += own(proc) if network == OWN else [str(ipaddress.ip_network(network))]
        except ValueError:
            raise ValueError(
                f"shared_networks: {network!r} is no network: expected one like 192.0.2.0/24 or 2001:db8::/32, or {OWN}"
            ) from None
    return tuple(dict.fromkeys(found))


def own(proc: Path = NET) -> list[str]:
    """Return loopback and every address of this machine beyond it."""
    addresses = _LOCAL.findall(_read(proc / "fib_trie"))
    for line in _read(proc / "if_inet6").splitlines():
        addresses.append(":".join(re.findall("....", line.partition(" ")[0])))
    beyond = [ip for ip in map(ipaddress.ip_address, addresses[:MAX_ADDRESSES]) if not ip.is_loopback]
    return [*LOOPBACK, *map(str, map(ipaddress.ip_network, sorted(set(beyond), key=lambda ip: (ip.version, int(ip)))))]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""
