"""What an import says: for every line what it made or why not."""

from __future__ import annotations

from dataclasses import dataclass, field

MAX_PROBLEMS = 1000  # more do not help anybody to mend a file; they are counted


@dataclass(slots=True)
class Journal:
    """Three kinds of lines, each ``file:line: text``, in the order of the files."""

    report: list[str] = field(default_factory=list)  # made, or there already
    warnings: list[str] = field(default_factory=list)  # taken, but somebody should look at it
    problems: list[str] = field(default_factory=list)  # cannot be taken
    hidden: int = 0  # problems beyond MAX_PROBLEMS

    def says(self, file: str, line: int, text: str) -> None:
        """Say what became of a line."""
        self.report.append(f"{file}:{line}: {text}")

    def warns(self, file: str, line: int, text: str) -> None:
        """Say what somebody should look at."""
        self.warnings.append(f"{file}:{line}: {text}")

    def refuses(self, file: str, line: int, text: str) -> None:
        """Say why a line cannot be taken."""
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(f"{file}:{line}: {text}")
        else:
            self.hidden += 1
