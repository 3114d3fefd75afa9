"""The throttle: what was tried lately, and what follows for the next attempt.

Distinct wrong passwords are counted, never attempts: a phone that repeats an old one for ever has made one guess. They
are counted at three scopes: an account from a network (the pair), a network at all accounts, an account from all
networks. At an account a password counts from the moment when its check begins, so that many at once are no way around;
the count is taken back when the password proves right, or when no check of it that was under way came to a result. At a
network, from where a whole office may log in at once, it counts when it has proved wrong.

Nobody but the pair itself can lock a pair out that lately logged in: its network scope and its account scope do not
count for it. An attempt that is refused is not checked and not counted.

What it does not do: time, the store, answers (``mailhooks.servers``).
"""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import TYPE_CHECKING

from mailhooks.store.throttling import Clearing, Key, ThrottleRow
from mailhooks.throttle.records import DIGEST_BYTES, Record, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mailhooks.throttle.places import Place, Places
    from mailhooks.throttle.settings import Settings

MAX_ACCOUNT = 254  # characters: the longest address; a longer login is no account of ours
PAIR_SEEN = 16  # guesses remembered of a pair: more than lead to refusal
ACCOUNT_SEEN = 64
ROWS_AT_ONCE = 1000  # written to the disk in one go: some milliseconds of the writer's thread
MAX_NOTES = 5000  # logins that wait to be written down; those beyond it are at their next login

Mark = tuple[Key, bytes]  # a password, and an account, a network or a pair for which it counts


class Scope(StrEnum):
    """What was guessed too often."""

    PAIR = "pair"
    NETWORK = "network"
    ACCOUNT = "account"


@dataclass(frozen=True, slots=True)
class Refusal:
    """The attempt is not to be checked."""

    scope: Scope
    network: str  # where it comes from, as it is counted


@dataclass(frozen=True, slots=True)
class Guess:
    """A password whose check has begun, and where it counts."""

    account: str
    place: Place
    digest: bytes
    marks: tuple[Mark, ...]  # of the narrow pair first
    blames_network: bool  # from a network that the account did not log in from
    is_attack: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """What a row says now."""

    scope: Scope
    guesses: float
    until: float | None  # until then it is refused, or in the scope ACCOUNT under attack


@dataclass(frozen=True, slots=True)
class Writes:
    """What is to be kept on disk."""

    rows: tuple[ThrottleRow, ...]
    gone: tuple[Key, ...]
    notes: tuple[tuple[str, str, float], ...]  # account, network, when it logged in

    def __bool__(self) -> bool:
        return bool(self.rows or self.gone or self.notes)


class Throttle:
    """All that is remembered; for one thread. Times are seconds since the epoch."""

    def __init__(
        self, settings: Settings, places: Places, known: Callable[[str, str], float | None], key: bytes = b""
    ) -> None:
        """``known`` tells when an account was last noted to have logged in from a network; it may raise Unavailable."""
        self.settings = settings
        self.places = places
        self._known = known
        self._begin_anew(key)

    def _begin_anew(self, key: bytes) -> None:
        settings = self.settings
        self._key = key
        self._changed: dict[Key, None] = {}
        self._noted: OrderedDict[Key, float] = OrderedDict()
        self._notes: dict[Key, float] = {}
        self._pairs = Table(settings.pairs, settings.pair_half_life, self._changed)
        self._networks = Table(settings.networks, settings.network_half_life, self._changed)
        self._accounts = Table(settings.accounts, settings.account_half_life, self._changed)
        self._under_way: Counter[Mark] = Counter()  # checks of one password at once
        self._undecided: set[Mark] = set()  # counted for those under way: taken back when all came to no result

    @property
    def records(self) -> int:
        """How many records there are in memory."""
        return sum(map(len, (self._pairs, self._networks, self._accounts)))

    # One attempt

    def ask(self, account: str, address: str | None, password: str, now: float) -> Refusal | None:
        """Say whether an attempt may be checked: None, or why not. Quick where nothing is known against it."""
        place = self.places.of(address)
        if place.is_allowed:
            return None
        account = account[:MAX_ACCOUNT]
        pairs, networks = self._pairs.get, self._networks.get
        narrow, wide = pairs((account, place.narrow)), pairs((account, place.wide))
        network, around = networks(("", place.narrow)), networks(("", place.wide))
        everywhere = self._accounts.get((account, ""))
        if narrow is wide is network is around is everywhere:  # all None
            return None
        settings, factor = self.settings, place.wide_factor
        is_known = self.is_known(account, place, now)
        limit = settings.pair_guesses * (settings.known_factor if is_known else 1)
        scope = None
        if self._pairs.reaches(narrow, limit, now) or self._pairs.reaches(wide, limit * factor, now):
            scope = Scope.PAIR
        elif is_known:
            return None
        elif self._networks.reaches(network, settings.network_guesses, now) or self._networks.reaches(
            around, settings.network_guesses * factor, now
        ):
            scope = Scope.NETWORK
        elif self._accounts.reaches(everywhere, settings.account_guesses, now) and not self._came_again(
            account, place, password, now
        ):
            scope = Scope.ACCOUNT
        return None if scope is None else Refusal(scope, place.narrow)

    def unblemished(self, account: str, address: str | None) -> Key | None:
        """Return where to ``note`` a login if nothing at all is known against it; None: ``ask``, and tell ``right``."""
        place = self.places.of(address)
        account = account[:MAX_ACCOUNT]
        key = (account, place.narrow)
        pairs, networks = self._pairs.get, self._networks.get
        if place.is_allowed or pairs(key) or networks(("", place.narrow)) or self._accounts.get((account, "")):
            return None
        if place.wide:
            around = (account, place.wide)
            if pairs(around) or networks(("", place.wide)):
                return None
            if place.home == place.wide:
                return around
        return key

    def begin(self, account: str, address: str | None, password: str, now: float) -> Guess | None:
        """Count a password whose check begins; None when it is not to be counted."""
        place = self.places.of(address)
        if place.is_allowed:
            return None
        account = account[:MAX_ACCOUNT]
        digest = self._digest(account, password)
        is_known = self.is_known(account, place, now)
        everywhere = self._accounts.get((account, ""))
        is_attack = not is_known and self._accounts.reaches(everywhere, self.settings.account_guesses, now)
        networks = place.networks if is_known else (*place.networks, "")
        marks = tuple(((account, network), digest) for network in networks)
        for mark in marks:
            self._under_way[mark] += 1
            if self._count(mark, now):
                self._undecided.add(mark)
        if is_attack and (narrow := self._pairs.get((account, place.narrow))) is not None:
            narrow.ticket = b""  # it is good for one check
        return Guess(account, place, digest, marks, not is_known and not place.is_shared, is_attack)

    def stand(self, guess: Guess, now: float) -> None:
        """The password missed what was compared with it, though that was not all: it counts, unless it proves right."""
        if guess.blames_network and guess.marks[0] in self._undecided:
            for key in [("", network) for network in guess.place.networks]:
                self._networks.make(key).see(guess.digest, PAIR_SEEN)
                self._networks.add(key, 1, now)
        self._undecided.difference_update(guess.marks)
        self._leave(guess)

    def wrong(self, guess: Guess, now: float) -> float:
        """The password was wrong; return by how many times the failure delay is to be held."""
        self.stand(guess, now)
        pair, _ = guess.marks[0]
        record = self._pairs.get(pair)
        if record is None:
            return 1.0
        guesses = self._pairs.guesses(record, now)
        if guess.is_attack:
            waits = self.settings.strike_waits
            wait = waits[min(record.strikes, len(waits) - 1)]
            record.strikes += 1
            self._pairs.hold(pair, self.settings.pair_guesses, now + wait)
        return min(self.settings.longest_delay, 1 + max(0.0, round(guesses) - self.settings.patience) / 2)

    def right(self, account: str, address: str | None, now: float, guess: Guess | None = None) -> None:
        """The login was granted: forgive what was guessed at the pair, and note the network."""
        place = self.places.of(address)
        if place.is_allowed:
            return
        account = account[:MAX_ACCOUNT]
        if guess is not None:
            self._undecided.difference_update(guess.marks)
            self._leave(guess)
            for mark in guess.marks:
                self._take_back(mark, now)
            for network in place.networks:  # where it may stand
                self._take_back((("", network), guess.digest), now)
        for network in place.networks:
            self._pairs.drop((account, network))
        self.note((account, place.home), now)

    def note(self, key: Key, now: float) -> None:
        """Have it written down, unless it was lately, that an account has logged in from a network."""
        if now - self._noted.get(key, -inf) >= self.settings.note_seconds and len(self._notes) < MAX_NOTES:
            if len(self._noted) >= self.settings.notes:
                self._noted.popitem(last=False)
            self._noted[key] = self._notes[key] = now

    def withdraw(self, guess: Guess, now: float) -> None:
        """The check came to no result: it was no guess, unless another check of the same password says so."""
        for mark in self._leave(guess):
            if mark in self._undecided:
                self._undecided.remove(mark)
                self._take_back(mark, now)

    def _leave(self, guess: Guess) -> list[Mark]:
        """Take a check from those under way; return what no other one is under way for."""
        self._under_way.subtract(guess.marks)
        last = [mark for mark in guess.marks if self._under_way[mark] <= 0]
        for mark in last:
            del self._under_way[mark]
        return last

    def _count(self, mark: Mark, now: float) -> bool:
        """Count a password, unless it was counted before."""
        key, digest = mark
        table = self._table(*key)
        is_new = table.make(key).see(digest, PAIR_SEEN if key[1] else ACCOUNT_SEEN)
        if is_new:
            table.add(key, 1, now)
        return is_new

    def _take_back(self, mark: Mark, now: float) -> None:
        key, digest = mark
        table = self._table(*key)
        record = table.get(key)
        if record is not None and record.has(digest):
            record.unsee(digest)
            table.add(key, -1, now)

    def is_known(self, account: str, place: Place, now: float) -> bool:
        """Tell whether the account lately logged in from there."""
        key = (account, place.home)
        at = self._noted.get(key)
        if at is None:
            at = self._known(*key)
        return at is not None and now - at < self.settings.known_seconds

    def _came_again(self, account: str, place: Place, password: str, now: float) -> bool:
        """Tell whether an attempt at an account under attack was told to come again, and now does."""
        record = self._pairs.make((account, place.narrow))
        digest = self._digest(account, password)
        waited = now - record.ticket_at
        if record.ticket == digest and waited <= self.settings.ticket_life:
            return waited >= self.settings.ticket_seconds
        record.ticket, record.ticket_at = digest, now
        return False

    def _digest(self, account: str, password: str) -> bytes:
        """Name a password in so few bytes that it cannot be found by them: one in 65,536 has the same name."""
        text = f"{len(account)}:{account}{password}".encode("utf-8", "surrogatepass")
        return hashlib.blake2b(text, digest_size=DIGEST_BYTES, key=self._key).digest()

    # What is kept on disk

    def load(self, key: bytes, rows: Iterable[ThrottleRow]) -> None:
        """Begin anew with what was kept."""
        self._begin_anew(key)
        for row in rows:
            record = Record(row.falls_at, row.seen, row.strikes)
            self._table(row.account, row.network).load((row.account, row.network), record)

    def writes(self) -> Writes:
        """Take some of what has changed since it was last written."""
        keys = [key for key, _ in zip(self._changed, range(ROWS_AT_ONCE), strict=False)]
        rows, gone = [], []
        for key in keys:
            del self._changed[key]
            table = self._table(*key)
            record = table.get(key)
            if record is not None and table.is_kept(key):
                rows.append(ThrottleRow(*key, record.falls_at, record.seen, record.strikes))
            else:
                gone.append(key)
        notes = tuple((account, network, at) for (account, network), at in self._notes.items())
        self._notes.clear()
        return Writes(tuple(rows), tuple(gone), notes)

    def not_written(self, writes: Writes) -> None:
        """Take back what could not be written, to be written later."""
        self._changed.update(dict.fromkeys([*writes.gone, *((row.account, row.network) for row in writes.rows)]))
        for account, network, _ in writes.notes:  # noted again at the next login
            self._noted.pop((account, network), None)

    def clear(self, clearing: Clearing) -> None:
        """Forget what an admin cleared, also where it is just being written."""
        for table in (self._pairs, self._networks, self._accounts):
            for key in table.all_keys():
                if clearing.covers(*key):
                    table.drop(key)

    def sweep(self, now: float) -> None:
        """Drop some of what has faded; call it every second or so."""
        for table in (self._pairs, self._networks, self._accounts):
            table.sweep(now)

    def standing(self, row: ThrottleRow, now: float) -> Standing:
        """Say what a row means now, for people."""
        settings, table = self.settings, self._table(row.account, row.network)
        record = Record(row.falls_at)
        place = self.places.of(row.network.partition("/")[0])
        factor = place.wide_factor if row.network == place.wide else 1
        if not row.network:
            scope, limit = Scope.ACCOUNT, settings.account_guesses
        elif not row.account:
            scope, limit = Scope.NETWORK, settings.network_guesses * factor
        else:
            is_known = self.is_known(row.account, place, now)
            scope, limit = Scope.PAIR, settings.pair_guesses * factor * (settings.known_factor if is_known else 1)
        until = table.falls_below(record, limit)
        return Standing(scope, table.guesses(record, now), until if until > now else None)

    def _table(self, account: str, network: str) -> Table:
        if not network:
            return self._accounts
        return self._pairs if account else self._networks
