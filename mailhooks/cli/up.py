"""``mailhooks up``: the whole mail server, in the foreground."""

from __future__ import annotations

import click

from mailhooks import config as configuration
from mailhooks.cli.errors import say
from mailhooks.cli.session import Session, pass_session
from mailhooks.store.errors import Unavailable


@click.command()
@pass_session
def command(session: Session) -> int:
    """Run the whole mail server in the foreground: mailhooks, Postfix, Dovecot and spamd.

    Renders the stock daemons' configuration for the versions installed here, below [server] root, and starts them in
    order. Needs root; mailhooks itself runs as [server] user. SIGTERM ends all in order, SIGHUP reads the configuration
    again.
    """
    from mailhooks.stack import up  # noqa: PLC0415 - Twisted, which no other command waits for

    environment = {"MAILHOOKS_STORE": session.store_url} if session.store_url else {}
    return up.run(
        up.Instance(
            load=lambda: session.completed(configuration.load(session.config_path, store=session.store_url)),
            config_path=session.config_path,
            environment=environment,
            make_store=lambda: _make_store(session),
        )
    )


def _make_store(session: Session) -> None:
    try:
        with session.opened():
            pass
    except Unavailable as error:
        say(f"the store cannot be made now: {error}")  # an outage that serve answers and survives
