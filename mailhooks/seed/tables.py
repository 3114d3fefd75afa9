"""The Postfix tables of a seed directory: ``domains``, ``mailboxes``, ``aliases`` and ``relay-sasl``.

Each entry is a key and a value (postmap(1)); of ``domains`` and ``mailboxes`` the value means nothing. The value of an
alias is a list separated by commas and blanks (virtual(5)).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mailhooks.address import render

if TYPE_CHECKING:
    from collections.abc import Iterable

# A word that a comma or blank ends, where a quoted local part may hold both.
_WORD = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^\s,"])+')
_KEY = re.compile(r'((?:"(?:[^"\\]|\\.)*"|[^\s"])+)(?:\s+(.*))?', re.DOTALL)


def entry(line: str) -> tuple[str, str]:
    """Split a logical line into key and value. Raises ValueError."""
    if '"' not in line:
        words = line.split(None, 1)
        if not words:
            raise ValueError("has no key")
        return words[0], words[1].rstrip() if len(words) > 1 else ""
    match = _KEY.fullmatch(line)
    if not match:
        raise ValueError("has an unfinished quote")
    return match[1], (match[2] or "").strip()


def words(value: str) -> list[str]:
    """Split the value of an alias into its targets. Raises ValueError."""
    if _WORD.sub("", value).strip(", \t"):
        raise ValueError("has an unfinished quote among its targets")
    return _WORD.findall(value)


def credentials(value: str) -> tuple[str, str]:
    """Split ``username:password`` at the first colon. Raises ValueError, which does not repeat it."""
    username, colon, password = value.partition(":")
    if not colon or not username or not password:
        raise ValueError("needs username:password behind the next hop")
    return username, password


def spell(address: str) -> str:
    """Spell an address so that every reader of these files takes it as one word and not as a comment."""
    if address.startswith("@"):
        return address
    text = render(address)
    if text.startswith("#"):
        local, _, domain = text.rpartition("@")
        return f'"{local}"@{domain}'
    return text


def alias_line(source: str, targets: Iterable[str]) -> str:
    """Write an alias as virtual(5) has it."""
    return f"{spell(source)} {', '.join(map(spell, targets))}"
