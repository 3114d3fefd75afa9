"""The numbers of the throttle; what an admin may set comes first."""

from __future__ import annotations

from dataclasses import dataclass

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


@dataclass(frozen=True, slots=True)
class Settings:
    """How many distinct wrong passwords are too many, and how long they are remembered. Times are seconds."""

    pair_guesses: float = 10  # at one account from one network (four times as many from its /24)
    network_guesses: float = 50  # from one network at all accounts it has not logged in to lately
    account_guesses: float = 50  # at one account from all networks it has not logged in from lately: an attack

    pair_half_life: float = 2 * HOUR  # half of the guesses are forgiven in this time: one each 16 minutes at the limit
    network_half_life: float = 2 * HOUR  # at the limit: one more guess every 3.5 minutes
    account_half_life: float = 6 * HOUR  # at the limit: one more guess every 10 minutes

    known_factor: float = 4  # a network from which the account lately logged in may guess as many times more
    known_seconds: float = 30 * DAY  # what "lately" means
    note_seconds: float = 1 * DAY  # a login is written down as often

    # An account under attack asks a network that it does not know to come again, with the same password: most
    # attackers never do, every mail program does, and who does has this many guesses a day.
    ticket_seconds: float = 10.0  # not before
    ticket_life: float = 2 * HOUR  # not later: some phones ask for mail once an hour
    strike_waits: tuple[float, ...] = (30 * MINUTE, 8 * HOUR, 1 * DAY)  # after the first wrong one, the second, more

    patience: float = 3  # guesses at a pair before the failure delay grows, by half of itself with each
    longest_delay: float = 3  # times the failure delay

    pairs: int = 65_536  # records kept: with 0.7 KB each, 65 MB when all are full
    networks: int = 16_384
    accounts: int = 16_384
    notes: int = 65_536  # logins remembered as written down

    def __post_init__(self) -> None:
        """Raise ValueError for what would refuse everybody for ever."""
        for name in ("pair_guesses", "network_guesses", "account_guesses"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is at least 1; to throttle nobody, set enabled = false")
