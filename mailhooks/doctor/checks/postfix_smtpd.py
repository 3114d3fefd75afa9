"""What can be wrong where clients meet Postfix: AUTH and the policy services."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mailhooks.doctor.finding import Problem, Severity
from mailhooks.doctor.references import ours, smtpd_lists

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailhooks.doctor.facts import Facts, Postfix, Service
    from mailhooks.doctor.finding import Finding
    from mailhooks.doctor.references import Reference

AREA = "Postfix: logins and policy"

LONGEST_POLICY = 30  # seconds; mailhooks answers or gives up after 5, and an smtpd waits twice
CONTEXTS = ("", "smtp", "submission", "end-of-message")  # what mailhooks knows; an empty one means smtp

SASL_TYPE = Problem(
    "postfix-sasl-type",
    Severity.ERROR,
    "AUTH is on, but not by way of mailhooks' protocol",
    "Postfix's default, cyrus, knows none of the accounts; an smtpd without any mechanism dies before its greeting and"
    " its port stays silent for a minute.",
    "{postconf} -e 'smtpd_sasl_type = dovecot' 'smtpd_sasl_path = {path}'",
)
SASL_OF_DOVECOT = Problem(
    "postfix-sasl-socket-of-dovecot",
    Severity.ERROR,
    "smtpd logs in at the socket that is meant for Dovecot",
    "There an outage is told in words that only Dovecot understands: Postfix says 535, mail programs ask for the"
    " password, fail2ban bans. On its own socket Postfix hears what makes it say 454.",
    "in {place}: smtpd_sasl_path = {path}",
)
SASL_ON_25 = Problem(
    "postfix-auth-on-port-25",
    Severity.WARNING,
    "The port for mail from other servers offers AUTH",
    "An smtpd that offers AUTH does not start while mailhooks is away, and then its port is silent for a minute at a"
    " time: with submission on its own port that costs no mail from outside.",
    "{postconf} -P '{service}/smtpd_sasl_auth_enable=no'",
)
IN_CLEAR = Problem(
    "postfix-auth-in-clear",
    Severity.WARNING,
    "Passwords are taken without TLS",
    "Everybody on the way can read them.",
    "{postconf} -e 'smtpd_tls_auth_only = yes'",
)
DEFAULT_ACTION = Problem(
    "postfix-policy-default-action",
    Severity.ERROR,
    "When mailhooks does not answer, mail is judged all the same",
    "An outage has to be temporary: DUNNO or OK lets mail pass unchecked (quota, stolen accounts), 5xx or REJECT"
    " refuses it for good.",
    "in {place}: {parameter} = 451 4.3.0 this server cannot check the mail now, try again later",
)
BEHIND_PERMIT = Problem(
    "postfix-policy-behind-permit",
    Severity.ERROR,
    "The policy service stands behind a permit",
    "What permits ends the list: clients that it names are never checked (limits, sender ownership, quota).",
    "in {place}: move check_policy_service before {permit}",
)
CONTEXT = Problem(
    "postfix-policy-context",
    Severity.WARNING,
    "The policy service is asked in the wrong context",
    "[policy] has a list of rules for each context: without policy_context=submission users are neither limited nor"
    " kept from sending as others, and with it mail from outside is judged like theirs.",
    "in {place}: check_policy_service {{ {service}, policy_context={context} }}",
)
EARLY = Problem(
    "postfix-policy-too-early",
    Severity.WARNING,
    "The policy service is asked before there is a recipient",
    "With smtpd_delay_reject=no client, helo and sender restrictions run at once, while little is known to judge by.",
    "in {place}: move check_policy_service to smtpd_recipient_restrictions",
)
NO_END = Problem(
    "postfix-policy-no-end",
    Severity.WARNING,
    "The policy service is not asked at the end of a message",
    "What was sent is counted there, and the real size is known only there: outbound limits never count anything, and"
    " a message without an announced size passes the quota.",
    "{postconf} -e 'smtpd_end_of_data_restrictions ="
    " check_policy_service {{ {service}, policy_context=end-of-message }}'",
)
SLOW = Problem(
    "postfix-policy-timeout",
    Severity.WARNING,
    "Postfix waits very long for a policy service that hangs",
    "It waits twice: with the default of 100 s each recipient costs 200 s before its 451, and clients give up.",
    "{postconf} -e 'smtpd_policy_service_timeout = 10s'",
)
SENDER_25 = Problem(
    "postfix-sender-login-on-port-25",
    Severity.WARNING,
    "Mail from outside is refused when its sender is one of ours",
    "Mailing lists and forwarders send such mail rightly: 553 not logged in. On submission the check is right.",
    "{postconf} -P '{service}/smtpd_sender_restrictions='",
)
RELAY_AUTH = Problem(
    "postfix-relay-auth-off",
    Severity.ERROR,
    "Passwords of relay hosts are in the store, and Postfix does not use them",
    "Mail goes to the relay without AUTH, which most refuse or file as spam.",
    "{postconf} -e '{parameter} = yes'",
)


def sasl_type(facts: Facts) -> Iterator[Finding]:
    """Find AUTH of another kind, next to tables of ours."""
    for postfix, service, _ in _authenticating(facts):
        if postfix.of(service, "smtpd_sasl_type") != "dovecot":
            yield SASL_TYPE.found(
                f"{service.path} ({postfix.directory}) has smtpd_sasl_type = {postfix.of(service, 'smtpd_sasl_type')}",
                postconf=postfix.postconf, path=_sasl_path(facts, postfix),
            )  # fmt: skip


def sasl_of_dovecot(facts: Facts) -> Iterator[Finding]:
    """Find smtpds that use the listener ``login``."""
    for postfix, service, reference in _authenticating(facts):
        if reference and facts.has("login", reference.reached(postfix["queue_directory"], chroot=reference.chroot)):
            yield SASL_OF_DOVECOT.found(
                f"{service.path} ({postfix.directory}) has smtpd_sasl_path = {reference.written.path}",
                place=f"{postfix.directory}, {reference.where}", path=_sasl_path(facts, postfix),
            )  # fmt: skip


def sasl_on_25(facts: Facts) -> Iterator[Finding]:
    """Find the port of other servers with AUTH."""
    for postfix, service, reference in _authenticating(facts):
        if reference and _from_servers(service):
            yield SASL_ON_25.found(
                f"{service.path} ({postfix.directory}) has smtpd_sasl_auth_enable = yes",
                postconf=postfix.postconf, service=service.path,
            )  # fmt: skip


def in_clear(facts: Facts) -> Iterator[Finding]:
    """Find AUTH that needs no TLS."""
    for postfix, service, reference in _authenticating(facts):
        safe = (
            postfix.of(service, "smtpd_tls_auth_only") == "yes"
            or postfix.of(service, "smtpd_tls_wrappermode") == "yes"
            or postfix.of(service, "smtpd_tls_security_level") == "encrypt"
        )
        if reference and not safe:
            yield IN_CLEAR.found(
                f"{service.path} ({postfix.directory}) offers AUTH before STARTTLS", postconf=postfix.postconf
            )


def default_action(facts: Facts) -> Iterator[Finding]:
    """Find what is done while mailhooks does not answer, unless it is temporary."""
    name = "smtpd_policy_service_default_action"
    for postfix, reference in _policies(facts):
        own = reference.option("default_action")
        service = reference.service
        action = own or (postfix.of(service, name) if service else postfix[name])
        if not re.match(r"4\d\d\b|DEFER", action, re.IGNORECASE):
            yield DEFAULT_ACTION.found(
                f"{reference.where} ({postfix.directory}): {'default_action' if own else name} = {action}",
                place=f"{postfix.directory}, {reference.where}" if own else f"{postfix.directory}/main.cf",
                parameter="default_action" if own else name,
            )


def behind_permit(facts: Facts) -> Iterator[Finding]:
    """Find checks that some clients never meet."""
    for postfix, reference in _policies(facts):
        if found := re.search(r"\b(permit(_\w+)?)\b", reference.before):
            yield BEHIND_PERMIT.found(
                f"{reference.where} ({postfix.directory}): {found[1]} stands before check_policy_service",
                place=f"{postfix.directory}, {reference.where}", permit=found[1],
            )  # fmt: skip


def context(facts: Facts) -> Iterator[Finding]:
    """Find contexts that mailhooks does not know, and submission that is asked like mail from outside."""
    for postfix, service, reference in _asked_by_services(facts):
        given = reference.option("policy_context")
        submission = postfix.of(service, "smtpd_sasl_auth_enable") == "yes" and not _from_servers(service)
        at_end = "end_of_data" in reference.parameter
        wanted = "end-of-message" if at_end else "submission" if submission else "smtp"
        if given not in CONTEXTS or (given or "smtp") != wanted:
            yield CONTEXT.found(
                f"{service.path} ({postfix.directory}): policy_context={given or '(none)'} in {reference.parameter}",
                place=f"{postfix.directory}, {reference.where}",
                service=_policy_service(facts, postfix), context=wanted,
            )  # fmt: skip


def early(facts: Facts) -> Iterator[Finding]:
    """Find checks that run when the client has only just connected."""
    for postfix, service, reference in _asked_by_services(facts):
        stage = reference.parameter.split("_")[1]
        if postfix.of(service, "smtpd_delay_reject") == "no" and stage in {"client", "helo", "sender"}:
            yield EARLY.found(
                f"{service.path} ({postfix.directory}): smtpd_delay_reject = no and {reference.parameter}",
                place=f"{postfix.directory}, {reference.where}",
            )


def no_end(facts: Facts) -> Iterator[Finding]:
    """Find smtpds that ask at RCPT and not when the message is there."""
    stages: dict[tuple[str, str], set[str]] = {}
    instances: dict[tuple[str, str], Postfix] = {}
    for postfix, service, reference in _asked_by_services(facts):
        key = str(postfix.directory), service.path
        instances[key] = postfix
        stages.setdefault(key, set()).add("end" if "end_of_data" in reference.parameter else "rcpt")
    for key, asked in stages.items():
        if asked == {"rcpt"} and facts.config.policy.end_of_message:
            postfix = instances[key]
            yield NO_END.found(
                f"{key[1]} ({postfix.directory}) has no policy service in smtpd_end_of_data_restrictions",
                postconf=postfix.postconf, service=_policy_service(facts, postfix),
            )  # fmt: skip


def slow(facts: Facts) -> Iterator[Finding]:
    """Find limits that a client does not wait for."""
    told = set()
    for postfix, reference in _policies(facts):
        limit = reference.option("timeout") or postfix["smtpd_policy_service_timeout"]
        if _seconds(limit) > LONGEST_POLICY and (key := (postfix.directory, limit)) not in told:
            told.add(key)
            yield SLOW.found(f"smtpd_policy_service_timeout = {limit} ({postfix.directory})", postconf=postfix.postconf)


def sender_on_25(facts: Facts) -> Iterator[Finding]:
    """Find reject_sender_login_mismatch where others than our users send."""
    word = re.compile(r"\breject_(unauthenticated_)?sender_login_mismatch\b")
    for postfix in facts.postfix:
        if not any(each.name == "smtpd_sender_login_maps" for each in ours(facts, postfix)):
            continue
        for service in postfix.running("smtpd"):
            lists = " ".join(value for _, value in smtpd_lists(postfix, service))
            if _from_servers(service) and postfix.of(service, "smtpd_sender_login_maps") and word.search(lists):
                yield SENDER_25.found(
                    f"{service.path} ({postfix.directory}) rejects senders whose owner has not logged in",
                    postconf=postfix.postconf, service=service.path,
                )  # fmt: skip


def relay_auth(facts: Facts) -> Iterator[Finding]:
    """Find relay passwords that are never looked up."""
    for postfix in facts.postfix:
        if any(each.parameter == "smtp_sasl_password_maps" for each in ours(facts, postfix)):
            for parameter in ("smtp_sasl_auth_enable", "smtp_sender_dependent_authentication"):
                by_sender = parameter == "smtp_sender_dependent_authentication"
                if postfix[parameter] != "yes" and (not by_sender or postfix["sender_dependent_relayhost_maps"]):
                    yield RELAY_AUTH.found(
                        f"{parameter} = {postfix[parameter]} ({postfix.directory}/main.cf)",
                        postconf=postfix.postconf, parameter=parameter,
                    )  # fmt: skip


CHECKS = (
    sasl_type,
    sasl_of_dovecot,
    default_action,
    behind_permit,
    relay_auth,
    sasl_on_25,
    context,
    no_end,
    early,
    in_clear,
    slow,
    sender_on_25,
)


def _authenticating(facts: Facts) -> Iterator[tuple[Postfix, Service, Reference | None]]:
    """Yield the smtpds with AUTH of each Postfix that is connected, with the socket if it is ours."""
    for postfix in facts.postfix:
        mentions = list(ours(facts, postfix))
        by_service = {
            each.service.path if each.service else "": each for each in mentions if each.hook == "postfix_auth"
        }
        for service in postfix.running("smtpd"):
            if mentions and postfix.of(service, "smtpd_sasl_auth_enable") == "yes":
                yield postfix, service, by_service.get(service.path, by_service.get(""))


def _policies(facts: Facts) -> Iterator[tuple[Postfix, Reference]]:
    for postfix in facts.postfix:
        for reference in ours(facts, postfix):
            if reference.hook == "policy" and reference.parameter.startswith("smtpd_"):
                yield postfix, reference


def _asked_by_services(facts: Facts) -> Iterator[tuple[Postfix, Service, Reference]]:
    """Yield for each smtpd the policy services that it really asks, wherever they are written."""
    for postfix, reference in _policies(facts):
        if reference.service is not None:
            yield postfix, reference.service, reference
            continue
        for service in postfix.running("smtpd"):
            if reference.parameter not in service.overrides:
                yield postfix, service, reference


def _from_servers(service: Service) -> bool:
    return service.kind == "inet" and service.port in {"25", "smtp"}


def _sasl_path(facts: Facts, postfix: Postfix) -> str:
    found = facts.hooks.get("postfix_auth", ())
    return found[0].path.removeprefix(f"{postfix['queue_directory']}/") if found else "mailhooks/auth"


def _policy_service(facts: Facts, postfix: Postfix) -> str:
    found = facts.hooks.get("policy", ())
    path = found[0].path.removeprefix(f"{postfix['queue_directory']}/") if found else "mailhooks/policy"
    return f"unix:{path}" if path else f"inet:{found[0].host}:{found[0].port}"


def _seconds(text: str) -> float:
    """Read a time of Postfix: 100s, 2m."""
    found = re.fullmatch(r"(\d+)([smhdw]?)", text)
    units = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
    return float(int(found[1]) * units[found[2]]) if found else 0.0
