"""What an import says: for every line what it made or why not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mailhooks.seed.files import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_PROBLEMS = 1000  # more do not help anybody to mend a file; they are counted


@dataclass(slots=True)
class Journal:
    """What becomes of the lines of all files, each ``file:line: text``."""

    report: dict[str, list[tuple[int, str]]] = field(default_factory=lambda: {name: [] for name in NAMES})
    warnings: list[str] = field(default_factory=list)  # taken, but somebody should look at it
    problems: list[str] = field(default_factory=list)  # cannot be taken
    hidden: int = 0  # problems beyond MAX_PROBLEMS

    def says(self, file: str, line: int, text: str) -> None:
        """Say what became of a line: made, or there already."""
        self.report[file].append((line, text))

    def lines(self) -> Iterator[str]:
        """Say it all in the order of the files."""
        for file, lines in self.report.items():
            for line, text in sorted(lines):  # each file was read in several passes
                yield f"{file}:{line}: {text}"

    def warns(self, file: str, line: int, text: str) -> None:
        """Say what somebody should look at."""
        self.warnings.append(f"{file}:{line}: {text}")

    def refuses(self, file: str, line: int, text: str) -> None:
        """Say why a line cannot be taken."""
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(f"{file}:{line}: {text}")
        else:
            self.hidden += 1
