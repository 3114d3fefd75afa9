"""The manual pages, made from the command line and the configuration: man(7) as groff and mandoc read it."""

from __future__ import annotations

import dataclasses
import re
from importlib import import_module
from typing import TYPE_CHECKING

import click
from reference import comments, default, sections, toml

import mailhooks
from mailhooks import cli, config

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DATE = "2026-11-22"  # of the last change that a reader would notice
_SPECIAL = str.maketrans(
    {"\\": r"\e", "-": r"\-", "'": r"\(aq", '"': r"\(dq", "~": r"\(ti", "^": r"\(ha", "`": r"\(ga"}
)
_SPACES = re.compile(r"\s+")
_ABOUT = "One live store of mail accounts for stock Postfix, Dovecot and SpamAssassin"


def command_line() -> str:
    """Return mailhooks(1)."""
    context = _context(cli.main, "mailhooks")
    lines = [
        *_title("mailhooks", 1, _ABOUT),
        ".SH SYNOPSIS",
        f"{_bold('mailhooks')} [OPTIONS] COMMAND [ARGUMENTS]",
        ".SH DESCRIPTION",
        _text(
            "mailhooks answers Postfix and Dovecot from one store of mail accounts, and changes that store. A change "
            "is live everywhere on the machine when its command returns. Data goes to standard output, messages for "
            "people to standard error. Passwords are asked for or read from standard input, and never stand on a "
            "command line."
        ),
        ".SH OPTIONS",
        *_options(cli.main, context),
        ".SH COMMANDS",
    ]
    for name, module in cli.COMMANDS.items():
        command = import_module(f"mailhooks.cli.{module}").command
        for path, each in _walk(f"mailhooks {name}", command):
            lines += _command(path, each)
    lines += [
        *_section("EXIT STATUS", _EXIT),
        *_section("ENVIRONMENT", _ENVIRONMENT),
        *_section("FILES", _FILES),
        ".SH SEE ALSO",
        _bold("mailhooks.toml") + "(5),",
        _bold("postconf") + "(5),",
        _bold("socketmap_table") + "(5),",
        _bold("doveconf") + "(1)",
    ]
    return "\n".join(lines) + "\n"


def configuration() -> str:
    """Return mailhooks.toml(5)."""
    lines = [
        *_title("mailhooks.toml", 5, "configuration of mailhooks"),
        ".SH DESCRIPTION",
        _text(
            "The file is TOML. Every key is optional; an unknown one is an error that names the nearest. Below, each "
            "key stands with its default. Lists of [listen] hold Twisted endpoint strings; a unix: one takes "
            ":group=NAME."
        ),
    ]
    for name, kind in sections(config.Config):
        lines += [f".SH [{_escaped(name)}]", _text(kind.__doc__ or "")]
        said = comments(kind)
        for field in dataclasses.fields(kind):
            value = default(field)
            if not dataclasses.is_dataclass(value):
                lines += [".TP", rf"{_bold(field.name)} = {_escaped(toml(value))}", _text(said[field.name])]
    lines += [
        *_section("FILES", _FILES[:1]),
        ".SH SEE ALSO",
        _bold("mailhooks") + "(1)",
    ]
    return "\n".join(lines) + "\n"


def _title(name: str, section: int, about: str) -> list[str]:
    return [
        r".\" Made by docs/generate.py from the code: edit it there.",
        f'.TH {name.upper()} {section} "{DATE}" "mailhooks {mailhooks.__version__}" ""',
        ".SH NAME",
        rf"{name} \- {_escaped(about)}",
    ]


def _section(title: str, entries: Iterable[tuple[str, str]]) -> Iterator[str]:
    yield f".SH {title}"
    for term, meaning in entries:
        yield from (".TP", _bold(term), _text(meaning))


def _command(path: str, command: click.Command) -> Iterator[str]:
    context = _context(command, path)
    usage = " ".join(each for each in command.collect_usage_pieces(context) if each != "[OPTIONS]")
    yield f'.SS "{_escaped(f"{path} {usage}".rstrip())}"'
    for number, paragraph in enumerate((command.help or "").split("\n\n")):
        if number:
            yield ".PP"
        yield _text(paragraph.replace("\b\n", ""))
    yield from _options(command, context)


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record and record[1] and "--help" not in parameter.opts:  # an argument mostly has only its name
            yield from (".TP", _bold(record[0]), _text(record[1]))


def _walk(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name in sorted(command.commands):
            yield from _walk(f"{path} {name}", command.commands[name])


def _context(command: click.Command, path: str) -> click.Context:
    return click.Context(command, info_name=path, **cli.main.context_settings)


def _bold(text: str) -> str:
    return rf"\fB{_escaped(text)}\fR"


def _text(text: str) -> str:
    """Put a paragraph on lines of their own, one for each sentence, as man(7) wants it."""
    return "\n".join(_line(each) for each in re.split(r"(?<=[.:;]) (?=[A-Z])", _SPACES.sub(" ", text).strip()))


def _line(text: str) -> str:
    """Keep a line of text from being read as a request."""
    escaped = _escaped(text)
    return rf"\&{escaped}" if escaped.startswith((".", "'")) else escaped


def _escaped(text: str) -> str:
    return text.translate(_SPECIAL)


_EXIT = (
    ("0", "Done."),
    ("1", "There is no such thing, or the answer is no."),
    ("2", "Wrong usage or bad input. Nothing was changed."),
    ("75", "The store cannot answer now: try again later."),
)
_ENVIRONMENT = (
    ("MAILHOOKS_CONFIG", "The configuration file. The option --config beats it."),
    ("MAILHOOKS_STORE", "The store's URL. It beats the configuration file; the option --store beats it."),
)
_FILES = (
    ("/etc/mailhooks/mailhooks.toml", "The configuration."),
    ("/var/lib/mailhooks/mailhooks.db", "The store."),
    ("/var/lib/mailhooks/key", "The key that relay passwords are encrypted with: keep a copy apart from the backups."),
)
