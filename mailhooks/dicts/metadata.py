"""IMAP METADATA (RFC 5464) and what Dovecot keeps the same way: mail_attribute (lib-storage/index/index-attribute.c).

``priv/<folder's GUID>/<entry>`` is what a user wrote for himself and nobody else reaches, ``shared/<folder's GUID>/
<entry>`` what is for everybody who may open the folder. Dovecot asks for both in the name of who is logged in, and has
checked the rights; so a shared attribute that is not the user's own is looked for among those who share folders with
the user, and written where it is found. One that is found nowhere becomes the user's own, whosever the folder is.

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

MAX_HOLDERS = 1000  # where a shared attribute is looked for: one read of some microseconds for each

SHARED = "shared/"
SCOPES = ("priv/", SHARED)


class Metadata:
    """``priv/<guid>/`` and ``shared/<guid>/`` of each user."""

    everybody = False

    def lookup(self, store: Store, key: str, user: str) -> str | None:
        """The value of an attribute."""
        address = fold(user)
        if address is None:
            return None
        values = (store.attribute(holder, key) for holder in _holders(store, address, key))
        return next((value for value in values if value is not None), None)

    def rows(self, store: Store, path: str, user: str) -> Iterable[tuple[str, str]]:
        """The attributes below a path."""
        address = fold(user)
        found: dict[str, str] = {}
        for holder in _holders(store, address, path) if address else ():
            found = dict(store.attributes(holder, path)) | found  # the first who has one counts
            if len(found) > MAX_KEYS:
                break
        return found.items()

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


def _holders(store: Store | Batch, address: str, key: str) -> Iterable[str]:
    """Whose attributes are asked: the user's, and for shared ones those of who shares folders with the user."""
    if not key.startswith(SHARED):
        return (address,)
    others = (*store.owners_sharing_with(f"user/{address}"), *store.owners_sharing_with("anyone"))
    return dict.fromkeys((address, *others[:MAX_HOLDERS]))


def _write(batch: Batch, address: str, changes: Mapping[str, str | None]) -> bool | Refused:
    if not batch.has_mailbox(address):
        return Refused(f"there is no mailbox {address}")
    where: dict[str, dict[str, str | None]] = {}
    for key, value in changes.items():
        holders = _holders(batch, address, key)
        holder = next((each for each in holders if batch.attribute(each, key) is not None), address)
        where.setdefault(holder, {})[key] = value
    refusals = (_refusal(batch, holder, part) for holder, part in where.items())
    if refused := next(filter(None, refusals), None):
        return refused
    for holder, part in where.items():
        for key, value in part.items():
            if value is None:
                batch.unset_attribute(holder, key)
            else:
                batch.set_attribute(holder, key, value)
    return True


def _refusal(batch: Batch, address: str, changes: Mapping[str, str | None]) -> Refused | None:
    """Say why an account may not keep as much as that."""
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
    return None
