"""What Postfix lets strangers do: send to everywhere, or have a second message in the first."""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from mailhooks.doctor.finding import Problem, Severity
from mailhooks.doctor.references import ours

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailhooks.doctor.facts import Facts, Postfix, Service
    from mailhooks.doctor.finding import Finding

AREA = "Postfix: strangers"

LOOPBACK = ("127.0.0.1", "[::1]", "localhost", "loopback-only")
# The lists that can refuse a recipient, and what in them refuses a stranger's mail to elsewhere (postconf(5)).
RCPT_LISTS = tuple(f"smtpd_{stage}_restrictions" for stage in ("client", "helo", "sender", "relay", "recipient"))
REFUSE = ("reject", "defer", "defer_if_permit", "reject_unauth_destination", "defer_unauth_destination")
# What keeps strangers out; postconf -P takes no blank.
CLOSED = {
    "mynetworks": "127.0.0.0/8,[::1]/128",
    "relay_domains": "",
    "smtpd_relay_restrictions": "permit_sasl_authenticated,reject_unauth_destination",
    "smtpd_forbid_bare_newline": "yes",
    "smtpd_forbid_bare_newline_exclusions": "",
}
# A prefix as short as this holds millions of strangers, unless the network is nobody else's.
WIDE = {4: 8, 6: 16}
OWN = tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "127.0.0.0/8", "fc00::/7", "fe80::/10")))

OPEN_RELAY = Problem(
    "postfix-open-relay",
    Severity.ERROR,
    "Everybody may send mail to everywhere",
    "Spammers find it within hours, and then other servers refuse all mail of this one. Where no list can refuse"
    " anything, smtpd does not even start.",
    "{postconf} {option} '{parameter}={value}'",
)
SMUGGLING = Problem(
    "postfix-smuggling",
    Severity.ERROR,
    "A message may end at a line end that is none",
    "Servers differ in what they take for the end of a message: a stranger hides a second message in the first, and it"
    " comes in from a server that other people trust, with a forged sender that passes SPF (SMTP smuggling).",
    "{postconf} {option} '{parameter}={value}'",
)


def open_relay(facts: Facts) -> Iterator[Finding]:
    """Find smtpds that refuse nothing of a stranger, and the setting that made it so."""
    for postfix, service in _exposed(facts):
        if any(_refuses(postfix, service, name) for name in RCPT_LISTS):
            continue
        sane = replace(service, overrides={**service.overrides, "mynetworks": "", "relay_domains": ""})
        wrong = [name for name in ("mynetworks", "relay_domains") if _is_everybody(postfix.of(service, name))]
        if not any(_refuses(postfix, sane, name) for name in RCPT_LISTS):
            wrong = ["smtpd_relay_restrictions"]
        for name in wrong:
            yield OPEN_RELAY.found(
                f"{service.path} ({postfix.directory}) relays for strangers: {name} = {postfix.of(service, name)}",
                **_closed(postfix, service, name),
            )


def smuggling(facts: Facts) -> Iterator[Finding]:
    """Find smtpds that take a bare line feed for a line end, from everybody."""
    forbid, exclusions = "smtpd_forbid_bare_newline", "smtpd_forbid_bare_newline_exclusions"
    for postfix, service in _exposed(facts):
        value = postfix.of(service, forbid)  # "" where Postfix does not know it yet
        open_to_all = value and _is_everybody(postfix.of(service, exclusions))
        name = forbid if value in {"no", "note"} else exclusions if open_to_all else ""
        if name:
            yield SMUGGLING.found(
                f"{service.path} ({postfix.directory}) has {name} = {postfix.of(service, name)}",
                **_closed(postfix, service, name),
            )


CHECKS = (open_relay, smuggling)


def _exposed(facts: Facts) -> Iterator[tuple[Postfix, Service]]:
    """Yield the smtpds that other machines reach, of each Postfix that is connected."""
    for postfix in facts.postfix:
        for service in postfix.running("smtpd"):
            host = service.name.rpartition(":")[0] or postfix["inet_interfaces"]
            if service.kind in {"inet", "pass"} and host not in LOOPBACK and any(ours(facts, postfix)):
                yield postfix, service


def _refuses(postfix: Postfix, service: Service, name: str) -> bool:
    """Tell whether a list refuses a stranger's mail to elsewhere; what a table or a service would say is not known."""
    everybody = _is_everybody(postfix.of(service, "mynetworks"))
    everywhere = _is_everybody(postfix.of(service, "relay_domains"))
    before = ""
    for word in _words(postfix, postfix.of(service, name)):
        if word == "permit" or (word == "permit_mynetworks" and everybody):
            return False
        told_only = before == "warn_if_reject" or (everywhere and word.endswith("_unauth_destination"))
        if word in REFUSE and not told_only:
            return True
        before = word
    return False


def _words(postfix: Postfix, value: str) -> Iterator[str]:
    """Yield the restrictions of a list, and in the place of a class those of the class (RESTRICTION_CLASS_README)."""
    while (bare := re.sub(r"\{[^{}]*\}", "", value)) != value:
        value = bare
    classes = re.split(r"[\s,]+", postfix["smtpd_restriction_classes"])
    for word in filter(None, re.split(r"[\s,]+", value)):
        yield from re.split(r"[\s,]+", postfix[word]) if word in classes else (word,)


def _is_everybody(value: str) -> bool:
    """Tell whether a list of networks or domains holds everybody; what a table would say is not known."""
    return any(entry.startswith("static:") or _is_wide(entry) for entry in re.split(r"[\s,]+", value))


def _is_wide(entry: str) -> bool:
    with suppress(ValueError):
        network = ipaddress.ip_network(re.sub(r"[][]", "", entry), strict=False)
        own = any(network.version == each.version and network.subnet_of(each) for each in OWN)  # type: ignore[arg-type]
        return not own and network.prefixlen <= WIDE[network.version]
    return False


def _closed(postfix: Postfix, service: Service, name: str) -> dict[str, str]:
    """Return what of the cure sets a parameter where it is set now."""
    own = name in service.overrides
    parameter = f"{service.path}/{name}" if own else name
    return {
        "postconf": postfix.postconf,
        "option": "-P" if own else "-e",
        "parameter": parameter,
        "value": CLOSED[name],
    }
