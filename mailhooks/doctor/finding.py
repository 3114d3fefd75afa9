"""What a check finds: a problem that is described once, and where it was met."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Severity(IntEnum):
    """How bad it is; the worst first."""

    ERROR = 0  # mail is refused, lost or misjudged, or people cannot get in
    WARNING = 1  # it will be, or is weaker than it looks
    NOTE = 2  # worth knowing, nothing wrong: the exit code stays 0


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, as it is told to people."""

    id: str
    severity: Severity
    what: str
    why: str
    cure: str


@dataclass(frozen=True)
class Problem:
    """What can be wrong: its name, and the texts that the finding and the documentation share.

    ``cure`` is a command or a line of configuration, with ``{places}`` that each finding fills in.
    """

    id: str
    severity: Severity
    title: str
    why: str
    cure: str

    def found(self, what: str, **places: object) -> Finding:
        """Say that the problem was met: where, and what fills the places of the cure."""
        return Finding(self.id, self.severity, what, self.why, self.cure.format_map(places))
