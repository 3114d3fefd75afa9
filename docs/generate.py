"""Write the pages of the reference that are made from the code: ``python docs/generate.py``.

configuration.rst comes from the dataclasses of ``mailhooks.config`` and the comments behind their fields, commands.rst
from the command line itself. ``tests/test_documentation.py`` fails while a page differs from what is made here.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import io
import json
import tokenize
import typing
from importlib import import_module
from pathlib import Path

import click

from mailhooks import cli, config

HERE = Path(__file__).parent
HEAD = ".. Made by docs/generate.py from the code: edit it there.\n\n"


def configuration() -> str:
    """Return the page of all configuration keys."""
    text = (
        f"{HEAD}Configuration\n=============\n\n"
        "``/etc/mailhooks/mailhooks.toml``, or what ``--config`` or ``MAILHOOKS_CONFIG`` names. Every key is\n"
        "optional; an unknown one is an error that names the nearest. ``--store`` beats ``MAILHOOKS_STORE``, which\n"
        "beats the file. SIGHUP makes the daemon read it again; a bad file changes nothing.\n\n"
        "``[listen]`` holds Twisted endpoint strings. A ``unix:`` listener may end in ``:group=NAME``; an ``ssl:``\n"
        "one takes ``:clientCA=FILE``, and then lets in only clients with a certificate of that authority.\n"
    )
    return text + "".join(_section(name, kind) for name, kind in _sections(config.Config, ""))


def _sections(kind: type, name: str) -> list[tuple[str, type]]:
    found = [(name, kind)] if name else []
    for key, hint in typing.get_type_hints(kind).items():
        if dataclasses.is_dataclass(hint):
            found += _sections(typing.cast("type", hint), f"{name}.{key}".lstrip("."))
    return found


def _section(name: str, kind: type) -> str:
    comments = _comments(kind)
    lines = [f"\n[{name}]", "-" * (len(name) + 2), "", inspect.getdoc(kind) or "", ""]
    for field in dataclasses.fields(kind):
        default = field.default if field.default is not dataclasses.MISSING else field.default_factory()
        if dataclasses.is_dataclass(default):
            continue
        lines.append(f"``{field.name}`` = ``{_toml(default)}``")
        lines.append(f"    {comments[field.name]}")
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return json.dumps(list(value), ensure_ascii=False)
    if isinstance(value, str | bool):
        return json.dumps(value, ensure_ascii=False)
    return "{}" if hasattr(value, "items") else str(value)


def _comments(kind: type) -> dict[str, str]:
    """Return what stands behind each field in the source."""
    source = inspect.getsource(kind)
    by_line = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    body = ast.parse(source).body[0]
    return {
        node.target.id: by_line[node.end_lineno]
        for node in ast.walk(body)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.end_lineno in by_line
    }


def commands() -> str:
    """Return the page of all commands."""
    text = (
        f"{HEAD}Commands\n========\n\n"
        "Exit codes: 0 done, 1 no such thing or a negative answer, 2 wrong usage or bad input, 75 the store cannot\n"
        "answer now. Data goes to stdout, messages for people to stderr. A change is live everywhere on the machine\n"
        "when its command returns.\n"
    )
    for name, module in sorted(cli.COMMANDS.items()):
        text += _command(f"mailhooks {name}", import_module(f"mailhooks.cli.{module}").command)
    return text


def _command(name: str, command: click.Command) -> str:
    context = click.Context(
        command, info_name=name, terminal_width=100, max_content_width=100, **cli.main.context_settings
    )
    shown = "\n".join(f"    {line}".rstrip() for line in command.get_help(context).splitlines())
    text = f"\n``{name}``\n{'-' * (len(name) + 4)}\n\n.. code-block:: text\n\n{shown}\n"
    if isinstance(command, click.Group):
        text += "".join(_command(f"{name} {each}", command.commands[each]) for each in sorted(command.commands))
    return text


PAGES = {"configuration.rst": configuration, "commands.rst": commands}

if __name__ == "__main__":
    for page, make in PAGES.items():
        (HERE / page).write_text(make())
