"""How data is printed: for people on a terminal, with TABs for programs, and as JSON.

JSON keeps what is exact: sizes are bytes, times are ISO 8601 in UTC, nothing is null that was not left out. Text is
made harmless: a control character in a name must not steer the terminal that shows it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import click

Row = dict[str, Any]  # what JSON shows, in the order in which text shows it
Formats = Mapping[str, Callable[[Any], str]]  # how text shows a property, by its name

_UNITS = ((2**40, "T"), (2**30, "G"), (2**20, "M"), (2**10, "K"))

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def when(stamp: float | None) -> str | None:
    """Spell a time in UTC."""
    return (
        None
        if stamp is None
        else datetime.fromtimestamp(stamp, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    )


def size(count: int | None) -> str:
    """Spell a size exactly, in the largest unit that does."""
    if not count:
        return "none" if count is None else "0"
    unit = next(((each, name) for each, name in _UNITS if count % each == 0), (1, ""))
    return f"{count // unit[0]}{unit[1]}"


def rough(count: int | None) -> str:
    """Spell a size for people, to one decimal."""
    unit = next(((each, name) for each, name in _UNITS if count and count >= each), None)
    return size(count) if count is None or unit is None else f"{count / unit[0]:.1f}{unit[1]}"


def listing(rows: Iterable[Row], as_json: bool, formats: Formats | None = None) -> None:
    """Print many things, one a line."""
    if as_json:
        _write(_json_array(rows))
        return
    if not sys.stdout.isatty():
        _write("\t".join(_cells(row, formats)) for row in rows)
        return
    everything = list(rows)
    if everything:
        _write(_aligned(list(everything[0]), [_cells(row, formats) for row in everything]))


def details(row: Row, as_json: bool, formats: Formats | None = None) -> None:
    """Print one thing, one property a line."""
    if as_json:
        _write([json.dumps(row, ensure_ascii=False, indent=2)])
        return
    width = max(map(len, row)) + 2
    _write(f"{name.replace('_', ' ') + ':':{width}}{_cell(name, value, formats)}" for name, value in row.items())


def _write(lines: Iterable[str]) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)


def _json_array(rows: Iterable[Row]) -> Iterator[str]:
    before = "["
    for row in rows:
        yield before + json.dumps(row, ensure_ascii=False)
        before = ","
    yield "]" if before == "," else "[]"


def _aligned(names: list[str], lines: list[list[str]]) -> Iterator[str]:
    head = [name.replace("_", " ").upper() for name in names]
    widths = [max(map(len, column)) for column in zip(head, *lines, strict=True)]
    for cells in (head, *lines):
        yield "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _cells(row: Row, formats: Formats | None) -> list[str]:
    return [_cell(name, value, formats) for name, value in row.items()]


def _cell(name: str, value: Any, formats: Formats | None) -> str:
    if formats and name in formats:
        text = formats[name](value)
    elif value is None or value in ("", [], {}):
        return "-"
    elif isinstance(value, list):
        text = ", ".join(map(str, value))
    elif isinstance(value, dict):
        text = ", ".join(f"{key} {each}" for key, each in value.items())
    else:
        text = str(value)
    return harmless(text)


def harmless(text: str) -> str:
    """Replace what could steer the terminal that shows a text."""
    return text if text.isprintable() else "".join(each if each.isprintable() else "?" for each in text)
