"""Who shares folders with whom, so that IMAP LIST shows them (plugins/acl/acl-lookup-dict.c).

``shared/shared-boxes/user/<reader>/<owner>``, ``…/group/<name>/<owner>`` and ``…/anyone/<owner>`` are ``1``. What a
reader may do there stands in Dovecot's own ACL files and is checked by Dovecot; this map only says where to look.

Nobody writes another's shares: the owner in the key is the user of the command. Nobody reads what is between others:
Dovecot walks the whole map to find the user's own rows, and is given those only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailhooks.address import fold
from mailhooks.dicts.namespace import Operation, Write, owned
from mailhooks.store import Batch, Refused, Store
from mailhooks.wire.dict import Increment, Set

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PREFIX = "shared/shared-boxes/"
ANYONE = "anyone"
READERS = ("user/", "group/")
YES = "1"

MAX_READERS = 1000  # with whom one account shares
MAX_READER = 320  # characters: the longest address (64 + 1 + 254), and as much for a group


class Shares:
    """``shared/shared-boxes/`` as far as it concerns each user."""

    everybody = False

    def lookup(self, store: Store, key: str, user: str) -> str | None:
        """Whether a folder is shared."""
        return dict(self.rows(store, key, user)).get(key)

    def rows(self, store: Store, path: str, user: str) -> Iterable[tuple[str, str]]:
        """What the user shares with others, and who shares with the user, with everybody and with groups."""
        address = fold(user)
        if address is None:
            return
        mine = f"user/{address}"
        yield from ((f"{PREFIX}{reader}/{address}", YES) for reader in store.readers_of(address))
        if _may_hold(path, f"{PREFIX}{mine}/"):
            shared = (owner for owner in store.owners_sharing_with(mine) if owner != address)
            yield from ((f"{PREFIX}{mine}/{owner}", YES) for owner in shared)
        if _may_hold(path, f"{PREFIX}{ANYONE}/"):
            shared = (owner for owner in store.owners_sharing_with(ANYONE) if owner != address)
            yield from ((f"{PREFIX}{ANYONE}/{owner}", YES) for owner in shared)
        if path.startswith(f"{PREFIX}group"):
            yield from ((f"{PREFIX}{group}/{owner}", YES) for group, owner in store.groups_sharing())

    def prepare(self, operations: Sequence[Operation], user: str) -> Write:
        """Keep with whom the user shares, and with whom no more."""
        address = owned(user)
        changes = dict(_change(operation, address) for operation in operations)

        def write(batch: Batch) -> bool | Refused:
            if not batch.has_mailbox(address):
                return Refused(f"there is no mailbox {address}")
            before = set(batch.readers_of(address))
            after = (before | {reader for reader, shares in changes.items() if shares}) - {
                reader for reader, shares in changes.items() if not shares
            }
            if len(after) > max(MAX_READERS, len(before)):
                return Refused(f"{address} shares with {len(before)} others: at most {MAX_READERS}")
            for reader, shares in changes.items():
                (batch.share if shares else batch.unshare)(address, reader)
            return True

        return write


def _may_hold(path: str, keys: str) -> bool:
    """Whether keys that begin with ``keys`` may be below the path; the server leaves out those that are not."""
    return path.startswith(keys) or keys.startswith(path)


def _change(operation: Operation, owner: str) -> tuple[str, bool]:
    reader = operation.key.removeprefix(PREFIX).removesuffix(f"/{owner}")
    is_key = operation.key == f"{PREFIX}{reader}/{owner}" and len(reader) <= MAX_READER
    if not is_key or not (reader == ANYONE or (reader.startswith(READERS) and not reader.endswith("/"))):
        raise Refused(f"the acl dict has no such key for {owner}: only {PREFIX}user/READER/{owner} and the like")
    if isinstance(operation, Increment):
        raise Refused("a folder is shared or not: nothing is added to")
    return reader, isinstance(operation, Set)
