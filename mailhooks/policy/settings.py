"""What the rules are bound to: their settings, as plain values, once per process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Literal, Protocol

from mailhooks.policy.texts import TEXTS, fill

if TYPE_CHECKING:
    from mailhooks.policy import Decision
    from mailhooks.policy.facts import Facts
    from mailhooks.store import Store
    from mailhooks.wire.policy import Action, Request


# A rule says None when it has no objection. ``now`` is in seconds since the epoch. Raises ``Unavailable``.
Rule = Callable[["Request", "Store", float], "Action | None"]
# A rule's file offers ``bind``, called once: everything that is the same for all requests is worked out there.
Bind = Callable[["Settings", "Facts"], Rule]


class Watch(Protocol):
    """What a rule that counts does after each decision."""

    def __call__(self, request: Request, store: Store, now: float, *, decision: Decision) -> None:
        """Remember what must be. Raises ``Unavailable``."""


BindWatch = Callable[["Settings", "Facts"], Watch]


@dataclass(frozen=True, slots=True)
class Settings:
    """Which rules are asked in which context, and what they need to know; mirrors ``[policy]`` of the configuration."""

    smtp: tuple[str, ...] = ("recipient_access", "list_posting", "quota")
    submission: tuple[str, ...] = ("sender_ownership", "recipient_access", "list_posting", "quota", "limits")
    end_of_message: tuple[str, ...] = ("quota", "limits")
    shadow: tuple[str, ...] = ()  # rules that are decided, counted and logged, not enforced
    quota_code: Literal[452, 552] = 552
    null_sender: Literal["refuse", "allow"] = "refuse"  # MAIL FROM:<> by a user who has logged in
    delimiter: str = "+"  # Postfix's recipient_delimiter
    limit_action: Literal["defer", "refuse"] = "defer"  # what goes over an outbound limit
    breaker_recipients: int = 1000  # an account that tries more within an hour looks stolen; 0: does not count
    breaker_refused: float = (
        0.5  # share of refused recipients from which it does, once there are 20 of them; 0: the same
    )
    breaker_networks: int = 10  # client networks from which it does; 0: the same
    breaker_hours: float = 0.0  # until it may send again; 0: when an admin lifts it
    flood_unknown: int = 50  # unknown recipients from a network within an hour, from which it hears 450
    flood_session: int = 10  # the same in one session, which ends with 421
    flood_share: float = 0.5  # of its recipients, that are unknown then
    texts: Mapping[str, str] = field(default_factory=dict)  # other words for refusals, by name

    @classmethod
    def of(cls, section: object, *, delimiter: str) -> Settings:
        """Take from a section of the configuration what bears the name of a setting."""
        names = [each.name for each in fields(cls) if each.name != "delimiter"]
        return cls(delimiter=delimiter, **{name: getattr(section, name) for name in names})

    def text(self, name: str, **values: str) -> str:
        """Say a refusal in the words of the configuration, or in ours."""
        return fill(self.texts.get(name) or TEXTS[name], values)
