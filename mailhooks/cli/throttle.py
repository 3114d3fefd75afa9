"""``mailhooks throttle``: who is refused because of too many wrong passwords, and who is let try again."""

from __future__ import annotations

import ipaddress
import time
from typing import TYPE_CHECKING

import click

from mailhooks import address
from mailhooks.cli.errors import BadInput
from mailhooks.cli.output import Row, json_option, listing, when
from mailhooks.cli.session import Session, pass_session
from mailhooks.cli.values import Kind
from mailhooks.own_addresses import shared
from mailhooks.throttle import SHARED, Places, Settings, Throttle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailhooks.store import Store
    from mailhooks.store.throttling import ThrottleRow

FADED = 0.5  # guesses: fewer than this have no consequence any more and are not shown


def subject(text: str) -> tuple[str, str]:
    """Read an account, a network or "shared" as (account, network). Raises ValueError."""
    if "@" in text:
        return address.normalise(text), ""
    if text == SHARED:
        return "", text
    try:
        return "", str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise ValueError(
            f"{text!r} is neither an account nor a network: expected adam@example.com, 192.0.2.7, 192.0.2.0/24, "
            f"2001:db8::/48 or {SHARED}"
        ) from None


@click.group()
def command() -> None:
    """Logins that are refused, for a while, because too many wrong passwords were tried."""


@command.command("list")
@json_option
@pass_session
def list_(session: Session, as_json: bool) -> None:
    """List what two or more wrong passwords were tried at lately, the most first; as it was a second ago."""
    with session.reading() as store:
        listing(_rows(session, store), as_json)


@command.command()
@click.argument("what", metavar="[ACCOUNT|NETWORK]", type=Kind("account or network", subject), required=False)
@click.option("--all", "everything", is_flag=True, help="Forget all that was guessed by anybody.")
@pass_session
def clear(session: Session, what: tuple[str, str] | None, everything: bool) -> None:
    """Forget the wrong passwords of an account, or from a network, so that it may try again at once."""
    if everything is (what is not None):
        raise BadInput("name an account or a network, or say --all")
    account, network = what or ("", "")
    with session.changing() as change:
        change.clear_throttle(account=account, network=network)


def _rows(session: Session, store: Store) -> Iterator[Row]:
    given = session.config.throttle
    try:
        places = Places(given.allow, shared(given.shared_networks))
        settings = Settings(
            pair_guesses=given.pair_guesses,
            network_guesses=given.network_guesses,
            account_guesses=given.account_guesses,
        )
    except ValueError as error:
        raise BadInput(f"[throttle]: {error}") from error
    settings = Settings(
        pair_guesses=given.pair_guesses, network_guesses=given.network_guesses, account_guesses=given.account_guesses
    )
    throttle = Throttle(settings, places, store.known_network)
    now = time.time()
    found: list[tuple[float, Row]] = []
    for row in store.throttle_rows():
        standing = throttle.standing(row, now)
        if standing.guesses >= FADED:
            found.append((standing.guesses, _row(row, standing.scope.value, standing.guesses, standing.until)))
    yield from (row for _, row in sorted(found, key=lambda each: -each[0]))


def _row(row: ThrottleRow, scope: str, guesses: float, until: float | None) -> Row:
    return {
        "scope": scope,
        "account": row.account,
        "network": row.network,
        "guesses": round(guesses, 1),
        "until": when(until),
    }
