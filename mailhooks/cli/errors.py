"""What a command ends with: the one place that turns errors into exit codes and one line on stderr.

0 done; 1 there is no such thing, or the answer is no; 2 wrong usage or bad input, nothing was changed; 75 the store
cannot answer now, or the fault is our own (EX_TEMPFAIL of sysexits.h: try again later).
"""

from __future__ import annotations

import os
import sys
import traceback
from typing import TYPE_CHECKING, Any

import click

from mailhooks.address import AddressError
from mailhooks.config import ConfigError
from mailhooks.store.errors import NotFound, Refused, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

DONE = 0
NEGATIVE = 1
BAD_INPUT = 2
CANNOT_ANSWER = 75
INTERRUPTED = 130  # what every shell says of a command that Ctrl-C ended


class BadInput(Exception):
    """What was given cannot be used; the text says why and what to do. Nothing was changed."""


class Negative(Exception):
    """The answer is no; the text says to what."""


class ReaderGone(Exception):
    """Nobody reads stdout any more: who did has seen enough (mailhooks user list | head)."""


# The first that fits counts.
CODES: tuple[tuple[type[Exception], int], ...] = (
    (NotFound, NEGATIVE),
    (Negative, NEGATIVE),
    (Unavailable, CANNOT_ANSWER),
    (Refused, BAD_INPUT),
    (BadInput, BAD_INPUT),
    (ConfigError, BAD_INPUT),
    (AddressError, BAD_INPUT),
    (click.ClickException, BAD_INPUT),
    (OSError, BAD_INPUT),
)


def guard(run: Callable[[], Any]) -> int:
    """Run a command and return its exit code; what went wrong stands on stderr in one line."""
    try:
        result = run()
        sys.stdout.flush()
    except (BrokenPipeError, ReaderGone):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return DONE
    except click.Abort:
        say("interrupted")
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the outermost handler: no error may end in a wrong exit code
        return _report(error)
    return result if isinstance(result, int) else DONE


def say(text: str) -> None:
    """Write one line for a person."""
    click.echo(f"mailhooks: {' '.join(text.split())}", err=True)


def _report(error: Exception) -> int:
    code = next((code for kind, code in CODES if isinstance(error, kind)), None)
    if code is None:
        traceback.print_exception(error)
        say("this is a fault of mailhooks itself, please report it with the lines above")
        return CANNOT_ANSWER
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
    else:
        say(_sentence(error))
    return code


def _sentence(error: Exception) -> str:
    if isinstance(error, click.UsageError):
        where = f" (see '{error.ctx.command_path} --help')" if error.ctx else ""
        return error.format_message().rstrip(".") + where
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
    return str(error)
