"""What somebody wants to log in with, and what can come of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from mailhooks.passdb import Accepted, Refused

# As this service nobody ever logs in. An attempt says only whether the store answers: at once, without a hash, and
# without being counted as a guess. For readiness (``servers.probes``).
READINESS = "readiness"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What somebody wants to log in with."""

    login: str
    password: str = field(repr=False)  # what was given for one: for SCRAM the client's proof, never twice the same
    service: str  # the daemon's word for it
    network: str | None  # the client's IP address
    mechanism: str
    authzid: str = ""  # whom to act as
    keys: str | None = field(default=None, repr=False)  # SCRAM: what the proof was checked against
    proven: bool = False  # SCRAM: it fits


@dataclass(frozen=True, slots=True)
class Temporary:
    """It could not be decided."""


@dataclass(frozen=True, slots=True)
class Throttled:
    """It was not checked, because too much was guessed: as temporary as the other, counted apart."""


Outcome = Accepted | Refused | Temporary | Throttled
TEMPORARY = Temporary()
THROTTLED = Throttled()
