"""What the rules are bound to: their settings, as plain values, once per process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from mailhooks.policy.facts import Facts
    from mailhooks.store import Store
    from mailhooks.wire.policy import Action, Request


# A rule says None when it has no objection. ``now`` is in seconds since the epoch. Raises ``Unavailable``.
Rule = Callable[["Request", "Store", float], "Action | None"]
# A rule's file offers ``bind``, called once: everything that is the same for all requests is worked out there.
Bind = Callable[["Settings", "Facts"], Rule]


@dataclass(frozen=True, slots=True)
class Settings:
    """Which rules are asked in which context, and what they need to know; mirrors ``[policy]`` of the configuration."""

    smtp: tuple[str, ...] = ("recipient_access", "list_posting", "quota")
    submission: tuple[str, ...] = ("sender_ownership", "recipient_access", "list_posting", "quota")
    end_of_message: tuple[str, ...] = ()
    shadow: tuple[str, ...] = ()  # rules that are decided, counted and logged, not enforced
    quota_code: Literal[452, 552] = 552
    null_sender: Literal["refuse", "allow"] = "refuse"  # MAIL FROM:<> by a user who has logged in
    delimiter: str = "+"  # Postfix's recipient_delimiter
