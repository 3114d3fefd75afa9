"""Say step by step what happens to a recipient or a sender, on the very code path of the servers.

The steps are asked in Postfix's order: relay control, the policy rules, then its own check of unknown recipients. The
first objection is what the SMTP client hears; rules behind it are still listed, for the person who asks why. Printing
is the command line's work.

What it does not do
    It speaks for the accounts only: other restrictions that an admin put into main.cf are not known here, nor what the
    daemon alone remembers: mail under way (rule ``quota``), sessions and networks (``flood``, ``breaker``), the app
    password that a client used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailhooks import passdb, passwords, recipients, senders, tables
from mailhooks.address import display, fold
from mailhooks.logins import STANDARD
from mailhooks.policy import Memory, limits
from mailhooks.wire.policy import DeferIfPermit, Reject, Request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailhooks.logins import LoginRules
    from mailhooks.policy import Policy, Verdict
    from mailhooks.store import Store

MAX_EXPANSION = 50  # addresses of an expansion that are listed: a person reads them
ACCEPTED = "250 2.1.5 Ok"
NO = "refused, in the words for a wrong password"
REFUSALS = {
    passdb.Reason.CREDENTIALS: "it was changed or removed just now",
    passdb.Reason.SERVICE: "the account does not allow this service",
    passdb.Reason.STATE: "the state of the account does not allow it",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One question and its answer, in words."""

    asked: str
    answer: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """All steps, and what the SMTP client would hear in the end."""

    steps: tuple[Step, ...]
    reply: str

    @property
    def accepted(self) -> bool:
        """Whether the client hears a yes: 250, 235, OK."""
        return self.reply.startswith(("2", "OK"))


def rcpt(
    store: Store,
    policy: Policy,
    recipient: str,
    now: float,
    *,
    delimiter: str,
    sender: str | None = None,
    login: str = "",
    size: int = 0,
    client: str = "",
) -> Explanation:
    """Explain RCPT TO; with a ``login`` as on submission, without one as on port 25. Raises ``Unavailable``.

    ``client`` is the IP address of the SMTP client, which limits of networks look at.

    ``sender`` is the login's own address unless said otherwise, from outside the null sender.
    """
    if not _is_qualified(recipient):
        text = f"504 5.5.2 <{recipient}>: Recipient address rejected: need fully-qualified address"
        return Explanation((Step("address", f"{recipient!r} has no whole domain"),), text)
    address = fold(recipient)
    if address is None:
        text = f"501 5.1.3 <{recipient}>: Bad recipient address syntax"
        return Explanation((Step("address", f"{recipient!r} is no address"),), text)
    steps = [Step("address", display(address))]
    steps += (_table(store, name, address.rpartition("@")[2], delimiter) for name in _DOMAIN_TABLES)
    outside = all(step.answer == _NOT_FOUND for step in steps[1:])
    replies = []
    if outside and not login:
        replies.append(f"554 5.7.1 <{recipient}>: Relay access denied")
    sender = login if sender is None else sender
    context = "submission" if login else "smtp"
    request = _request("RCPT", context, sender=sender, recipient=recipient, login=login, size=size, client=client)
    verdicts = policy.trace(request, store, now)
    replies += _refusals(verdicts, f"<{recipient}>: Recipient address rejected")
    if not outside:
        steps += _expansion(store, address, delimiter)
        steps += (found := [_table(store, name, recipient, delimiter) for name in _ADDRESS_TABLES])
        if all(step.answer == _NOT_FOUND for step in found):
            kind = "alias" if steps[1].answer != _NOT_FOUND else "mailbox"
            replies.append(f"550 5.1.1 <{recipient}>: Recipient address rejected: User unknown in virtual {kind} table")
    return Explanation((*steps, *map(_rule, verdicts)), next(iter(replies), ACCEPTED))


def send(
    store: Store, policy: Policy, login: str, sender: str, now: float, *, delimiter: str, client: str = ""
) -> Explanation:
    """Explain MAIL FROM on submission after a login. Raises ``Unavailable``."""
    name, address = fold(login), fold(sender)
    account = store.mailbox(name) if name is not None else None
    steps = [Step("login", "there is no such account" if account is None else f"{account.address} is {account.state}")]
    if address is not None:
        steps += (
            Step("belongs to", _names(senders.personal(store, address, delimiter))),
            Step("granted to", _names(senders.granted(store, address, delimiter))),
        )
        steps += (_table(store, table, sender, delimiter) for table in _SENDER_TABLES)
    elif not sender:
        steps.append(Step("sender", "the null sender"))
    else:
        steps.append(Step("sender", f"{sender!r} is no address"))
    if account is not None:
        steps += _limits(store, account.address, client)
    verdicts = policy.trace(_request("MAIL", "submission", sender=sender, login=login, client=client), store, now)
    replies = _refusals(verdicts, f"<{sender}>: Sender address rejected")
    return Explanation((*steps, *map(_rule, verdicts)), next(replies, "250 2.1.0 Ok"))


_NOT_FOUND = "not found"
_DOMAIN_TABLES = ("virtual_alias_domains", "virtual_mailbox_domains")
_ADDRESS_TABLES = ("virtual_alias_maps", "virtual_mailbox_maps")
_SENDER_TABLES = ("smtpd_sender_login_maps", "sender_dependent_relayhost_maps")


def _is_qualified(recipient: str) -> bool:
    """Whether Postfix's reject_non_fqdn_recipient lets it pass (smtpd_check.c): postmaster needs no domain."""
    _, at, domain = recipient.rpartition("@")
    if not at:
        return recipient.lower() in ("", "postmaster")
    return not domain or "." in domain or domain.startswith("[")  # an empty one is a fault of another kind


def _limits(store: Store, login: str, client: str) -> Iterator[Step]:
    """Say what is used of the limits that count for a login from an address, and whether it is suspended."""
    memory = Memory()
    for kind, key, some in limits.Limits(memory).applied(store, login, client):
        counter = memory.counter(store, key)
        for limit in some:
            yield Step(f"limit of the {kind}", f"{counter.used(limit.seconds, memory.time())} used of {limit}")
    suspension = store.suspension(login)
    if suspension is not None and (suspension.until is None or suspension.until > memory.time()):
        yield Step("suspended", suspension.reason)


def _table(store: Store, name: str, key: str, delimiter: str) -> Step:
    value = tables.lookup(store, name, key, delimiter)
    return Step(name, _NOT_FOUND if value is None else value)


def _expansion(store: Store, address: str, delimiter: str) -> Iterator[Step]:
    """Walk as the servers do, and say how each address was found."""
    waiting = [address]
    seen = {address}
    while waiting:
        if len(seen) > MAX_EXPANSION:
            yield Step("and", "more")
            return
        at = waiting.pop(0)
        found = recipients.resolve(store, at, delimiter)
        yield Step(display(at), _found(store, found))
        for target in found.targets:
            if target not in seen:
                seen.add(target)
                waiting.append(target)


def _found(store: Store, found: recipients.Resolution) -> str:
    if found.mailbox:
        return f"{found.step}: mailbox {display(found.mailbox)}, {store.state(found.mailbox)}"
    if found.targets:
        return f"{found.step}: {display(found.source)} leads to {_names(found.targets)}"
    if found.step is recipients.Step.EXPIRED:
        return f"expired: the alias {display(found.source)} has ended"
    return "not ours" if found is recipients.OUTSIDE else "nobody has this address"


def _names(addresses: tuple[str, ...]) -> str:
    return ", ".join(map(display, addresses)) or "nobody"


def _request(
    state: str, context: str, *, sender: str, login: str, recipient: str = "", size: int = 0, client: str = ""
) -> Request:
    return Request.of(
        {
            "request": "smtpd_access_policy",
            "protocol_state": state,
            "client_address": client,
            "sender": sender,
            "recipient": recipient,
            "size": str(size),
            "sasl_username": login,
            "policy_context": context,
        }
    )


def _rule(verdict: Verdict) -> Step:
    """Say a rule's verdict; an objection in shadow mode is marked as such."""
    name = f"rule {verdict.rule}" + (" (shadow)" if verdict.shadow else "")
    match verdict.action:
        case None:
            return Step(name, "no objection")
        case Reject(code, dsn, text):
            return Step(name, f"{code} {dsn} {text}")
        case DeferIfPermit(dsn, text):
            return Step(name, f"450 {dsn} {text}")
        case action:
            return Step(name, type(action).__name__.lower())


def _refusals(verdicts: tuple[Verdict, ...], prefix: str) -> Iterator[str]:
    """Say what the client hears of each enforced refusal (smtpd_check.c)."""
    for verdict in verdicts:
        if verdict.shadow:
            continue
        match verdict.action:
            case Reject(code, dsn, text):
                yield f"{code} {dsn} {prefix}: {text}"
            case DeferIfPermit(dsn, text):
                yield f"450 {dsn} {prefix}: {text}"


def login(
    store: Store, name: str, service: str, now: float, *, network: str | None = None, rules: LoginRules = STANDARD
) -> Explanation:
    """Explain a login whose password is right: whom the name means and what each credential opens.

    Whether guessing has closed the door for now is not looked at: ``mailhooks throttle list`` tells. Raises
    ``Unavailable``.
    """
    asked = passdb.candidate(store, name, service, network, now, rules=rules)
    mailbox = asked.mailbox
    if mailbox is None:
        return Explanation((Step("account", f"there is no account {name}"),), NO)
    steps = [Step("account", display(mailbox.address)), Step("state", mailbox.state.value)]
    steps += [Step("services", ", ".join(sorted(mailbox.allow)) or "none")]
    if mailbox.networks:
        steps.append(Step("networks", ", ".join(mailbox.networks)))
    if not asked.credentials:
        steps.append(Step("credentials", "none counts for this service and network"))
        return Explanation(tuple(steps), NO)
    reply = ""
    for credential in asked.credentials:
        what = "password" if credential.label == passdb.MAIN else f"app password {credential.label}"
        found = passdb.decide(store, asked, credential, now)
        if isinstance(found, passdb.Accepted):
            reply = "OK"
            steps.append(Step(what, f"opens it ({passwords.scheme_of(credential.stored)})"))
        else:
            reply = reply or (f"refused: {found.text}" if found.text else NO)
            steps.append(Step(what, f"does not open it: {REFUSALS[found.reason]}"))
    return Explanation(tuple(steps), reply)
