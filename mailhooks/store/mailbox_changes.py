"""Changes of accounts: their data, their passwords, and their removal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from mailhooks.store import ledger, rows
from mailhooks.store.alias_changes import AliasChanges
from mailhooks.store.errors import NotFound, Refused
from mailhooks.store.ledger import UNSET, Unset
from mailhooks.store.model import ALL_SERVICES, Mailbox, Service, State

if TYPE_CHECKING:
    from collections.abc import Iterable


ADD_BATCH = 5000  # rows written at once: one statement for many, and a few MB in memory


@dataclass(frozen=True, slots=True)
class Removal:
    """What else the removal of an account did: aliases that lost a target, and aliases that lost their last one."""

    changed: tuple[str, ...]
    removed: tuple[str, ...]


class NewMailbox(NamedTuple):
    """An account to be made, as add_mailbox takes it; a tuple, for an import makes a hundred thousand."""

    address: str
    name: str = ""
    quota: int | None = None
    password: str | None = None
    state: State = State.ACTIVE
    allow: frozenset[Service] = ALL_SERVICES


class MailboxChanges(AliasChanges):
    """The part of a change that is about accounts."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.made_again: list[str] = []  # accounts made here whose addresses were removed before: mail may lie there

    def add_mailbox(
        self,
        address: str,
        *,
        name: str = "",
        quota: int | None = None,
        password: str | None = None,
        state: State = State.ACTIVE,
        allow: Iterable[Service] = ALL_SERVICES,
        hold: float = 0.0,
    ) -> Mailbox:
        """Make an account; ``password`` is a hash, and without one it receives only. Raises Refused.

        ``hold``: for so many seconds after its removal an address is not given out again.
        """
        allowed = frozenset(allow)
        row = self._new_row(NewMailbox(address, name, quota, password, state, allowed))
        self._take_up_mailbox(row[0], hold)
        if self._run(_ADD, row).rowcount == 0:
            raise Refused(f"the mailbox {row[0]} is there already")
        return Mailbox(row[0], name, state, allow=allowed, quota=quota or None, own_quota=quota, password=password)

    def add_mailboxes(self, accounts: Iterable[NewMailbox], *, hold: float = 0.0) -> None:
        """Make many accounts, each as add_mailbox does, for imports. Raises Refused."""
        waiting = []
        any_removed = self._run("SELECT EXISTS (SELECT 1 FROM tombstone)").fetchone()[0]
        for account in accounts:
            waiting.append(self._new_row(account))
            if any_removed:
                self._take_up_mailbox(waiting[-1][0], hold)
            if len(waiting) >= ADD_BATCH:
                self._add_rows(waiting)
                waiting.clear()
        if waiting:
            self._add_rows(waiting)

    def set_mailbox(
        self,
        address: str,
        *,
        name: str | Unset = UNSET,
        quota: int | Unset | None = UNSET,
        state: State | Unset = UNSET,
        reason: str | Unset = UNSET,
        until: float | Unset | None = UNSET,
        allow: Iterable[Service] | Unset = UNSET,
        networks: Iterable[str] | Unset = UNSET,
        expires: float | Unset | None = UNSET,
    ) -> Mailbox:
        """Change what is given of an account; a new state forgets the old one's reason and end.

        Raises Refused, NotFound.
        """
        old = self._require_mailbox(address)
        columns: dict[str, str | float | None] = {}
        if not isinstance(name, Unset):
            columns["name"] = ledger.line("name", name)
        if not isinstance(quota, Unset):
            columns["quota"] = ledger.size("quota", quota)
        if not isinstance(state, Unset):
            columns |= {"state": str(state), "reason": "", "until": None}
        if not isinstance(reason, Unset):
            columns["reason"] = ledger.line("reason", reason)
        ends = {"until": until, "expires": expires}
        columns |= {column: self._end(end) for column, end in ends.items() if not isinstance(end, Unset)}
        if not isinstance(allow, Unset):
            columns["allow"] = rows.services_column(allow)
        if not isinstance(networks, Unset):
            columns["networks"] = " ".join(map(ledger.network, networks))
        stated = isinstance(state, Unset) and bool(columns.keys() & {"reason", "until"})
        if stated and old.state is State.ACTIVE:
            raise Refused(f"{old.address} is active: a reason and an end belong to another state")
        if columns:
            self._write_mailbox(old, columns)
        changed = self._store.mailbox(old.address)
        assert changed is not None  # noqa: S101 - for the type checker: it was just updated
        return changed

    def set_password(self, address: str, hashed: str | None) -> None:
        """Set the hash of an account's own password; None: it receives only. Raises Refused, NotFound.

        The SCRAM keys of the old password are gone; ``set_scram`` gives those of the new one.
        """
        old = self._require_mailbox(address)
        if hashed is not None:
            ledger.secret("hash", hashed)
        self._run("DELETE FROM scram WHERE address = ?", (old.address,))
        self._run("UPDATE mailbox SET password = ? WHERE address = ?", (hashed, old.address))
        self._record("user passwd", old.address, "" if hashed else "none")

    def set_scram(self, address: str, keys: dict[str, str]) -> None:
        """Keep the SCRAM keys of the password that was just set, by mechanism. Raises Refused, NotFound.

        Not in the audit log: the password's change is, and keys are as good as the password.
        """
        owner = self._require_mailbox(address).address
        for mechanism, text in keys.items():
            sql = "INSERT OR REPLACE INTO scram (address, mechanism, keys) VALUES (?, ?, ?)"
            self._run(sql, (owner, mechanism, ledger.secret("SCRAM keys", text)))

    def record_master_login(self, address: str, master: str, service: str) -> None:
        """Write into the audit log that ``master`` logged in as ``address``."""
        self._record("login as", address, f"{service} by {master}")

    def replace_hash(self, address: str, old: str, new: str) -> bool:
        """Put a better hash of the same password in the place of ``old``, its own or an app password's.

        Returns False when ``old`` is no longer there: somebody else was faster, and is right.
        """
        address = ledger.address(address)
        ledger.secret("hash", new)
        for sql in (
            "UPDATE mailbox SET password = ? WHERE address = ? AND password = ?",
            "UPDATE app_password SET hash = ? WHERE address = ? AND hash = ?",
        ):
            if self._run(sql, (new, address, old)).rowcount:
                self._record("user rehash", address)
                return True
        return False

    def remove_mailbox(self, address: str) -> Removal:
        """Remove an account and take its address out of every alias. Raises NotFound."""
        address = self._require_mailbox(address).address
        self._drop_mailbox(address)
        return Removal(*self._take_out(address))

    def _new_row(self, account: NewMailbox) -> tuple[str, str, str, str, str | None, int | None, str | None]:
        """Check an account to be made and enter it into the books; return its row."""
        given, name, quota, password, state, allow = account
        address = ledger.address(given)
        domain = address.rpartition("@")[2]
        if not self._hosted.get(domain):
            self._require_hosted(domain)
        if name:
            ledger.line("name", name)
        if quota is not None:
            ledger.size("quota", quota)
        if password is not None:
            ledger.secret("hash", password)
        self._tally["mailbox", str(state)] += 1
        self._record("user add", address, "" if state is State.ACTIVE else str(state))
        allowed = None if allow is ALL_SERVICES else rows.services_column(allow)
        return address, domain, name, str(state), allowed, quota, password

    def _take_up_mailbox(self, address: str, hold: float) -> None:
        if self._take_up(address, hold):
            self.made_again.append(address)

    def _add_rows(self, waiting: list[tuple[str, str, str, str, str | None, int | None, str | None]]) -> None:
        if self._run_many(_ADD, waiting).rowcount != len(waiting):
            raise Refused(f"one of the mailboxes from {waiting[0][0]} to {waiting[-1][0]} is there already")

    def _drop_mailbox(self, address: str) -> None:
        state = self._run("SELECT state FROM mailbox WHERE address = ?", (address,)).fetchone()[0]
        passwords = self._run("SELECT COUNT(*) FROM app_password WHERE address = ?", (address,)).fetchone()[0]
        grants = self._run("SELECT COUNT(*) FROM send_grant WHERE login = ?1 OR sender = ?1", (address,)).fetchone()[0]
        self._run("DELETE FROM send_grant WHERE sender = ?", (address,))
        self._run("DELETE FROM preference WHERE scope = ?", (address,))
        self._run("DELETE FROM share WHERE reader = ?", (f"user/{address}",))
        self._bury(address)
        self._run("DELETE FROM send_limit WHERE scope = ?", (address,))
        self._run("DELETE FROM send_use WHERE key = ?", (f"user {address}",))
        self._run("DELETE FROM mailbox WHERE address = ?", (address,))  # what hangs on it goes by foreign keys
        self._tally["mailbox", state] -= 1
        if passwords:
            self._tally["app_password", ""] -= passwords
        if grants:
            self._tally["grant", ""] -= grants
        self._record("user remove", address)

    def _require_mailbox(self, address: str) -> Mailbox:
        address = ledger.address(address)
        found = self._store.mailbox(address)
        if found is None:
            raise NotFound(f"there is no mailbox {address}")
        return found

    def _lift(self, address: str) -> bool:
        return self._run("DELETE FROM suspension WHERE address = ?", (address,)).rowcount > 0

    def _end(self, until: float | None) -> float | None:
        if until is not None and until <= self._now:
            raise Refused("the end lies in the past: expected a date to come")
        return until

    def _write_mailbox(self, old: Mailbox, columns: dict[str, str | float | None]) -> None:
        before = self._run("SELECT state FROM mailbox WHERE address = ?", (old.address,)).fetchone()[0]
        if columns.get("state") == State.ACTIVE:
            self._lift(old.address)  # it may send again, whatever had it suspended
        sets = ", ".join(f"{column} = ?" for column in columns)  # names from set_mailbox, never from outside
        self._run(f"UPDATE mailbox SET {sets} WHERE address = ?", (*columns.values(), old.address))  # noqa: S608
        after = str(columns.get("state", before))
        if after != before:
            self._tally["mailbox", before] -= 1
            self._tally["mailbox", after] += 1
        said = ", ".join(f"{column} {_said(column, value)}" for column, value in columns.items())
        self._record("user set", old.address, said)


def _said(column: str, value: str | float | None) -> str:
    """Spell a column out for the audit log, which people read."""
    if column == "allow":
        return "all" if value is None else str(value) or "none"
    if column in ("until", "expires") and value is not None:
        return datetime.fromtimestamp(float(value), UTC).isoformat(timespec="seconds")
    return "none" if value is None else str(value)


_ADD = (
    "INSERT INTO mailbox (address, domain, name, state, reason, allow, quota, password) "
    "VALUES (?, ?, ?, ?, '', ?, ?, ?) ON CONFLICT DO NOTHING"
)
