"""Accounts for a Dovecot 2.3 that keeps its own auth process: ``driver = dict`` (auth/passdb-dict.c, userdb-dict.c).

``shared/passdb/<user>`` is the password hash and ``shared/userdb/<user>`` uid, gid, home and quota, each as the JSON
that ``format = json`` reads. A service may stand before the user (``passdb/%s/%u``): then what the account may not use
is not found, and an account that takes no mail is not found by lmtp. Without one, only what holds for every service is
found. Dovecot 2.4 has no such driver.

These rows hold password hashes, so the names are off unless configured and answer nobody but root (the server sees to
that). They know the account's own password only: app passwords, throttling and the reasons of a refusal need mailhooks
as the auth server.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from mailhooks import passdb, userdb
from mailhooks.address import fold
from mailhooks.store import Refused, Store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailhooks.dicts.namespace import Operation, Write
    from mailhooks.store import Mailbox
    from mailhooks.userdb import MailSettings

PASSDB = "shared/passdb/"
USERDB = "shared/userdb/"

# What Dovecot calls its own services; a local part may hold a slash, so that not everything before one is a service.
SERVICES = frozenset({"imap", "pop3", "sieve", "smtp", "submission", "lmtp", "lda", "doveadm", "quota-status"})


class Userdb:
    """``shared/userdb/`` of everybody."""

    everybody = True

    def __init__(self, mail: MailSettings) -> None:
        self._mail = mail

    def lookup(self, store: Store, key: str, user: str) -> str | None:  # noqa: ARG002 - root asks about everybody
        """What Dovecot needs to know of a user."""
        if not key.startswith(USERDB):
            return None
        service, whom = _asked(key.removeprefix(USERDB))
        return self._fields(store, whom, service)

    def rows(self, store: Store, path: str, user: str) -> Iterator[tuple[str, str]]:  # noqa: ARG002 - the same
        """All users with their fields."""
        if path.startswith(USERDB):
            for address in userdb.users(store):
                fields = self._fields(store, address, "")
                if fields is not None:  # removed meanwhile
                    yield f"{USERDB}{address}", fields

    def prepare(self, operations: Sequence[Operation], user: str) -> Write:  # noqa: ARG002 - refused, whatever it is
        """Refuse: Dovecot only asks."""
        raise Refused("accounts are not changed by the dict")

    def _fields(self, store: Store, whom: str, service: str) -> str | None:
        fields = userdb.fields(store, whom, self._mail, "2.3", service=service)
        return None if fields is None else json.dumps({**fields, "uid": self._mail.uid, "gid": self._mail.gid})


class Passdb(Userdb):
    """``shared/passdb/`` of everybody, never listed, and ``shared/userdb/``: Dovecot can ask for both by one name."""

    def lookup(self, store: Store, key: str, user: str) -> str | None:
        """The password hash of an account that may log in; None for everybody else."""
        if not key.startswith(PASSDB):
            return super().lookup(store, key, user)
        service, whom = _asked(key.removeprefix(PASSDB))
        address = fold(whom)
        mailbox = store.mailbox(address) if address else None
        if mailbox is None or not _may(mailbox, service):
            return None
        answer = {"user": mailbox.address, "password": mailbox.password}
        if mailbox.networks:
            answer["allow_nets"] = ",".join(mailbox.networks)
        return json.dumps(answer)


def _may(mailbox: Mailbox, service: str) -> bool:
    return mailbox.password is not None and passdb.refusal_of(mailbox, passdb.service_of(service)) is None


def _asked(text: str) -> tuple[str, str]:
    """Take the service off a key; "" when there is none."""
    service, slash, whom = text.partition("/")
    return (service, whom) if slash and service in SERVICES else ("", text)
