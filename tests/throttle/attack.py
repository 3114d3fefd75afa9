"""A throttle with a clock set by hand, and a door: what the authenticator does with it, without hashes and sockets."""

from __future__ import annotations

from mailhooks.throttle import LOOPBACK, Places, Settings, Throttle

OWNER = "adam@example1.com"
RIGHT = "the right one"
KEY = bytes(32)


class Door:
    """Counts what was verified; every account has the same right password."""

    def __init__(self, settings=None, *, allow=(), shared=LOOPBACK):
        self.now = 1_700_000_000.0
        self.known = {}
        self.verified = 0
        self.throttle = Throttle(
            settings or Settings(),
            Places(allow, shared),
            lambda account, network: self.known.get((account, network)),
            KEY,
        )

    def login(self, address, password, account=OWNER):
        """ "in", "wrong", or the scope by which it was refused."""
        refusal = self.throttle.ask(account, address, password, self.now)
        if refusal is not None:
            return refusal.scope.value
        guess = self.throttle.begin(account, address, password, self.now)
        self.verified += 1
        if password == RIGHT:
            self.throttle.right(account, address, self.now, guess)
            return "in"
        if guess is not None:
            self.throttle.wrong(guess, self.now)
        return "wrong"

    def restart(self):
        """Keep what would be on disk, and load it into a new one."""
        rows, notes = {}, {}
        while writes := self.throttle.writes():
            rows.update({(row.account, row.network): row for row in writes.rows})
            notes.update({(account, network): at for account, network, at in writes.notes})
        self.known.update(notes)
        self.throttle.load(KEY, rows.values())


def address_of(number):
    """One of 16 million addresses, each in a /24 of its own as far as 65,536 of them go."""
    return f"{10 + (number >> 16)}.{number >> 8 & 255}.{number & 255}.{1 + (number >> 16)}"
