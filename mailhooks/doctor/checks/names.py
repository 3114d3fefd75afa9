"""What can be wrong in the DNS, where other servers look before they send or take mail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailhooks.doctor.finding import Problem, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailhooks.doctor.facts import Facts
    from mailhooks.doctor.finding import Finding

AREA = "DNS"

MX = Problem(
    "dns-mx",
    Severity.WARNING,
    "A hosted domain has no MX record",
    "Mail for it goes to the address of the domain itself, which is mostly a web server, or nowhere.",
    "{domain}. IN MX 10 {host}.",
)
MX_ELSEWHERE = Problem(
    "dns-mx-elsewhere",
    Severity.WARNING,
    "The MX records of a hosted domain do not name this server",
    "Mail for it goes elsewhere; that is right where another server filters it first ([server] hostname is the name"
    " that is looked for).",
    "{domain}. IN MX 10 {host}.",
)
SPF = Problem(
    "dns-spf",
    Severity.WARNING,
    "A hosted domain has no single SPF record",
    "Anybody may send in its name, and large providers file mail without SPF as spam. Two records count as an error.",
    '{domain}. IN TXT "v=spf1 mx -all"',
)
DKIM = Problem(
    "dns-dkim",
    Severity.WARNING,
    "A hosted domain publishes no DKIM key, under any selector",
    "Large providers refuse unsigned mail or file it as spam, and DMARC fails for all mail that is forwarded.",
    "sign with rspamd or opendkim as a milter of Postfix, and publish its key: mail._domainkey.{domain}. IN TXT ...",
)
DMARC = Problem(
    "dns-dmarc",
    Severity.WARNING,
    "A hosted domain has no DMARC record",
    "Receivers do not know what to do with mail that only pretends to be from it, and large ones ask for the record.",
    '_dmarc.{domain}. IN TXT "v=DMARC1; p=none; rua=mailto:postmaster@{domain}"',
)
HOST = Problem(
    "dns-no-address",
    Severity.WARNING,
    "The name of this server has no address",
    "Others cannot find the server by the name with which it greets them, and many refuse such a greeting.",
    "{host}. IN A (the address of this server), or set the right name: [server] hostname",
)
PTR = Problem(
    "dns-ptr",
    Severity.WARNING,
    "The address of this server does not lead back to its name",
    "Many servers refuse mail from an address whose reverse name is missing or another (450, 550).",
    "ask whom the address belongs to (the provider) for: PTR of {address} = {host}.",
)


def mx(facts: Facts) -> Iterator[Finding]:
    """Find domains whose mail does not come here."""
    for each in facts.names:
        if each.mx == ():
            yield MX.found(f"{each.domain} has no MX record", domain=each.domain, host=facts.hostname)
        elif each.mx is not None and facts.hostname not in each.mx:
            what = f"mail for {each.domain} goes to {', '.join(each.mx)}, this server is {facts.hostname}"
            yield MX_ELSEWHERE.found(what, domain=each.domain, host=facts.hostname)


def spf(facts: Facts) -> Iterator[Finding]:
    """Find domains without exactly one record (RFC 7208, 4.5)."""
    for each in facts.names:
        if each.spf is not None and len(each.spf) != 1:
            yield SPF.found(f"{each.domain} has {len(each.spf) or 'no'} SPF records", domain=each.domain)


def dkim(facts: Facts) -> Iterator[Finding]:
    """Find domains with nothing below _domainkey (RFC 6376)."""
    for each in facts.names:
        if each.has_keys is False:
            yield DKIM.found(f"there is no name below _domainkey.{each.domain}", domain=each.domain)


def dmarc(facts: Facts) -> Iterator[Finding]:
    """Find domains without a policy (RFC 7489)."""
    for each in facts.names:
        if each.dmarc == ():
            yield DMARC.found(f"{each.domain} has no DMARC record", domain=each.domain)


def host(facts: Facts) -> Iterator[Finding]:
    """Find a server that the DNS does not know, or only in one direction."""
    if facts.host is None:
        return
    name = facts.host.name
    if facts.host.addresses == ():
        yield HOST.found(f"{name} has neither A nor AAAA", host=name)
    for address, names in facts.host.reverse.items():
        if names is not None and name not in names:
            what = f"{address} leads to {', '.join(names) or 'nothing'}, not to {name}"
            yield PTR.found(what, address=address, host=name)


CHECKS = (mx, host, spf, dkim, dmarc)
