"""What can be wrong with Postfix's lookup tables and the routing that they decide."""

from __future__ import annotations

import difflib
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from mailhooks.doctor.finding import Problem, Severity
from mailhooks.doctor.references import is_ours, ours, references
from mailhooks.store.alias_graph import MAX_BYTES, MAX_DEPTH, MAX_TARGETS
from mailhooks.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailhooks.doctor.facts import Facts, Postfix
    from mailhooks.doctor.finding import Finding
    from mailhooks.doctor.references import Reference

AREA = "Postfix: addresses and routing"

SOCKET_PATH = Problem(
    "postfix-socket-path",
    Severity.ERROR,
    "Postfix is told a path that its programs cannot reach from their chroot",
    "A chrooted program sees only the queue directory, so it finds no such file: 451 for all mail, and no SMTP greeting"
    " at all where the path is that of the SASL socket.",
    "in {place}: write {cure} (relative to the queue directory, which works with and without chroot)",
)
UNKNOWN_SOCKET = Problem(
    "postfix-unknown-socket",
    Severity.ERROR,
    "Postfix is told a socket of mailhooks on which this hook does not listen",
    "Nobody answers there, or somebody who speaks another protocol: 451 for all mail that needs the answer.",
    "in {place}: write {cure}",
)
AT_DEFAULT = Problem(
    "postfix-domains-at-default",
    Severity.ERROR,
    "A list of domains is left to its default, which is the table of addresses",
    "Postfix then asks the table of addresses for bare domains, and any answer changes how a whole domain is routed.",
    "{postconf} -e '{parameter} = {value}'",
)
TWICE = Problem(
    "postfix-domain-twice",
    Severity.ERROR,
    "A domain belongs to two address classes",
    "Postfix obeys only one of them (virtual_alias_domains and mydestination before virtual_mailbox_domains): all"
    " mailboxes of the domain are refused with 550.",
    "take {domain} out of {parameter}: {postconf} -e '{parameter} = {rest}'",
)
LOCAL_DELIVERY = Problem(
    "postfix-local-delivery",
    Severity.ERROR,
    "Mail would be delivered by virtual(8) or local(8), which refuse these tables",
    "smtpd accepts the mail, and then it is deferred for days: both programs take no table from a socket"
    " (DICT_FLAG_NO_UNAUTH).",
    "{postconf} -e '{parameter} = {value}'",
)
WRONG_TABLE = Problem(
    "postfix-wrong-table",
    Severity.ERROR,
    "A parameter asks a table that answers another question",
    "mailhooks resolves catch-alls, extensions and alias domains per table: a table in the wrong place makes unknown"
    " users known, or known users unknown (550); one that does not exist is 451 for all mail.",
    "in {place}: write {table} after the last colon",
)
REFUSED = Problem(
    "postfix-refuses-configuration",
    Severity.ERROR,
    "Postfix cannot read its own configuration",
    "It would not start, and keeps running with the old one only until its next restart.",
    "correct the line, then: {check}",
)
UNLISTED = Problem(
    "postfix-unlisted-recipients",
    Severity.ERROR,
    "smtpd takes mail for users that do not exist",
    "Each such mail becomes a bounce to a sender that is mostly forged (backscatter).",
    "{postconf} -e smtpd_reject_unlisted_recipient=yes",
)
DELIMITER = Problem(
    "postfix-delimiter-differs",
    Severity.WARNING,
    "recipient_delimiter is not the same everywhere",
    "user+folder is then known to one daemon and unknown to the other: 550 at RCPT, or a bounce after it.",
    "set one value: {cure}",
)
TCP_TABLE = Problem(
    "postfix-tcp-table",
    Severity.WARNING,
    "A table is asked by tcp: instead of socketmap:",
    "While mailhooks is down each lookup takes 9 s, while it hangs 17 minutes; by socketmap it fails at once (451).",
    "in {place}: write {cure}",
)
EXPANSION = Problem(
    "postfix-expansion-limit",
    Severity.WARNING,
    "Postfix expands less of an alias than mailhooks lets it have",
    "Mail to a list that is larger is deferred on every try (451 4.6.0), for all recipients of the message.",
    "{postconf} -e '{parameter} = {value}'",
)
NOT_CONNECTED = Problem(
    "postfix-not-connected",
    Severity.WARNING,
    "Postfix asks mailhooks nothing",
    "The accounts of the store have no mail: this Postfix knows none of them.",
    "mailhooks config postfix prints what goes into main.cf and master.cf",
)
UNUSED = Problem(
    "postfix-warns",
    Severity.WARNING,
    "Postfix warns about its own configuration",
    "Mostly a mistyped name: the setting that was meant is still at its default.",
    "correct or delete the line in {directory}",
)


def refused(facts: Facts) -> Iterator[Finding]:
    """Find what ``postconf`` calls fatal."""
    for postfix in facts.postfix:
        if postfix.refused:
            check = f"postfix -c {postfix.directory} check"
            yield REFUSED.found(f"{postfix.directory}: {postfix.refused}", check=check)


def socket_paths(facts: Facts) -> Iterator[Finding]:
    """Find paths that are not those of a listener, as the programs that use them see them."""
    for postfix in facts.postfix:
        for reference in ours(facts, postfix):
            hook, queue = reference.hook, postfix["queue_directory"]
            if hook == "postfix_auth" and facts.has("login", reference.reached(queue, chroot=reference.chroot)):
                continue  # that has a finding of its own
            if facts.has(hook, reference.reached(queue, chroot=reference.chroot)):
                continue
            outside = reference.chroot and reference.written.path.startswith("/")
            problem = SOCKET_PATH if outside else UNKNOWN_SOCKET
            place = f"{postfix.directory}, {reference.where}"
            what = f"{reference.where} ({postfix.directory}) names {_spelled(reference)}"
            yield problem.found(what, place=place, cure=_right(facts, postfix, reference))


def domains_at_default(facts: Facts) -> Iterator[Finding]:
    """Find the domain lists that default to an address map: postconf(5), virtual_alias_domains."""
    for postfix in facts.postfix:
        for maps in ("virtual_mailbox_maps", "virtual_alias_maps"):
            parameter = maps.replace("_maps", "_domains")
            found = next((each for each in ours(facts, postfix) if each.parameter == maps), None)
            if found is not None and parameter not in postfix.given:
                value = postfix[maps].replace(maps, parameter)
                yield AT_DEFAULT.found(
                    f"{parameter} is not set in {postfix.directory}/main.cf",
                    postconf=postfix.postconf, parameter=parameter, value=value,
                )  # fmt: skip


def domain_twice(facts: Facts) -> Iterator[Finding]:
    """Find hosted domains that main.cf also lists by name, as another class."""
    for postfix in facts.postfix:
        if not any(each.parameter == "virtual_mailbox_domains" for each in ours(facts, postfix)):
            continue
        for parameter, hosted in (
            ("mydestination", {*facts.domains, *facts.alias_domains}),
            ("virtual_alias_domains", set(facts.domains)),
            ("relay_domains", {*facts.domains, *facts.alias_domains}),
        ):
            words = postfix[parameter].replace(",", " ").split()
            for domain in dict.fromkeys(word for word in words if word.lower() in hosted):
                rest = ", ".join(word for word in words if word != domain)
                yield TWICE.found(
                    f"{domain} is hosted here and also in {parameter} ({postfix.directory}/main.cf)",
                    domain=domain, parameter=parameter, rest=rest, postconf=postfix.postconf,
                )  # fmt: skip


def local_delivery(facts: Facts) -> Iterator[Finding]:
    """Find mailboxes that virtual(8) would deliver to, and aliases that local(8) would have to ask a socket for."""
    for postfix in facts.postfix:
        by_parameter = {each.parameter: each for each in ours(facts, postfix)}
        transport = postfix["virtual_transport"]
        if "virtual_mailbox_domains" in by_parameter and transport.partition(":")[0] in {"virtual", "local"}:
            yield LOCAL_DELIVERY.found(
                f"virtual_transport = {transport} ({postfix.directory}/main.cf)",
                postconf=postfix.postconf, parameter="virtual_transport", value="lmtp:unix:private/dovecot-lmtp",
            )  # fmt: skip
        if "alias_maps" in by_parameter:
            yield LOCAL_DELIVERY.found(
                f"alias_maps = {postfix['alias_maps']} ({postfix.directory}/main.cf)",
                postconf=postfix.postconf, parameter="alias_maps", value="",
            )  # fmt: skip


def wrong_table(facts: Facts) -> Iterator[Finding]:
    """Find parameters that ask a table of another name; a parameter of the admin's own may bear any."""
    for postfix in facts.postfix:
        for reference in ours(facts, postfix):
            known = reference.parameter in TABLES
            if reference.hook != "socketmap" or reference.name == reference.parameter:
                continue
            if known or reference.name not in TABLES:
                near = difflib.get_close_matches(reference.name, TABLES, 1, 0.0)[0]
                yield WRONG_TABLE.found(
                    f"{reference.where} ({postfix.directory}) asks the table {reference.name}",
                    place=f"{postfix.directory}, {reference.where}",
                    table=reference.parameter if known else near,
                )


def unlisted_recipients(facts: Facts) -> Iterator[Finding]:
    """Find smtpds that do not look whether a recipient exists."""
    for postfix in facts.postfix:
        if not any(each.parameter == "virtual_mailbox_maps" for each in ours(facts, postfix)):
            continue
        for service in postfix.running("smtpd"):
            checked = postfix.of(service, "smtpd_reject_unlisted_recipient") == "yes"
            inside = "no_unknown_recipient_checks" in postfix.of(service, "receive_override_options")
            lists = postfix.of(service, "smtpd_recipient_restrictions") + postfix.of(
                service, "smtpd_relay_restrictions"
            )
            if not checked and not inside and "reject_unlisted_recipient" not in lists:
                yield UNLISTED.found(
                    f"{service.path} in {postfix.directory}/master.cf has smtpd_reject_unlisted_recipient = no",
                    postconf=postfix.postconf,
                )


def delimiter(facts: Facts) -> Iterator[Finding]:
    """Find an address extension that the daemons cut off differently."""
    wanted = facts.config.mail.recipient_delimiter
    for postfix in facts.postfix:
        if any(ours(facts, postfix)) and postfix["recipient_delimiter"] != wanted:
            yield DELIMITER.found(
                f"Postfix ({postfix.directory}) has {postfix['recipient_delimiter']!r}, mailhooks {wanted!r}",
                cure=f"{postfix.postconf} -e 'recipient_delimiter = {wanted}'",
            )
    for dovecot in facts.dovecot:
        if not dovecot.refused and (found := dovecot.get("recipient_delimiter", "+")) != wanted:
            yield DELIMITER.found(
                f"Dovecot ({dovecot.file}) has {found!r}, mailhooks {wanted!r}",
                cure=f"in {dovecot.file}: recipient_delimiter = {wanted}",
            )


def tcp_table(facts: Facts) -> Iterator[Finding]:
    """Find tables that are asked by tcp: although there is a socketmap."""
    for postfix in facts.postfix:
        for reference in ours(facts, postfix):
            if reference.hook == "tcp_table" and facts.hooks.get("socketmap"):
                yield TCP_TABLE.found(
                    f"{reference.where} ({postfix.directory}) asks by {_spelled(reference)}",
                    place=f"{postfix.directory}, {reference.where}",
                    cure=f"{_table(facts, postfix)}:{reference.parameter}",
                )


def expansion(facts: Facts) -> Iterator[Finding]:
    """Find limits below those by which the store lets an alias be written."""
    limits = {
        "virtual_alias_expansion_limit": MAX_TARGETS,
        "virtual_alias_recursion_limit": MAX_DEPTH,
        "socketmap_max_reply_size": MAX_BYTES,  # since Postfix 3.10
    }
    for postfix in facts.postfix:
        if any(ours(facts, postfix)):
            for parameter, limit in limits.items():
                if postfix[parameter].isdigit() and int(postfix[parameter]) < limit:
                    yield EXPANSION.found(
                        f"{parameter} = {postfix[parameter]} ({postfix.directory}/main.cf), mailhooks allows {limit}",
                        postconf=postfix.postconf, parameter=parameter, value=limit,
                    )  # fmt: skip


def not_connected(facts: Facts) -> Iterator[Finding]:
    """Find a Postfix that mentions no hook."""
    for postfix in facts.postfix:
        if not postfix.refused and not any(is_ours(facts, postfix, each) for each in references(postfix)):
            yield NOT_CONNECTED.found(f"{postfix.directory} mentions no socket of this mailhooks")


def unused(facts: Facts) -> Iterator[Finding]:
    """Pass on what ``postconf -n`` warns of."""
    for postfix in facts.postfix:
        for warning in postfix.warnings:
            yield UNUSED.found(warning, directory=postfix.directory)


CHECKS = (
    refused,
    socket_paths,
    domains_at_default,
    domain_twice,
    local_delivery,
    wrong_table,
    unlisted_recipients,
    delimiter,
    tcp_table,
    expansion,
    not_connected,
    unused,
)


def _spelled(reference: Reference) -> str:
    address = reference.written
    place = f"unix:{address.path}" if address.path else f"inet:{address.host}:{address.port}"
    if reference.hook == "tcp_table":
        return place.replace("inet:", "tcp:")
    return f"socketmap:{place}:{reference.name}" if reference.hook == "socketmap" else place


def _right(facts: Facts, postfix: Postfix, reference: Reference) -> str:
    """Spell the address that was meant."""
    addresses = facts.hooks.get(reference.hook, ())
    if not addresses:
        return f"nothing, or let mailhooks listen: [listen] {reference.hook} is empty"
    place = addresses[0].for_postfix(_queue(postfix))
    if reference.hook == "socketmap":
        return f"socketmap:{place}:{reference.name}"
    return place.removeprefix("unix:") if reference.hook == "postfix_auth" else place


def _table(facts: Facts, postfix: Postfix) -> str:
    return f"socketmap:{facts.hooks['socketmap'][0].for_postfix(_queue(postfix))}"


def _queue(postfix: Postfix) -> PurePosixPath:
    return PurePosixPath(postfix["queue_directory"])
