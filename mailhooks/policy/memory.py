"""What the policy rules remember from one request to the next; one for a process, kept when the settings change.

Everything in it is bounded, and what a bound pushes out is the oldest. Counters are also in the store: the server saves
``unsaved`` every second, and a counter that is not in memory is read from there, so that a restart and a ``kill -9``
lose at most that second.
"""

from __future__ import annotations

import ipaddress
import time
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from mailhooks.policy.bounded import Bounded
from mailhooks.policy.reservations import Reservations
from mailhooks.policy.windows import Counter

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailhooks.policy.breaker import Suspect
    from mailhooks.policy.flood import Asked
    from mailhooks.store import Store

MAX_COUNTERS = 20_000  # held in memory, a few kB each at worst; the others are in the store
MAX_MESSAGES = 10_000  # under way between RCPT and the end of the message; more than Postfix has processes
MESSAGE_SECONDS = 3600.0  # a session that says nothing for 300 s is ended by smtpd; a large message takes longer
MAX_SUSPECTS = 10_000  # users who sent in the last hour
MAX_FLOODS = 20_000  # sessions and client networks that asked for recipients in the last hour
MAX_CREDENTIALS = 10_000  # logins whose app password is known
CREDENTIAL_SECONDS = 86_400.0  # a session is not longer than that
STEP_SECONDS = 1.0  # a clock that differs by less is disciplined, not set
V4_PREFIX, V6_PREFIX = 24, 64  # what belongs to one client: a small provider's range, one household


@dataclass(slots=True)
class Message:
    """One message between its first accepted recipient and its end."""

    at: float
    recipients: int = 0
    limited: int = 0  # recipients behind whom every mailbox has a quota
    mailboxes: set[str] = field(default_factory=set)  # those behind its recipients that have a quota


@dataclass(frozen=True, slots=True)
class Trip:
    """An account was found to look stolen: what the server logs, counts and writes down."""

    address: str
    reason: str
    scope: str
    until: float | None
    shadow: bool


class Memory:
    """All of it. ``steady`` is a clock in seconds that is never set (it also runs while the machine sleeps)."""

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
    ) -> None:
        self._wall = wall
        self._steady = steady
        self._began = wall() - steady()
        self._ahead = 0.0  # seconds by which the clock has been set forward since; negative: back
        self._counters: Bounded[str, Counter] = Bounded(MAX_COUNTERS)
        self._dirty: dict[str, Counter] = {}
        self._saving: dict[str, Counter] = {}
        self.messages: Bounded[str, Message] = Bounded(MAX_MESSAGES)
        self.limit_trips: list[str] = []  # scopes of limits that were reached; the server empties it
        self.trips: list[Trip] = []  # the same for accounts that look stolen
        self.reservations = Reservations()
        self.suspects: Bounded[str, Suspect] = Bounded(MAX_SUSPECTS)
        self.floods: Bounded[str, Asked] = Bounded(MAX_FLOODS)
        self.unwritten: Bounded[str, Trip] = Bounded(MAX_SUSPECTS)  # suspensions that the store does not have yet
        self._suspended: dict[str, float | None] = {}
        self._suspended_at = (-1, -1)
        self._credentials: Bounded[tuple[str, str], tuple[str, float]] = Bounded(MAX_CREDENTIALS)

    def time(self) -> float:
        """Seconds since the epoch as at the start, and counted on since: setting the clock changes nothing."""
        return self._began + self._steady()

    @property
    def stored_time(self) -> float:
        """The same instant as the store has it, which goes by the clock: that is all that the next process knows."""
        return self.time() + self._ahead

    # Counters

    def counter(self, store: Store, key: str) -> Counter:
        """What was counted for a key, to look at. Raises Unavailable."""
        counter = self._counters.get(key) or self._dirty.get(key) or self._saving.get(key)
        if counter is None:
            counter = self._counters[key] = Counter.load(store.send_use(key), self.time(), -self._ahead)
        return counter

    def count(self, store: Store, key: str, number: int, lengths: tuple[int, ...]) -> None:
        """Count for a key. Raises Unavailable."""
        counter = self.counter(store, key)
        counter.add(number, lengths, self.time())
        self._counters[key] = self._dirty[key] = counter

    @property
    def unsaved(self) -> bool:
        """Whether there is something that the store does not know, and no save is under way."""
        if self._saving:
            return False
        self._follow_the_clock()
        return bool(self._dirty)

    def save(self) -> list[tuple[str, str, float]]:
        """Begin a save: the rows (key, slices, ends) for the store, by ``stored_time``. ``saved`` ends it."""
        self._saving, self._dirty = self._dirty, {}
        ahead = self._ahead
        return [(key, counter.dump(ahead), counter.ends + ahead) for key, counter in self._saving.items()]

    def _follow_the_clock(self) -> None:
        """Save everything again when the clock was set, so that a restart does not take it for older or newer."""
        ahead = self._wall() - self.time()
        if abs(ahead - self._ahead) >= STEP_SECONDS:
            self._ahead = ahead
            self._dirty = {**self._counters, **self._dirty}

    def saved(self, *, done: bool) -> None:
        """End a save; one that failed is made up for by the next."""
        if not done:
            self._dirty = self._saving | self._dirty
        self._saving = {}

    # Suspended accounts

    def trip(self, trip: Trip) -> None:
        """Suspend an account, or only say so in shadow mode; it begins anew with what it is suspected of."""
        self.suspects.pop(trip.address, None)
        self.trips.append(trip)
        if not trip.shadow:
            self.unwritten[trip.address] = trip

    def suspended(self, store: Store, login: str, now: float) -> bool:
        """Tell whether an account may not send now. Raises Unavailable."""
        if self._suspended_at != (seen := (store.generation, store.change_number)):
            self._suspended = {each.address: each.until for each in store.suspensions()}
            self._suspended_at = seen
        if login in self._suspended:
            until = self._suspended[login]
        elif login in self.unwritten:
            until = self.unwritten[login].until
        else:
            return False
        return until is None or now < until

    # Messages under way

    def message(self, instance: str) -> Message | None:
        """The message of an instance that has a recipient."""
        return self.messages.get(instance)

    def begin(self, instance: str) -> Message:
        """The message of an instance, a new one at need."""
        found = self.messages.get(instance)
        if found is None:
            now = self.time()
            while self.messages and next(iter(self.messages.values())).at < now - MESSAGE_SECONDS:
                self.messages.popitem(last=False)
            found = self.messages[instance] = Message(now)
        return found

    # Credentials

    def logged_in(self, login: str, client: str, label: str) -> None:
        """Keep by which app password a login came; to know of none says the same as to know of the account's own."""
        if label:
            self._credentials[login, client] = (label, self.time())
        else:
            self._credentials.pop((login, client), None)

    def credential(self, login: str, client: str) -> str:
        """The label of the app password that a login used from this address, "" when that is not known."""
        label, at = self._credentials.get((login, client), ("", 0.0))
        return label if at > self.time() - CREDENTIAL_SECONDS else ""


@lru_cache(maxsize=10_000)
def network(client: str) -> str:
    """The network that a client's address counts for, "" for what is no address."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    prefix = V4_PREFIX if address.version == 4 else V6_PREFIX  # noqa: PLR2004 - the protocol's number
    return str(ipaddress.ip_network((address, prefix), strict=False))
