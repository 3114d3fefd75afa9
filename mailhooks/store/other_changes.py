"""Changes of what hangs on accounts and domains: app passwords, grants, relay credentials, preferences, settings."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mailhooks.store import ledger, rows
from mailhooks.store.errors import NotFound, Refused
from mailhooks.store.mailbox_changes import MailboxChanges
from mailhooks.store.model import ALL_SERVICES, AppPassword, Grant, Preference, Relay, Service

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_APP_PASSWORDS = 15  # of one account: a login with an unknown password may have to verify each, and its own
GLOBAL = "@GLOBAL"  # the scope of preferences for everybody, spelt as spamd asks for it

_NEXTHOP = re.compile(r"(\[[0-9a-z.:_-]+\]|[0-9a-z._-]+)(:[0-9a-z-]+)?")
_PREFERENCE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_SETTING = re.compile(r"[a-z][a-z0-9_.-]{0,63}")


class AppPasswordChanges(MailboxChanges):
    """The part of a change that is about app passwords."""

    def add_app_password(
        self,
        address: str,
        *,
        label: str,
        hash: str,  # noqa: A002 - the word of the value
        services: Iterable[Service] = ALL_SERVICES,
        networks: Iterable[str] = (),
        expires: float | None = None,
    ) -> AppPassword:
        """Give an account one more password, narrower than its own. Raises Refused, NotFound."""
        owner = self._require_mailbox(address).address
        if not label.strip():
            raise Refused("an app password needs a label: it is revoked by it")
        ledger.line("label", label)
        ledger.secret("hash", hash)
        allowed = frozenset(services)
        if not allowed:
            raise Refused(f"an app password needs a service: some of {', '.join(Service)}")
        if expires is not None and expires <= self._now:
            raise Refused("the app password would have expired already: expected a date to come")
        ranges = tuple(map(ledger.network, networks))
        labels = self._names("SELECT label FROM app_password WHERE address = ?", owner)
        if label in labels:
            raise Refused(f"{owner} has an app password {label!r} already: revoke it, or choose another label")
        if len(self._store.app_passwords(owner)) >= MAX_APP_PASSWORDS:  # those that have expired cost nothing
            raise Refused(f"{owner} has {MAX_APP_PASSWORDS} app passwords, more are never tried: revoke one")
        sql = "INSERT INTO app_password (address, label, hash, services, networks, expires) VALUES (?, ?, ?, ?, ?, ?)"
        row = (owner, label, hash, rows.services_column(allowed), " ".join(ranges), expires)
        number = self._run(sql, row).lastrowid
        self._tally["app_password", ""] += 1
        self._record("app-password add", owner, label)
        return AppPassword(number or 0, owner, label, hash, allowed, ranges, expires)

    def revoke_app_password(self, address: str, label: str) -> None:
        """Take an app password away. Raises NotFound."""
        owner = ledger.address(address)
        if self._run("DELETE FROM app_password WHERE address = ? AND label = ?", (owner, label)).rowcount == 0:
            raise NotFound(f"{owner} has no app password {label!r}")
        self._tally["app_password", ""] -= 1
        self._record("app-password revoke", owner, label)


class SenderChanges(MailboxChanges):
    """The part of a change that is about who may send as whom."""

    def allow_sender(self, login: str, sender: str) -> Grant:
        """Let an account send as an address or a whole ``@domain``; twice is no error. Raises Refused, NotFound."""
        grant = Grant(self._require_mailbox(login).address, ledger.source(sender))
        sql = "INSERT INTO send_grant (login, sender) VALUES (?, ?) ON CONFLICT DO NOTHING"
        if self._run(sql, (grant.login, grant.sender)).rowcount:
            self._tally["grant", ""] += 1
            self._record("sender allow", grant.login, grant.sender)
        return grant

    def revoke_sender(self, login: str, sender: str) -> None:
        """Take a grant away. Raises Refused, NotFound."""
        row = (ledger.address(login), ledger.source(sender))
        if self._run("DELETE FROM send_grant WHERE login = ? AND sender = ?", row).rowcount == 0:
            raise NotFound(f"{row[0]} has no grant to send as {row[1]}")
        self._tally["grant", ""] -= 1
        self._record("sender revoke", *row)


class RelayChanges(ledger.Ledger):
    """The part of a change that is about relay credentials."""

    def add_relay(self, nexthop: str, *, username: str = "", password: str = "", sender: str = "") -> Relay:
        """Set the credentials for a next hop, or for one sender there. Raises Refused, Unavailable (no key file).

        Without a user name the mail of ``sender`` goes that way and logs in by the next hop's own credentials, if any.
        """
        relay = Relay(_nexthop(nexthop), ledger.source(sender) if sender else "", ledger.line("user name", username))
        if ":" in username:
            raise Refused("a relay's user name holds no colon: Postfix splits there")
        if username:
            ledger.secret("password", password)
        elif not sender or password:
            raise Refused("a relay's user name is empty only where a sender's mail goes by it without credentials")
        other = self._store.relay_nexthop(relay.sender)
        if other is not None and other != relay.nexthop:
            raise Refused(f"mail of {relay.sender} goes by {other} already: remove that first")
        self._require_key()
        sql = (
            "INSERT INTO relay (nexthop, sender, username, secret) VALUES (?, ?, ?, ?) ON CONFLICT (nexthop, sender) "
            "DO UPDATE SET username = excluded.username, secret = excluded.secret"
        )
        is_new = not self._run(
            "SELECT 1 FROM relay WHERE nexthop = ? AND sender = ?", (relay.nexthop, relay.sender)
        ).fetchone()
        sealed = self._key.seal(password, f"{relay.nexthop} {relay.sender}")
        self._run(sql, (relay.nexthop, relay.sender, relay.username, sealed))
        self._tally["relay", ""] += is_new
        self._record("relay add", relay.nexthop, f"for {relay.sender}" if relay.sender else "")
        return relay

    def remove_relay(self, nexthop: str, sender: str = "") -> None:
        """Forget the credentials for a next hop, or for one sender there. Raises Refused, NotFound.

        With the last ones the store forgets which key it was written with: whoever has lost the key begins anew so.
        """
        row = (_nexthop(nexthop), ledger.source(sender) if sender else "")
        if self._run("DELETE FROM relay WHERE nexthop = ? AND sender = ?", row).rowcount == 0:
            raise NotFound(f"there are no credentials for {row[0]}" + (f" for {row[1]}" if row[1] else ""))
        self._run("UPDATE meta SET key_check = NULL WHERE NOT EXISTS (SELECT 1 FROM relay)")
        self._tally["relay", ""] -= 1
        self._record("relay remove", row[0], f"for {row[1]}" if row[1] else "")

    def _require_key(self) -> None:
        """Make sure that all secrets of the store are sealed with one key. Raises Unavailable."""
        fits = self._store.key_fits()
        if fits is None:
            self._run("UPDATE meta SET key_check = ?", (self._key.check(),))
        elif not fits:
            raise self._key.other()


class PreferenceChanges(ledger.Ledger):
    """The part of a change that is about spam preferences and settings."""

    def set_preference(self, scope: str, name: str, value: str) -> Preference:
        """Set a SpamAssassin preference of a user, ``@domain`` or ``@GLOBAL``. Raises Refused, NotFound.

        spamd pastes name and value into a configuration text, so neither may end a line or begin a comment there. Which
        names mean anything is said by ``mailhooks.spamprefs``.
        """
        preference = Preference(self._require_scope(scope, (GLOBAL,)), name, value)
        if not _PREFERENCE.fullmatch(name):
            raise Refused(f"{name!r} is no preference: expected a name like required_score")
        if not ledger.line("value", value).strip() or "#" in value or not value.isprintable():
            raise Refused(f"the value of {name} is empty or holds a #: expected one plain value")
        sql = (
            "INSERT INTO preference (scope, name, value) VALUES (?, ?, ?) "
            "ON CONFLICT (scope, name) DO UPDATE SET value = excluded.value"
        )
        self._run(sql, (preference.scope, name, value))
        self._record("spam set", preference.scope, f"{name} {value}")
        return preference

    def unset_preference(self, scope: str, name: str) -> None:
        """Forget a preference. Raises Refused, NotFound."""
        scope = scope if scope == GLOBAL else ledger.source(scope)
        if self._run("DELETE FROM preference WHERE scope = ? AND name = ?", (scope, name)).rowcount == 0:
            raise NotFound(f"{scope} has no preference {name!r}")
        self._record("spam unset", scope, name)

    def set_setting(self, name: str, value: str) -> None:
        """Keep a value for all processes that share the store. Raises Refused."""
        if not _SETTING.fullmatch(name):
            raise Refused(f"{name!r} is no name of a setting: expected small letters, digits, dots and hyphens")
        sql = "INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
        self._run(sql, (name, ledger.line("value", value)))
        self._record("setting set", name, value)


def _nexthop(text: str) -> str:
    nexthop = text.strip().lower()
    if not _NEXTHOP.fullmatch(nexthop):
        raise Refused(f"{text!r} is no next hop: expected one as in Postfix's relayhost, like [smtp.example.net]:587")
    return nexthop
