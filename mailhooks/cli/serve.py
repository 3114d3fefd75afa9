"""``mailhooks serve``: the daemon, in the foreground."""

from __future__ import annotations

import click

from mailhooks import config as configuration
from mailhooks.cli.errors import BadInput
from mailhooks.cli.session import Session, pass_session


@click.command(name="serve")
@click.option("--only", metavar="HOOK,…", help="Serve these hooks only, of those that [listen] enables.")
@pass_session
def command(session: Session, only: str | None) -> int:
    """Answer Postfix and Dovecot until SIGTERM; log on stdout.

    SIGHUP reads the configuration again. The store may be missing: clients are told to try again until it is there.
    """
    # Only this command needs a reactor.
    from mailhooks.endpoints import EndpointError  # noqa: PLC0415
    from mailhooks.run import run  # noqa: PLC0415

    chosen = None if only is None else tuple(name.strip() for name in only.split(","))
    try:
        return run(lambda: configuration.load(session.config_path, store=session.store_url), chosen)
    except EndpointError as error:
        raise BadInput(str(error)) from error
