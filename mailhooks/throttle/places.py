"""From where somebody logs in: which networks an IP address is counted under.

IPv4 is counted by the address and by its /24, IPv6 by the /48 of a customer and by the /32 of a provider. Shared
networks (webmail, proxies, this machine) stand for many people, so all of them are one place without a network; so is
an address that is not known. An allowed network is not counted at all.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_PLACES = 10_000  # addresses remembered with their place, about 0.5 KB each; beyond it the oldest is forgotten

SHARED = "shared"  # how a place without a network is written
LOOPBACK = ("127.0.0.0/8", "::1/128")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_PREFIXES = {4: (32, 24), 6: (48, 32)}


@dataclass(frozen=True, slots=True)
class Place:
    """The networks that an address is counted under."""

    narrow: str
    wide: str  # "": none
    home: str  # what is remembered when somebody logs in: /24, /48 or SHARED
    wide_factor: int = 1  # how many times as much as for the narrow network is too much for the wide one
    is_shared: bool = False
    is_allowed: bool = False

    @property
    def networks(self) -> tuple[str, ...]:
        """The narrow network and the wide one, if there is one."""
        return (self.narrow, self.wide) if self.wide else (self.narrow,)


_SHARED_PLACE = Place(SHARED, "", SHARED, is_shared=True)
_ALLOWED_PLACE = Place("", "", "", is_allowed=True)
_WIDE_FACTORS = {4: 4, 6: 20}  # a /24 are neighbours of one provider, an IPv6 /32 may be all customers of one


class Places:
    """Finds places, and remembers those asked for lately."""

    def __init__(self, allow: Iterable[str] = (), shared: Iterable[str] = ()) -> None:
        """Take networks in CIDR notation. Raises ValueError for what is none."""
        self._allow = tuple(map(_parse, allow))
        self._places: OrderedDict[str | None, Place] = OrderedDict()
        self.share(shared)

    def share(self, networks: Iterable[str]) -> None:
        """Have these networks shared from now on. Raises ValueError for what is no network."""
        self._shared = tuple(map(_parse, networks))
        self._places.clear()

    def of(self, address: str | None) -> Place:
        """Return the place of an address; SHARED for what is none."""
        place = self._places.get(address)
        if place is None:
            if len(self._places) >= MAX_PLACES:
                self._places.popitem(last=False)
            place = self._places[address] = self._find(address)
        return place

    def _find(self, address: str | None) -> Place:
        try:
            ip = ipaddress.ip_address(address or "")
        except ValueError:
            return _SHARED_PLACE
        if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped  # a dual-stack listener shows IPv4 clients as ::ffff:192.0.2.1
        if any(ip in network for network in self._allow):
            return _ALLOWED_PLACE
        if any(ip in network for network in self._shared):
            return _SHARED_PLACE
        narrow, wide = (_network(ip, prefix) for prefix in _PREFIXES[ip.version])
        home = wide if ip.version == 4 else narrow  # noqa: PLR2004 - versions of IP
        return Place(narrow, wide, home, _WIDE_FACTORS[ip.version])


def _parse(network: str) -> Network:
    try:
        return ipaddress.ip_network(network)
    except ValueError:
        raise ValueError(f"{network!r} is no network: expected one like 192.0.2.0/24 or 2001:db8::/32") from None


def _network(ip: ipaddress.IPv4Address | ipaddress.IPv6Address, prefix: int) -> str:
    """Write the network of an address; by numbers, which is ten times as fast as with ``ip_network``."""
    host_bits = ip.max_prefixlen - prefix
    return f"{type(ip)(int(ip) >> host_bits << host_bits)}/{prefix}"
