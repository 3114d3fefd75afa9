"""``mailhooks doctor``: judges how this machine is set up, and says what is wrong, why it matters, and the exact cure.

``facts`` are read once (``collect``), and then judged by small pure functions, one for each pitfall, in a fixed order
with the worst first. Nothing here changes anything, and nothing waits longer than a few seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailhooks.doctor.checks import (
    certificates,
    dovecot,
    machine,
    names,
    postfix_smtpd,
    postfix_strangers,
    postfix_tables,
    sockets,
    spam,
)
from mailhooks.doctor.finding import Finding, Problem, Severity

if TYPE_CHECKING:
    from mailhooks.doctor.facts import Facts

AREAS = (postfix_tables, sockets, postfix_strangers, postfix_smtpd, dovecot, spam, machine, certificates, names)

UNREAD = Problem(
    "not-checked",
    Severity.NOTE,
    "Something could not be looked at",
    "What is wrong there stays unknown.",
    "{cure}",
)


@dataclass(frozen=True)
class Area:
    """What was found in one area, the worst first."""

    name: str
    findings: tuple[Finding, ...]


def examine(facts: Facts) -> tuple[Area, ...]:
    """Judge the facts; return the areas in which something is to be said, the worst first."""
    found: dict[str, list[Finding]] = {}
    for area in AREAS:
        for check in area.CHECKS:
            found.setdefault(area.AREA, []).extend(dict.fromkeys(check(facts)))
    for each in facts.unread:
        found.setdefault(each.area, []).append(UNREAD.found(f"not checked: {each.what}", cure=each.cure))
    areas = [Area(name, tuple(sorted(said, key=_severity))) for name, said in found.items() if said]
    return tuple(sorted(areas, key=lambda area: area.findings[0].severity))


def is_well(areas: tuple[Area, ...]) -> bool:
    """Tell whether nothing is wrong; notes are nothing wrong."""
    return all(each.severity is Severity.NOTE for area in areas for each in area.findings)


def _severity(finding: Finding) -> Severity:
    return finding.severity
