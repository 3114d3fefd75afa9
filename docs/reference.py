"""What the reference pages say of the code: configuration keys, commands, tables, policy rules."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import io
import json
import re
import tokenize
import typing
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

import mailhooks
from mailhooks import cli, config, doctor
from mailhooks.policy import RULES
from mailhooks.policy.settings import Settings
from mailhooks.policy.texts import TEXTS
from mailhooks.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(mailhooks.__file__).parent
# What makes a family of samples -> its kind; the first two are short names of mailhooks.metrics.
FAMILIES = {
    "_counter": "counter",
    "_gauge": "gauge",
    "CounterMetricFamily": "counter",
    "GaugeMetricFamily": "gauge",
    "HistogramMetricFamily": "histogram",
}
HEAD = ".. Made by docs/generate.py from the code: edit it there.\n\n"


# --- Configuration


def configuration() -> str:
    """Return the page of all configuration keys."""
    text = (
        f"{HEAD}Configuration\n=============\n\n"
        "``/etc/mailhooks/mailhooks.toml``, or what ``--config`` or ``MAILHOOKS_CONFIG`` names. Every key is\n"
        "optional; an unknown one is an error that names the nearest. ``--store`` beats ``MAILHOOKS_STORE``, which\n"
        "beats the file. SIGHUP makes the daemon read it again; a bad file changes nothing.\n\n"
        "``[listen]`` holds Twisted endpoint strings. A ``unix:`` listener takes ``:group=NAME``; an ``ssl:``\n"
        "one takes ``:clientCA=FILE``, and then lets in only clients with a certificate of that authority.\n"
    )
    return text + "".join(_section(name, kind) for name, kind in sections(config.Config))


def sections(kind: type, name: str = "") -> list[tuple[str, type]]:
    """Return every section of the file with its dataclass, in the order of the code."""
    found = [(name, kind)] if name else []
    for key, hint in typing.get_type_hints(kind).items():
        if dataclasses.is_dataclass(hint):
            found += sections(typing.cast("type", hint), f"{name}.{key}".lstrip("."))
    return found


def _section(name: str, kind: type) -> str:
    said = comments(kind)
    lines = [f"\n[{name}]", "-" * (len(name) + 2), "", inspect.getdoc(kind) or "", ""]
    for field in dataclasses.fields(kind):
        value = default(field)
        if not dataclasses.is_dataclass(value):
            lines.append(f"``{field.name}`` = ``{toml(value)}``")
            lines.append(f"    {said[field.name]}")
    return "\n".join(lines) + "\n"


def default(field: dataclasses.Field) -> object:
    """Return what a key is when the file does not say."""
    return field.default if field.default is not dataclasses.MISSING else field.default_factory()


def toml(value: object) -> str:
    """Spell a value as the file does."""
    if isinstance(value, tuple):
        return json.dumps(list(value), ensure_ascii=False)
    if isinstance(value, str | bool):
        return json.dumps(value, ensure_ascii=False)
    return "{}" if hasattr(value, "items") else str(value)


def comments(kind: type) -> dict[str, str]:
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


# --- Commands


def commands() -> str:
    """Return the page of all commands."""
    text = (
        f"{HEAD}Commands\n========\n\n"
        "Exit codes: 0 done, 1 no such thing or a negative answer, 2 wrong usage or bad input, 75 the store cannot\n"
        "answer now. What a command is about must be there: an account, domain or alias that is not is 1, in every\n"
        "command; what is given for something new (its domain, its targets) is input, and wrong is 2. Data goes to\n"
        "stdout, messages for people to stderr. A change is live everywhere on the machine when its command\n"
        "returns.\n"
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


# --- Tables and rules, which stand within pages that are written by hand


def tables() -> str:
    """Return the lookup tables with what each answers."""
    return "\n".join(_entry(name, inspect.getdoc(table) or "") for name, table in TABLES.items())


def rules() -> str:
    """Return the policy rules with what each refuses and where it is asked by default."""
    lists = ("smtp", "submission", "end_of_message")
    settings = Settings()
    entries = []
    for name, bind in RULES.items():
        asked = [key for key in lists if name in getattr(settings, key)]
        where = f"By default in {_series([f'``{key}``' for key in asked])}." if asked else "By default in no list."
        entries.append(_entry(name, f"{_first_paragraph(inspect.getmodule(bind))}\n{where}"))
    return "\n".join(entries)


def texts() -> str:
    """Return what is said with each refusal."""
    return "\n".join(_entry(name, text) for name, text in TEXTS.items())


def _first_paragraph(module: object) -> str:
    return (inspect.getdoc(module) or "").split("\n\n")[0]


def _entry(name: str, text: str) -> str:
    indented = "\n".join(f"    {line}".rstrip() for line in text.splitlines())
    return f"``{name}``\n{indented}\n"


def _series(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def findings() -> str:
    """Return what the doctor can find: identifier, meaning, reason and cure, area by area."""
    told = []
    for area in doctor.AREAS:
        told.append(f"{area.AREA}\n{'~' * len(area.AREA)}\n")
        told += [_finding(each) for each in vars(area).values() if isinstance(each, doctor.Problem)]
    return "\n".join([*told, f"Everywhere\n~~~~~~~~~~\n\n{_finding(doctor.UNREAD)}"])


def _finding(problem: doctor.Problem) -> str:
    cure = re.sub(r"\{(\w+)\}", r"<\1>", problem.cure).replace("{{", "{").replace("}}", "}")
    return (
        f"``{problem.id}`` ({problem.severity.name.lower()})\n    {problem.title}. {problem.why}\n\n"
        f"    Cure: ``{cure}``\n"
    )


# --- Metrics


def metrics() -> str:
    """Return the table of all metrics: name and labels, kind, meaning."""
    found = [call for path in sorted(PACKAGE.rglob("*.py")) for call in _families(path)]
    cells = [(f"``{name}{{{','.join(labels)}}}``".replace("{}", ""), kind, text) for name, labels, kind, text in found]
    cells.insert(0, ("metric", "kind", "meaning"))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    rule = "  ".join("=" * width for width in widths)
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join([rule, lines[0], rule, *lines[1:], rule]) + "\n"


def _families(path: Path) -> Iterator[tuple[str, list[str], str, str]]:
    """Find what a module tells Prometheus: the calls that make a family of samples, in their order."""
    calls = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    for call in sorted(calls, key=lambda call: call.lineno):
        if not isinstance(call.func, ast.Name):
            continue
        kind = FAMILIES.get(call.func.id, "")
        if kind and all(isinstance(each, ast.Constant) for each in call.args[:2]):
            name, text = (each.value for each in call.args[:2])
            named = {each.arg: each.value for each in call.keywords}
            labels = ast.literal_eval(named["labels"] if "labels" in named else (call.args[2:3] or [ast.Tuple([])])[0])
            ending = "_total" if kind == "counter" else ""
            yield f"mailhooks_{name.removeprefix('mailhooks_')}{ending}", list(labels), kind, text
