"""Write what is made from the code: ``make docs``.

Whole pages (configuration.rst, commands.rst, the manual pages), and the parts of pages written by hand that stand
between ``.. made from the code: NAME`` and ``.. end of it``. ``tests/test_documentation.py`` fails while one differs
from what is made here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import manpages
import reference

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
MAN = HERE.parent / "mailhooks/man"

PARTS: dict[str, Callable[[], str]] = {
    "tables": reference.tables,
    "rules": reference.rules,
    "texts": reference.texts,
    "metrics": reference.metrics,
    "findings": reference.findings,
}
WITH_PARTS = ("tables.rst", "policy.rst", "metrics.rst", "doctor.rst")
_PART = re.compile(r"(?<=^\.\. made from the code: )(?P<name>\w+)\n.*?^(?=\.\. end of it$)", re.MULTILINE | re.DOTALL)


def _with_parts(page: Path) -> str:
    """Return a page with its parts made anew."""
    return _PART.sub(lambda part: f"{part['name']}\n\n{PARTS[part['name']]()}\n", page.read_text())


PAGES: dict[Path, Callable[[], str]] = {
    HERE / "configuration.rst": reference.configuration,
    HERE / "commands.rst": reference.commands,
    MAN / "mailhooks.1": manpages.command_line,
    MAN / "mailhooks.toml.5": manpages.configuration,
    **{page: lambda page=page: _with_parts(page) for page in map(HERE.joinpath, WITH_PARTS)},
}

if __name__ == "__main__":
    for path, make in PAGES.items():
        path.write_text(make())
