"""``mailhooks explain``: what happens to a recipient or sender, step by step, on the very code path of the servers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from mailhooks import explain
from mailhooks.cli.errors import NEGATIVE, BadInput
from mailhooks.cli.output import details, harmless, json_option
from mailhooks.cli.session import Session, pass_session
from mailhooks.cli.values import SERVICE
from mailhooks.logins import LoginRules
from mailhooks.policy import Policy, Settings, UnknownRule

if TYPE_CHECKING:
    from mailhooks.config import Config
    from mailhooks.store.model import Service


CLIENT = click.option(
    "--client", metavar="ADDRESS", default="", help="The client's IP address, for limits of networks."
)


@click.group()
def command() -> None:
    """Why an address is accepted or refused: every step, every rule, and what the SMTP client hears.

    The exit code is 0 when it is accepted and 1 when not.
    """


@command.command()
@click.argument("address")
@click.option("--sender", help="The envelope sender; left out: the login's own address, from outside the null sender.")
@click.option("--login", default="", help="As on submission, after this login.")
@click.option("--size", type=click.IntRange(0), default=0, help="The size in bytes that the client announces.")
@CLIENT
@json_option
@pass_session
def rcpt(
    session: Session, /, address: str, *, sender: str | None, login: str, size: int, client: str, as_json: bool
) -> None:
    """Explain RCPT TO:<ADDRESS>."""
    policy, delimiter = _policy(session.config), session.config.mail.recipient_delimiter
    with session.reading() as store:
        found = explain.rcpt(
            store,
            policy,
            address,
            time.time(),
            delimiter=delimiter,
            sender=sender,
            login=login,
            size=size,
            client=client,
        )
    _show(found, as_json=as_json)


@command.command()
@click.argument("login")
@click.argument("sender")
@CLIENT
@json_option
@pass_session
def send(session: Session, login: str, sender: str, client: str, as_json: bool) -> None:
    """Explain MAIL FROM:<SENDER> on submission, after LOGIN has logged in."""
    policy, delimiter = _policy(session.config), session.config.mail.recipient_delimiter
    with session.reading() as store:
        found = explain.send(store, policy, login, sender, time.time(), delimiter=delimiter, client=client)
    _show(found, as_json=as_json)


@command.command()
@click.argument("address")
@click.argument("service", type=SERVICE)
@click.option("--network", metavar="ADDRESS", help="The client's IP address.")
@json_option
@pass_session
def login(session: Session, address: str, service: Service, network: str | None, as_json: bool) -> None:
    """Explain a login of ADDRESS at SERVICE with the right password."""
    config = session.config
    try:
        rules = LoginRules.of(config.auth, config.mail.recipient_delimiter)
    except ValueError as error:
        raise BadInput(str(error)) from error
    with session.reading() as store:
        found = explain.login(store, address, service.value, time.time(), network=network, rules=rules)
    _show(found, as_json=as_json)


def _policy(config: Config) -> Policy:
    try:
        return Policy(Settings.of(config.policy, delimiter=config.mail.recipient_delimiter))
    except UnknownRule as error:
        raise BadInput(f"[policy]: {error}") from error


def _show(found: explain.Explanation, *, as_json: bool) -> None:
    if as_json:
        steps = [{"asked": step.asked, "answer": step.answer} for step in found.steps]
        details({"accepted": found.accepted, "reply": found.reply, "steps": steps}, as_json)
    else:
        width = max((len(step.asked) for step in found.steps), default=0) + 2
        for step in found.steps:
            click.echo(harmless(f"{step.asked:{width}}{step.answer}"))
        click.echo(harmless(f"{'reply':{width}}{found.reply}"))
    if not found.accepted:
        click.get_current_context().exit(NEGATIVE)
