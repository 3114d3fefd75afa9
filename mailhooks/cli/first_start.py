"""What ``up`` makes in the store because an environment variable asks for it: a domain, its admin, relay credentials.

MAIL_DOMAIN and MAIL_ADMIN each work alone: a domain that is not here yet is made with the admin, else with
postmaster@DOMAIN, as its first user; an admin's domain is made with him. Domain and account are one change, and a start
that finds it done changes nothing: an account that is there keeps its password. The relay's credentials are those of
the environment whenever they differ, so a new password counts at the next start.

What the store refuses stops the start of a server without domains. One that has some comes up and warns: its admin has
changed since what the variables once asked for, and may have removed it, made an alias of it, or renamed its domain.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from mailhooks.address import AddressError, display, normalise, normalise_domain, render
from mailhooks.cli import credentials
from mailhooks.cli.errors import BadInput
from mailhooks.cli.owner import root_again
from mailhooks.cli.removal import homes_of
from mailhooks.config import ConfigError
from mailhooks.environment import WrongVariable, secret
from mailhooks.store.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, MutableMapping

    from mailhooks.cli.session import Session
    from mailhooks.config import Config
    from mailhooks.store import Store

WHO = "environment"  # in the audit log


@dataclass(frozen=True)
class Wishes:
    """What the environment asks for."""

    domain: str = ""
    admin: str = ""
    admin_password: str | None = field(default=None, repr=False)
    relay_username: str = ""
    relay_password: str | None = field(default=None, repr=False)


def read(environment: MutableMapping[str, str]) -> Wishes:
    """Read the variables, and take the secrets out of the environment. Raises ConfigError."""
    try:
        wishes = Wishes(
            domain=_normal("MAIL_DOMAIN", environment),
            admin=_normal("MAIL_ADMIN", environment),
            admin_password=_password("MAIL_ADMIN_PASSWORD", environment),
            relay_username=environment.get("RELAY_USERNAME", ""),
            relay_password=_password("RELAY_PASSWORD", environment),
        )
    except WrongVariable as error:
        raise ConfigError(str(error)) from error
    username, password = wishes.relay_username, wishes.relay_password
    if ":" in username or not username.isprintable():
        raise ConfigError(f"RELAY_USERNAME={username!r}: expected a login without a colon, at which Postfix splits")
    if bool(username) != bool(password):
        missing = "RELAY_PASSWORD or RELAY_PASSWORD_FILE" if username else "RELAY_USERNAME"
        raise ConfigError(f"{missing} is missing: a relay host wants a login and a password, or neither")
    if wishes.admin_password and not (wishes.admin or wishes.domain):
        raise ConfigError("MAIL_ADMIN_PASSWORD needs MAIL_ADMIN or MAIL_DOMAIN: whose password is it?")
    return wishes


def check(wishes: Wishes, config: Config) -> None:
    """Raise ConfigError for wishes that do not go with the configuration."""
    if wishes.relay_username and not config.server.relayhost:
        raise ConfigError("RELAY_USERNAME needs RELAY_HOST (or server.relayhost): at which host is that login?")
    least = config.auth.min_password_length
    if wishes.admin_password and len(wishes.admin_password) < least:
        raise ConfigError(f"MAIL_ADMIN_PASSWORD has fewer than {least} characters (auth.min_password_length)")


def fulfil(session: Session, wishes: Wishes, config: Config, warn: Callable[[str], None]) -> tuple[str, str] | None:
    """Make what is missing; return a new account and its password when that was made here.

    Raises ConfigError, and Unavailable when the store cannot be written now.
    """
    if wishes == Wishes():
        return None
    with session.reading() as store:  # never makes one: where it is missing now, an empty one would bounce mail
        has_served = next(store.domains(), None) is not None
        made: tuple[str, str] | None = None
        for wish in (partial(_relay, store, wishes, config), partial(_accounts, session, store, wishes)):
            try:
                made = wish() or made
            except WrongVariable as error:
                if not has_served:
                    raise ConfigError(str(error)) from error
                warn(f"{error}; the server comes up without it, take the variable out when it is not wanted any more")
        return made


def _relay(store: Store, wishes: Wishes, config: Config) -> None:
    host, wanted = config.server.relayhost, (wishes.relay_username, wishes.relay_password or "")
    if wishes.relay_username and store.relay_credentials(host.lower()) != wanted:
        with _asked_for_by("RELAY_HOST", host), store.change(WHO) as change:
            change.add_relay(host, username=wanted[0], password=wanted[1])


def _accounts(session: Session, store: Store, wishes: Wishes) -> tuple[str, str] | None:
    is_new = bool(wishes.domain) and store.domain(wishes.domain) is None
    admin = wishes.admin or (f"postmaster@{wishes.domain}" if is_new else "")
    if store.mailbox(admin) is not None:
        admin = ""
    missing = [name for name in {wishes.domain, admin.rpartition("@")[2]} - {""} if store.domain(name) is None]
    if not admin and not missing:
        return None
    asked = ("MAIL_ADMIN", display(admin)) if admin and wishes.admin else ("MAIL_DOMAIN", display(wishes.domain))
    with _asked_for_by(*asked), store.change(WHO) as change:
        for domain in missing:
            change.add_domain(domain)
        if not admin:
            return None
        if store.alias(admin) is not None:
            raise Refused("this address is an alias by now, and an account beside it would take its mail")
        given, scram = wishes.admin_password, session.config.auth.scram
        credential = credentials.make(scram=scram) if given is None else credentials.of(given, scram=scram)
        homes = homes_of(session.config.mail)
        change.add_mailbox(render(admin), password=credential.hash, hold=session.hold)
        change.set_scram(render(admin), credential.scram)
        with root_again():
            for address in change.made_again:
                homes.move(address)
    return None if credential.made is None else (display(admin), credential.made)


@contextmanager
def _asked_for_by(variable: str, value: str) -> Iterator[None]:
    """Name the variable and its value where what it asks for is refused."""
    try:
        yield
    except (Refused, BadInput) as error:
        raise WrongVariable(f"{variable}={value!r}: {error}") from error


def _normal(name: str, environment: MutableMapping[str, str]) -> str:
    text = environment.get(name, "").strip()
    if not text:
        return ""
    try:
        return normalise_domain(text) if name == "MAIL_DOMAIN" else normalise(text)
    except AddressError as error:
        raise WrongVariable(f"{name}={text!r}: {error}") from error


def _password(name: str, environment: MutableMapping[str, str]) -> str | None:
    value = secret(name, environment)
    try:
        return None if value is None else credentials.checked(value, 1)
    except BadInput as error:
        raise WrongVariable(f"{name}: {error}") from error
