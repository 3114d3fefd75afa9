"""``mailhooks up``: the whole mail server, in the foreground."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from mailhooks import config as configuration
from mailhooks import store as stores
from mailhooks.cli import first_start
from mailhooks.cli.errors import say
from mailhooks.cli.session import Session, pass_session
from mailhooks.stack import announcement
from mailhooks.store.errors import Unavailable

if TYPE_CHECKING:
    from mailhooks.config import Config


@click.command()
@pass_session
def command(session: Session) -> int:
    """Run the whole mail server in the foreground: mailhooks, Postfix, Dovecot and spamd.

    Renders the stock daemons' configuration for the versions installed here, below [server] root, and starts them in
    order. Needs root; mailhooks itself runs as [server] user. SIGTERM ends all in order, SIGHUP reads the configuration
    again.
    """
    from mailhooks.stack import up  # noqa: PLC0415 - Twisted, which no other command waits for

    wishes = first_start.read(os.environ)
    environment = {"MAILHOOKS_STORE": session.store_url} if session.store_url else {}
    return up.run(
        up.Instance(
            load=lambda: session.completed(configuration.load(session.config_path, store=session.store_url)),
            config_path=session.config_path,
            environment=environment,
            make_store=lambda: _make_store(session),
            check=lambda config: first_start.check(wishes, config),
            upgrade=lambda: _upgrade(session),
            fulfil=lambda config: _fulfil(session, wishes, config),
        )
    )


def _make_store(session: Session) -> None:
    try:
        with session.opened():
            pass
    except Unavailable as error:
        say(f"the store cannot be made now: {error}")  # an outage that serve answers and survives


def _upgrade(session: Session) -> None:
    """Bring the store to the schema of this version: a new image on old volumes is a whole upgrade."""
    try:
        with session.owner():
            before, after = stores.upgrade(session.config.store.url)
    except Unavailable as error:
        say(f"the store is as it was: {error}")  # the same
        return
    if before != after:
        say(f"brought the store from schema {before} to {after}; a copy of the older one lies beside it")


def _fulfil(session: Session, wishes: first_start.Wishes, config: Config) -> None:
    try:
        made = first_start.fulfil(session, wishes, config, warn=say)
    except Unavailable as error:
        say(f"what the environment asks for waits for the next start, since the store cannot be changed now: {error}")
        return
    if made is None:
        return
    address, password = made
    # Once, and no collector is to take it for one of many log lines.
    announcement.say(
        f"the first password of {address} is {password} (shown only now; to change it: mailhooks user passwd)",
        config.log,
    )
