"""The command line: one file for each noun, and only the file of the command that is asked for is loaded.

Data goes to stdout, messages for people to stderr, and the exit code is one of four (``mailhooks.cli.errors``).
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

import mailhooks
from mailhooks.cli import errors
from mailhooks.cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Sequence

# Command -> module; each module holds the command as ``command``. In the order in which --help lists them.
COMMANDS = {
    "domain": "domain",
    "user": "user",
    "app-password": "app_password",
    "alias": "alias",
    "sender": "sender",
    "relay": "relay",
    "limit": "limit",
    "spam": "spam",
    "sieve": "sieve",
    "quota": "quota",
    "throttle": "throttle",
    "import": "importing",
    "export": "exporting",
    "store": "store",
    "audit": "audit",
    "config": "config",
    "lookup": "lookup",
    "explain": "explain",
    "doctor": "doctor",
    "serve": "serve",
    "up": "up",
    "ready": "ready",
}


class Program(click.Group):
    """The group of all commands, which loads each when it is asked for and turns every error into its exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Name the commands in the order of COMMANDS."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        """Load one command, or return None."""
        if cmd_name not in COMMANDS:
            return None
        return cast("click.Command", import_module(f"mailhooks.cli.{COMMANDS[cmd_name]}").command)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; click itself would end the process with 1 when nobody reads stdout any more."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise errors.ReaderGone from error

    def main(  # type: ignore[override]  # click's overloads say no more than this
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command line and leave with its exit code; without ``standalone_mode`` return the code."""
        run = super().main
        code = errors.guard(lambda: run(args, prog_name, standalone_mode=False, **extra))
        if standalone_mode:
            raise SystemExit(code)
        return code


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The configuration file. Default: $MAILHOOKS_CONFIG, else /etc/mailhooks/mailhooks.toml.",
)
@click.option("--store", metavar="URL", help="The store. Default: $MAILHOOKS_STORE, else [store] url.")
@click.version_option(mailhooks.__version__, message="%(version)s")
@click.pass_context
def main(ctx: click.Context, config: Path | None, store: str | None) -> None:
    """One live store of mail accounts for stock Postfix, Dovecot and SpamAssassin."""
    ctx.obj = Session(config_path=config, store_url=store)
