"""``mailhooks user``: accounts, what they may do, and their passwords."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mailhooks.address import display, render
from mailhooks.cli import app_password, credentials, existing
from mailhooks.cli.errors import BadInput, say
from mailhooks.cli.kick import kick
from mailhooks.cli.limit import used
from mailhooks.cli.output import Formats, Row, details, json_option, listing, size, when
from mailhooks.cli.removal import adding, removing
from mailhooks.cli.session import Session, pass_session, reuse_option
from mailhooks.cli.values import ADDRESS, DOMAIN, EXPIRY, LINE, MAILBOX_SIZE, NETWORKS_OR_ANY, SERVICES, STATE, UNTIL
from mailhooks.store.model import Mailbox, Service, State

if TYPE_CHECKING:
    from mailhooks.store import Store

_FORMATS: Formats = {"address": display, "quota": size}


@click.group()
def command() -> None:
    """Accounts: ADDRESS is the login name."""


@command.command()
@click.argument("address", type=ADDRESS)
@click.option("--quota", type=MAILBOX_SIZE, help="500M, 1G, none (or 0), or default: the domain's (the default).")
@click.option("--name", type=LINE, default="", help="The person's name.")
@reuse_option
@credentials.password_stdin
@credentials.hash_stdin
@credentials.generate
@credentials.no_password
@pass_session
def add(session: Session, /, *, address: str, quota: int | None, name: str, reuse: bool, **ways: bool) -> None:
    """Make an account. Asks for a password on a terminal; an account without one only receives."""
    way = credentials.one_way(ways)
    auth = session.config.auth
    credential = credentials.take(way, minimum=auth.min_password_length, what=display(address), scram=auth.scram)
    with adding(session) as (_, change):
        hold = 0.0 if reuse else session.hold
        change.add_mailbox(render(address), name=name, quota=quota, password=credential.hash, hold=hold)
        change.set_scram(render(address), credential.scram)
    credential.reveal()
    if not address.rpartition("@")[0].isascii():
        say(f"Dovecot takes no mail for {display(address)}: make an ASCII address, and this one an alias of it")
    if credential.hash is None:
        say(f"{display(address)} has no password and only receives: mailhooks user passwd gives it one")


@command.command("list")
@click.argument("domain", type=DOMAIN, required=False)
@json_option
@pass_session
def list_(session: Session, domain: str | None, as_json: bool) -> None:
    """List all accounts, or those of one domain."""
    with session.reading() as store:
        if domain is not None:
            existing.domain(store, domain)
        listing(map(_row, store.mailboxes(domain)), as_json, _FORMATS)


@command.command()
@click.argument("address", type=ADDRESS)
@json_option
@pass_session
def show(session: Session, address: str, as_json: bool) -> None:
    """Show everything about one account, except its secrets."""
    from mailhooks.passwords import scheme_of  # noqa: PLC0415 - loads the hash libraries, only needed here

    with session.reading() as store:
        mailbox = existing.account(store, address)
        row = _details(store, mailbox) | {"password": scheme_of(mailbox.password) if mailbox.password else None}
    if not as_json:
        row["app_passwords"] = [each["label"] for each in row["app_passwords"]]
    details(row, as_json, {**_FORMATS, "used": lambda used: "-" if used is None else size(used)})


@command.command("set")
@click.argument("address", type=ADDRESS)
@click.option("--quota", type=MAILBOX_SIZE, help="500M, 1G, none (or 0), or default: the domain's.")
@click.option("--name", type=LINE, help="The person's name.")
@click.option("--state", type=STATE, help="What the account may do.")
@click.option("--reason", type=LINE, help="Why, as those hear it who are refused.")
@click.option("--until", type=UNTIL, help="The day on which the account is active again, or none.")
@click.option("--expires", type=EXPIRY, help="When the account is closed: a date, a time like 90d, or never.")
@click.option("--allow", type=SERVICES, help="Services to log in to: imap,pop3,smtp,sieve, all or none.")
@click.option("--networks", type=NETWORKS_OR_ANY, help="Log in only from these: 192.0.2.0/24,2001:db8::/32, or any.")
@click.pass_context
@pass_session
def set_(session: Session, ctx: click.Context, /, address: str, **given: Any) -> None:
    """Change an account. A new state has the reason and the date that are given with it, or none."""
    wanted = {
        name: value
        for name, value in given.items()
        if ctx.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT
    }
    if not wanted:
        raise click.UsageError(
            "nothing to change: give --quota, --name, --state, --reason, --until, --expires, --allow or --networks"
        )
    if wanted.get("state") is State.ACTIVE and (wanted.get("reason") or wanted.get("until")):
        raise click.UsageError("an active account needs no --reason and no --until")
    if "state" in wanted:
        wanted = {"reason": "", "until": None} | wanted
    with session.changing() as change:
        change.set_mailbox(render(address), **wanted)
    if wanted.get("state", State.ACTIVE) is not State.ACTIVE or wanted.keys() & {"allow", "networks"}:
        kick(session.config, address)


@command.command()
@click.argument("address", type=ADDRESS)
@credentials.password_stdin
@credentials.hash_stdin
@credentials.generate
@credentials.no_password
@pass_session
def passwd(session: Session, /, *, address: str, **ways: bool) -> None:
    """Change the password of an account. Asks for it on a terminal."""
    way = credentials.one_way(ways)
    if way is None and not credentials.can_ask():
        raise BadInput(
            "there is no terminal to ask for the password on: "
            "use --password-stdin, --hash-stdin, --generate or --no-password"
        )
    auth = session.config.auth
    credential = credentials.take(way, minimum=auth.min_password_length, what=display(address), scram=auth.scram)
    with session.changing() as change:
        change.set_password(render(address), credential.hash)
        change.set_scram(render(address), credential.scram)
    kick(session.config, address)
    credential.reveal()


@command.command()
@click.argument("address", type=ADDRESS)
@pass_session
def remove(session: Session, address: str) -> None:
    """Remove an account; its mail is moved aside, and aliases that name it are changed."""
    with removing(session) as (change, aside):
        removal = change.remove_mailbox(render(address))
        aside.move(address)
    kick(session.config, address)
    for source in removal.changed:
        say(f"the alias {display(source)} names {display(address)} no longer")
    for source in removal.removed:
        say(f"the alias {display(source)} had no other target and is removed")


def _row(mailbox: Mailbox) -> Row:
    return {
        "address": mailbox.address,
        "state": str(mailbox.state),
        "quota": mailbox.quota,
        "name": mailbox.name,
    }


def _details(store: Store, mailbox: Mailbox) -> Row:
    usage = store.usage(mailbox.address)
    return _row(mailbox) | {
        "quota_from": "domain" if mailbox.own_quota is None else "account",
        "reason": mailbox.reason,
        "until": when(mailbox.until),
        "expires": when(mailbox.expires),
        "allow": [service for service in Service if service in mailbox.allow],
        "networks": list(mailbox.networks),
        "used": usage.storage if usage else None,
        "messages": usage.messages if usage else None,
        "last_login": {login.service: when(login.at) for login in store.last_logins(mailbox.address)},
        "named_by": list(store.aliases_naming(mailbox.address)),
        "sends_as": list(store.senders_granted(mailbox.address)),
        "limits": {row["limit"]: f"{row['used']} used" for row in used(store, mailbox.address)},
        "suspended": suspension.reason if (suspension := store.suspension(mailbox.address)) else None,
        "app_passwords": [app_password.row(each) for each in store.app_passwords(mailbox.address)],
    }
