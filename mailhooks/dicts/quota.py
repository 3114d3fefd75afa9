"""What each mailbox holds, told by Dovecot.

Two clients write here. ``quota_clone`` (both generations) sets absolute values after a session; replaying it is safe.
The quota dict driver (2.3 only, quota/quota-dict.c) also reads, and adds differences; ``N`` makes it count the mailbox
anew, and that is the answer whenever a difference has nothing sound to be added to.

A user without a mailbox: the commit succeeds and stores nothing. The mailbox was removed under an open session, and
neither an error in the log nor a new count would bring it back.

The store keeps both values in one row, as both clients tell them: where only one was ever told, the other is 0, and to
unset one of them alone forgets both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailhooks.address import fold
from mailhooks.dicts.namespace import Operation, Write, number
from mailhooks.store import Batch, Refused, Store
from mailhooks.wire.dict import Increment, Set

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

STORAGE = "priv/quota/storage"  # bytes
MESSAGES = "priv/quota/messages"
MAX_VALUE = 2**63 - 1  # what the store can hold


class Quota:
    """``priv/quota/storage`` and ``priv/quota/messages`` of each user."""

    everybody = False

    def lookup(self, store: Store, key: str, user: str) -> str | None:
        """What Dovecot last told, None before it told anything."""
        return dict(self.rows(store, key, user)).get(key)

    def rows(self, store: Store, path: str, user: str) -> Iterable[tuple[str, str]]:  # noqa: ARG002 - all are few
        """Both values."""
        address = fold(user)
        usage = store.usage(address) if address else None
        if usage is not None:
            yield STORAGE, str(usage.storage)
            yield MESSAGES, str(usage.messages)

    def prepare(self, operations: Sequence[Operation], user: str) -> Write:
        """Set, forget or add to both values."""
        changes = [_change(operation) for operation in operations]
        address = fold(user)
        if address is None:
            return _nothing
        if any(change.adds for change in changes):
            return lambda batch: _add(batch, address, changes)
        return lambda batch: _set(batch, address, _after({}, changes))


@dataclass(frozen=True, slots=True)
class _Change:
    key: str
    value: int | None  # None: forget it
    adds: bool = False


def _change(operation: Operation) -> _Change:
    key = operation.key
    if key not in (STORAGE, MESSAGES):
        raise Refused(f"the quota dict has no key {key}: only {STORAGE} and {MESSAGES}")
    if isinstance(operation, Set):
        value = number(operation.value, key)
        if not 0 <= value <= MAX_VALUE:
            raise Refused(f"the value of {key} is out of range")
        return _Change(key, value)
    if isinstance(operation, Increment):
        return _Change(key, operation.diff, adds=True)
    return _Change(key, None)


def _after(values: Mapping[str, int], changes: Sequence[_Change]) -> dict[str, int]:
    """The values after the changes. Raises KeyError when there is nothing to add to."""
    after = dict(values)
    for change in changes:
        if change.value is None:
            after.pop(change.key, None)
        elif change.adds:
            after[change.key] += change.value
        else:
            after[change.key] = change.value
    return after


def _nothing(batch: Batch) -> bool:  # noqa: ARG001 - a Write that has nothing to write
    return True


def _set(batch: Batch, address: str, values: Mapping[str, int]) -> bool:
    if values:
        batch.set_usage(address, storage=values.get(STORAGE), messages=values.get(MESSAGES))
    else:
        batch.clear_usage(address)
    return True


def _add(batch: Batch, address: str, changes: Sequence[_Change]) -> bool:
    usage = batch.usage(address)
    known = {} if usage is None else {STORAGE: usage.storage, MESSAGES: usage.messages}
    try:
        values = _after(known, changes)
    except KeyError:
        return False
    if all(0 <= value <= MAX_VALUE for value in values.values()):
        return _set(batch, address, values)
    batch.clear_usage(address)  # it was counted wrongly somewhere: Dovecot shall count anew
    return False
