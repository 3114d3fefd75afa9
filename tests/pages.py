"""What the pages show: the commands of mailhooks in their literal blocks, and those named in their sentences."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import docutils.nodes
from docutils.core import publish_doctree

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
# By hand, at least in parts: what is made from the code needs no check against it.
MADE = {"commands", "configuration"}
WRITTEN = [
    ROOT / "README.rst",
    ROOT / "CONTRIBUTING.rst",
    *sorted(page for page in DOCS.glob("*.rst") if page.stem not in MADE),
]

NAMES = {"mailhooks", "mh"}  # the second is the short name of the tutorial
# Programs that take "mailhooks" for a name of something else; `docker exec` and `docker compose exec` start it.
_OTHERS = re.compile(
    r"(systemctl|journalctl|install|chown|useradd|usermod|pip|apt-get|git"
    r"|(docker|podman) (build|run|volume|compose (up|run|stop|down|logs)))\b"
)
_ENDS = {"&&", "||", "|", ";", ">", ">>", "}"}  # of a command


@dataclass(frozen=True)
class Shown:
    """One command: its arguments, and the file that it reads from ("" for none)."""

    page: str
    arguments: tuple[str, ...]
    stdin: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether no variable of a shell stands in it."""
        return not any("$" in word for word in self.arguments)

    def __str__(self) -> str:
        return f"{self.page}: {' '.join(self.arguments)}"


def shown(page: Path) -> Iterator[Shown]:
    """Yield the commands that a page shows in its literal blocks, in their order."""
    for block in literals(page, docutils.nodes.literal_block):
        for line in block.replace("\\\n", " ").splitlines():
            yield from _commands(page.stem, line)


def named(page: Path) -> set[str]:
    """Return the commands that are named in the sentences of a page."""
    return {text for text in literals(page, docutils.nodes.literal) if re.match(r"mailhooks [a-z]", text)}


def literals(page: Path, kind: type[docutils.nodes.Node]) -> Iterator[str]:
    """Yield the literal texts of a page."""
    yield from (node.astext() for node in _read(page).findall(kind))


@cache
def _read(page: Path) -> docutils.nodes.document:
    settings = {"report_level": 5, "halt_level": 6, "file_insertion_enabled": False}  # past what only Sphinx knows
    return publish_doctree(page.read_text(), settings_overrides=settings)


def _commands(page: str, line: str) -> Iterator[Shown]:
    if _OTHERS.match(line.removeprefix("sudo ")):
        return
    words = _words(line)
    while words:
        end = next((place for place, word in enumerate(words) if word in _ENDS), len(words))
        part, words = words[:end], words[end + 1 :]
        places = [place for place, word in enumerate(part) if Path(word).name in NAMES]
        # A container may bear the same name: the program is the one before its command.
        at = next((place for place in places if place + 1 not in places), None)
        if at is not None and (arguments := part[at + 1 :]):
            stdin = arguments[-1] if arguments[-2:-1] == ["<"] else ""
            yield Shown(page, tuple(arguments[:-2] if stdin else arguments), stdin)


def _words(line: str) -> list[str]:
    """Take a line apart as a shell does; none where it is no line of a shell."""
    reader = shlex.shlex(line, posix=True, punctuation_chars=";&|<>")
    reader.whitespace_split = True
    try:
        return list(reader)
    except ValueError:  # prose, with an apostrophe
        return []
