"""What can be wrong on the way of a mail through SpamAssassin."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mailhooks import spamprefs
from mailhooks.doctor.finding import Problem, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailhooks.doctor.facts import Facts, Postfix, Service
    from mailhooks.doctor.finding import Finding

AREA = "SpamAssassin"

LIVE_STORE = Problem(
    "spam-opens-live-store",
    Severity.ERROR,
    "spamd reads the live store",
    "It works while the daemon is up; else spamd leaves files of its own beside the store, and mailhooks can no longer"
    " write: an outage of everything.",
    "in {file}: user_scores_dsn DBI:SQLite:dbname={preferences}",
)
OPEN = Problem(
    "spam-filter-fails-open",
    Severity.ERROR,
    "spamc runs without -x",
    "Whenever spamd is down or cannot read the preferences, spamc hands the mail on unscanned and says nothing.",
    "in {file}: spamc -x, and let a script turn every exit code but 0 into 75 (mail waits)",
)
UNEXPANDED = Problem(
    "spam-filter-before-aliases",
    Severity.ERROR,
    "Mail goes into the filter before its aliases are expanded",
    "The filter sees team@example.com instead of the mailboxes: nobody's own preferences count.",
    "{postconf} -P '{service}/receive_override_options='",
)
MANY = Problem(
    "spam-filter-many-recipients",
    Severity.ERROR,
    "One scan is made for several recipients",
    "The preferences of one of them count for all.",
    "{postconf} -e '{transport}_destination_recipient_limit = 1'",
)
EXPANDED_TWICE = Problem(
    "spam-filter-expands-twice",
    Severity.WARNING,
    "Mail that comes back from the filter is expanded again",
    "Aliases are mapped a second time: an account whose address is also an alias gets mail twice, lists loop.",
    "{postconf} -P '{service}/receive_override_options=no_address_mappings,no_unknown_recipient_checks,"
    "no_header_body_checks,no_milters'",
)
NULL_SENDER = Problem(
    "spam-filter-null-sender",
    Severity.WARNING,
    "The filter gives bounces a sender",
    "Without null_sender= pipe(8) turns <> into MAILER-DAEMON: bounces can be answered, and loop.",
    "in {file}, {service}: add null_sender= (with nothing behind it) to the arguments of pipe",
)
QUERY = Problem(
    "spam-query",
    Severity.ERROR,
    "SpamAssassin sorts the preferences of a user wrongly",
    "The last row wins. By the default query users whose name begins with a digit get the values of @GLOBAL.",
    "in {file}: user_scores_sql_custom_query {query}",
)
SILENT = Problem(
    "spamd-silent",
    Severity.ERROR,
    "spamd does not answer",
    "Mail from outside waits in the queue until it does (or passes unscanned, where the filter fails open).",
    "systemctl restart spamd, or look at what it logs: journalctl -u spamd",
)
PREFERENCES = Problem(
    "spam-preferences",
    Severity.ERROR,
    "spamd cannot read the preferences of users",
    "It answers with an error, and mail from outside waits in the queue. The daemon publishes the file.",
    "start mailhooks, and let every user pass: chmod o+x on each directory above {file}",
)


def live_store(facts: Facts) -> Iterator[Finding]:
    """Find a user_scores_dsn that names the store."""
    store = facts.config.store.url.removeprefix("sqlite:///")
    for file, name, value in facts.spam.settings:
        if name == "user_scores_dsn" and value.rpartition("=")[2] == store:
            yield LIVE_STORE.found(f"{file}: {name} {value}", file=file, preferences=facts.config.spam.preferences)


def fails_open(facts: Facts) -> Iterator[Finding]:
    """Find spamc without -x in master.cf; what a script does cannot be seen from here."""
    for postfix, service in _pipes(facts):
        found = re.search(r"\S*\bspamc\b(.*)", service.arguments)
        if found and not re.search(r"(^|\s)-[a-zA-Z]*x", found[1].partition(" -e ")[0]):
            yield OPEN.found(
                f"{service.path} ({postfix.directory}): {service.arguments}", file=f"{postfix.directory}/master.cf"
            )


def unexpanded(facts: Facts) -> Iterator[Finding]:
    """Find no_address_mappings where a content filter is set."""
    for postfix in facts.postfix:
        for service in postfix.running("smtpd", "pickup"):
            options = postfix.of(service, "receive_override_options")
            if postfix.of(service, "content_filter") and "no_address_mappings" in options:
                yield UNEXPANDED.found(
                    f"{service.path} ({postfix.directory}): content_filter with no_address_mappings",
                    postconf=postfix.postconf, service=service.path,
                )  # fmt: skip


def many_recipients(facts: Facts) -> Iterator[Finding]:
    """Find filters that get more than one recipient at once."""
    for postfix, service in _filters(facts):
        limit = postfix[f"{service.name}_destination_recipient_limit"]
        if limit != "1":
            yield MANY.found(
                f"{service.path} ({postfix.directory}): {service.name}_destination_recipient_limit = {limit or '50'}",
                postconf=postfix.postconf, transport=service.name,
            )  # fmt: skip


def query(facts: Facts) -> Iterator[Finding]:
    """Find preferences of ours that are read in another order than theirs."""
    ours = facts.config.spam.preferences
    files = [file for file, name, value in facts.spam.settings if name == "user_scores_dsn" and value.endswith(ours)]
    queries = [value for _, name, value in facts.spam.settings if name == "user_scores_sql_custom_query"]
    if files and not (queries and "order by prio" in queries[-1].lower()):
        what = queries[-1] if queries else "user_scores_sql_custom_query is not set"
        yield QUERY.found(f"{files[-1]}: {what}", file=files[-1], query=spamprefs.QUERY)


def spamd(facts: Facts) -> Iterator[Finding]:
    """Find a spamd that does not PONG."""
    if facts.spam.silent:
        yield SILENT.found(f"127.0.0.1:{facts.config.server.ports.spamd} {facts.spam.silent}")


def preferences(facts: Facts) -> Iterator[Finding]:
    """Find a file that is not there, not readable, or no table of preferences."""
    if facts.spam.preferences:
        file = facts.config.spam.preferences
        yield PREFERENCES.found(f"{file}: {facts.spam.preferences}", file=file)


def expanded_twice(facts: Facts) -> Iterator[Finding]:
    """Find the way back from the filter, a loopback smtpd without a filter, that maps addresses."""
    for postfix in facts.postfix:
        if not any(postfix.of(service, "content_filter") for service in postfix.running("smtpd")):
            continue
        for service in postfix.running("smtpd"):
            options = postfix.of(service, "receive_override_options")
            back = service.overrides.get("content_filter") == "" and service.name.startswith(("127.", "localhost:"))
            if back and "no_address_mappings" not in options:
                yield EXPANDED_TWICE.found(
                    f"{service.path} ({postfix.directory}) takes mail back from a filter without no_address_mappings",
                    postconf=postfix.postconf, service=service.path,
                )  # fmt: skip


def null_sender(facts: Facts) -> Iterator[Finding]:
    """Find filters that replace the null sender."""
    for postfix, service in _filters(facts):
        if "null_sender=" not in service.arguments:
            yield NULL_SENDER.found(
                f"{service.path} ({postfix.directory}): {service.arguments}",
                file=f"{postfix.directory}/master.cf", service=service.path,
            )  # fmt: skip


CHECKS = (
    live_store,
    fails_open,
    unexpanded,
    many_recipients,
    query,
    spamd,
    preferences,
    expanded_twice,
    null_sender,
)


def _pipes(facts: Facts) -> Iterator[tuple[Postfix, Service]]:
    for postfix in facts.postfix:
        for service in postfix.running("pipe"):
            yield postfix, service


def _filters(facts: Facts) -> Iterator[tuple[Postfix, Service]]:
    """Yield the pipes that are some service's content filter."""
    for postfix, service in _pipes(facts):
        users = {postfix.of(each, "content_filter").partition(":")[0] for each in postfix.running("smtpd", "pickup")}
        if service.name in users:
            yield postfix, service
