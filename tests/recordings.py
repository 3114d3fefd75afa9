"""Reads the conversations that tests/record.py has recorded between the stock daemons and mailhooks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SAMPLES = Path(__file__).parent / "samples"
PATHS = sorted(SAMPLES.glob("[0-9]*/*.txt"))


@dataclass(frozen=True)
class Said:
    """One message, or one line of it."""

    connection: str  # "login 1"
    who: str  # "C>" is the stock daemon, "S>" mailhooks
    data: bytes

    @property
    def hook(self) -> str:
        """The socket on which it was said."""
        return self.connection.split()[0]


def read(path: Path) -> list[Said]:
    """Everything that was said in a conversation, in its order."""
    found, connection = [], ""
    for text in path.read_text().splitlines():
        if text.startswith("@ "):
            connection = text[2:]
        else:
            data = text[3:].encode().decode("unicode_escape").encode("latin-1")
            end = b"" if connection.startswith("socketmap") else b"\n"  # netstrings have no line ends
            found.append(Said(connection, text[:2], data + end))
    return found


def name(path: Path) -> str:
    """What to call a conversation among tests."""
    return f"{path.parent.name}-{path.stem}"
