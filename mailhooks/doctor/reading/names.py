"""Ask the DNS about the hosted domains and the server's own name, with dnspython.

All questions are asked at once and share one time limit. A first question, for the root, tells whether there is anybody
to ask; when there is not (the resolver of a closed network says no to everything), that is one note and no finding. "No
such name" is an answer, a time-out or SERVFAIL is none: only answers become facts.

DKIM keys are found without knowing the selector: where ``mail._domainkey.example.com`` exists, the name
``_domainkey.example.com`` exists, too (RFC 8020); if it does not, there is no key whatever its selector.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from mailhooks.doctor.facts import DomainNames, HostNames, Unread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

AREA = "DNS"
QUERY_SECONDS = 4.0  # for one question, all tries together: a resolver that is there takes less than one second
AT_ONCE = 16  # questions
MAX_DOMAINS = 50  # of a store with thousands, some: what is wrong with the DNS of one is often wrong with all


def read(
    domains: Sequence[str], host: str, resolver: Any = None
) -> tuple[tuple[DomainNames, ...], HostNames | None, tuple[Unread, ...]]:
    """Ask everything. ``resolver`` is one of dnspython's; else this machine's."""
    ask = _asker(resolver)
    if isinstance(ask, Unread):
        return (), None, (ask,)
    unread: tuple[Unread, ...] = ()
    if len(domains) > MAX_DOMAINS:
        what = f"the DNS of {len(domains) - MAX_DOMAINS} of {len(domains)} domains: the first {MAX_DOMAINS} were asked"
        unread = (Unread(AREA, what, "nothing: one run asks so many"),)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        own = pool.submit(_host, host, ask)
        found = tuple(pool.map(lambda domain: _domain(domain, ask), domains[:MAX_DOMAINS]))
    return found, own.result(), unread


def _asker(resolver: Any) -> Callable[[str, str], tuple[str, ...] | None] | Unread:
    try:
        import dns.exception  # noqa: PLC0415 - only this command needs it, and only where it is installed
        import dns.resolver  # noqa: PLC0415
    except ImportError:
        cure = f"{sys.executable} -m pip install dnspython"
        return Unread(AREA, "the DNS of the domains: dnspython is not installed", cure)
    try:
        chosen = resolver or dns.resolver.Resolver()
        chosen.resolve(".", "NS", lifetime=QUERY_SECONDS)
    except (dns.exception.DNSException, OSError):
        return Unread(AREA, "the DNS of the domains: no resolver answers", "see /etc/resolv.conf")

    def ask(name: str, kind: str) -> tuple[str, ...] | None:
        try:
            answer = chosen.resolve(name, kind, lifetime=QUERY_SECONDS, search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer) as nothing:
            return _NO_NAME if isinstance(nothing, dns.resolver.NXDOMAIN) else ()
        except (dns.exception.DNSException, OSError, ValueError):
            return None
        return tuple(_text(record) for record in answer)

    return ask


_NO_NAME = ("",)  # positively no such name; () is a name without records of this type


def _text(record: Any) -> str:
    if hasattr(record, "strings"):  # TXT: pieces of at most 255 bytes, which belong together
        return b"".join(record.strings).decode("utf-8", "replace")
    if hasattr(record, "exchange"):
        return str(record.exchange).rstrip(".").lower()
    return str(record.target if hasattr(record, "target") else record).rstrip(".").lower()


def _domain(domain: str, ask: Callable[[str, str], tuple[str, ...] | None]) -> DomainNames:
    mx, texts = ask(domain, "MX"), ask(domain, "TXT")
    dmarc, keys = ask(f"_dmarc.{domain}", "TXT"), ask(f"_domainkey.{domain}", "TXT")
    return DomainNames(
        domain,
        mx=None if mx is None else tuple(filter(None, mx)),
        spf=None if texts is None else tuple(text for text in texts if text.lower().startswith("v=spf1")),
        dmarc=None if dmarc is None else tuple(text for text in dmarc if text.lower().startswith("v=dmarc1")),
        has_keys=None if keys is None else keys != _NO_NAME,
    )


def _host(name: str, ask: Callable[[str, str], tuple[str, ...] | None]) -> HostNames:
    from dns.reversename import from_address  # noqa: PLC0415 - see above

    answers = [ask(name, kind) for kind in ("A", "AAAA")]
    addresses = tuple(address for answer in answers for address in answer or () if address)
    return HostNames(
        name,
        addresses if addresses or None not in answers else None,
        {each: _named(ask(from_address(each).to_text(), "PTR")) for each in addresses},
    )


def _named(answer: tuple[str, ...] | None) -> tuple[str, ...] | None:
    return None if answer is None else tuple(filter(None, answer))
