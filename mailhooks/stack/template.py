"""The templates of the stock daemons' files: text with conditions at the head of a line.

``@{name}`` is replaced by a value. A line that begins with ``[word !other]`` is kept only while ``word`` holds and
``other`` does not; the words are generations (``2.3``, ``2.4``) and switches (``pop3``). So what differs between two
generations of a daemon stands side by side in one file. There are no loops and no nesting.
"""

from __future__ import annotations

import re
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

_PLACE = re.compile(r"@\{([a-z_0-9]+)\}")
_CONDITION = re.compile(r"\[([!a-z0-9_. ]+)\] ?")


class TemplateError(ValueError):
    """A template and its values do not fit together: a defect of mailhooks, or a value that would break the file."""


def render(template: str, values: Mapping[str, str], words: AbstractSet[str]) -> str:
    """Fill in a template. Raises TemplateError for an unknown place and for a value with a control character."""
    lines = []
    for line in template.splitlines():
        if condition := _CONDITION.match(line):
            if not all(_holds(word, words) for word in condition[1].split()):
                continue
            line = line[condition.end() :]  # noqa: PLW2901 - the condition is not part of the file
        lines.append(_PLACE.sub(lambda place: _value(place[1], values), line))
    return "\n".join(lines) + "\n"


def load(name: str) -> str:
    """Read the template ``name`` ("postfix/main.cf") from the package's data."""
    return resources.files(__package__).joinpath("templates", *name.split("/")).read_text(encoding="utf-8")


def _holds(word: str, words: AbstractSet[str]) -> bool:
    return word[1:] not in words if word.startswith("!") else word in words


def _value(name: str, values: Mapping[str, str]) -> str:
    if name not in values:
        raise TemplateError(f"the template asks for @{{{name}}}, which is not given")
    value = values[name]
    if not value.isprintable():  # a newline here would be a second directive
        raise TemplateError(f"the value for {name} holds a control character: {value!r}")
    return value
