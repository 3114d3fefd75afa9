"""IMAP METADATA (RFC 5464) and what Dovecot keeps the same way: mail_attribute (lib-storage/index/index-attribute.c).

``priv/<folder's GUID>/<entry>`` is what a user wrote for himself, ``shared/<folder's GUID>/<entry>`` what he wrote for
everybody who may open the folder. Both belong to the user of the command: Dovecot asks for the shared ones in the name
of the folder's owner, and has checked the rights.

How much an account may keep is bounded here, since an IMAP client writes what it likes. Taking away is always allowed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailhooks.address import fold
from mailhooks.dicts.namespace import Operation, Write, owned
from mailhooks.store import Batch, Refused, Store
from mailhooks.wire.dict import Increment, Set

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MAX_KEYS = 1000  # of one account: a few for each of its folders
MAX_CHARACTERS = 1_000_000  # keys and values of one account
MAX_KEY = 1000  # characters: GUID and entry

SCOPES = ("priv/", "shared/")


class Metadata:
    """``priv/<guid>/`` and ``shared/<guid>/`` of each user."""

    everybody = False

    def lookup(self, store: Store, key: str, user: str) -> str | None:
        """The value of an attribute."""
        address = fold(user)
        return store.attribute(address, key) if address else None

    def rows(self, store: Store, path: str, user: str) -> Iterable[tuple[str, str]]:
        """The attributes below a path."""
        address = fold(user)
        return store.attributes(address, path) if address else ()

    def prepare(self, operations: Sequence[Operation], user: str) -> Write:
        """Keep attributes, within the limits of the account."""
        changes = dict(map(_change, operations))
        address = owned(user)
        return lambda batch: _write(batch, address, changes)


def _change(operation: Operation) -> tuple[str, str | None]:
    if isinstance(operation, Increment):
        raise Refused("attributes are set and removed, never added to")
    key = operation.key
    if not key.startswith(SCOPES) or len(key) > MAX_KEY:
        raise Refused(f"the key of an attribute begins with priv/ or shared/ and has at most {MAX_KEY} characters")
    return key, operation.value if isinstance(operation, Set) else None


def _write(batch: Batch, address: str, changes: Mapping[str, str | None]) -> bool | Refused:
    if not batch.has_mailbox(address):
        return Refused(f"there is no mailbox {address}")
    before = batch.attribute_sizes(address)
    after = dict(before)
    for key, value in changes.items():
        if value is None:
            after.pop(key, None)
        else:
            after[key] = len(key) + len(value)
    if len(after) > max(MAX_KEYS, len(before)):
        return Refused(f"{address} has {len(before)} attributes: at most {MAX_KEYS}")
    characters = sum(before.values())
    if sum(after.values()) > max(MAX_CHARACTERS, characters):
        return Refused(f"the attributes of {address} have {characters} characters: at most {MAX_CHARACTERS}")
    for key, value in changes.items():
        if value is None:
            batch.unset_attribute(address, key)
        else:
            batch.set_attribute(address, key, value)
    return True
