"""``dovecot-uidlist``: the IMAP UID of each message of a folder. While UIDs stay, no client downloads anything again.

Format (Dovecot src/lib-storage/index/maildir/maildir-uidlist.c): a header ``3 V<validity> N<next> G<guid>``, then lines
``<uid> [<key><value> ...] :<unique name>`` with rising UIDs; a later line for the same name counts. Version 1 is read
too: ``1 <validity> <next>`` and ``<uid> <name>``. POP3 UIDLs are made of UIDs or stand in the key P, so they stay.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mailhooks.maildir.message import FileName, is_sound

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_FILE = 512 * 2**20  # bytes: two million messages with long names
MAX_UID = 2**32 - 2  # RFC 3501 has 32 bits, and Dovecot takes the last value for none

_KEY = r" [A-Za-z][\x21-\x7e]{0,250}"
_HEADER = re.compile(rf"3((?:{_KEY})*)")
_RECORD = re.compile(rf"([0-9]{{1,10}})((?:{_KEY})*) :([^/]+)")
_OLD_HEADER = re.compile(r"1 ([0-9]{1,10}) ([0-9]{1,10})")
_OLD_RECORD = re.compile(r"([0-9]{1,10})() ([^/]+)")


@dataclass(frozen=True, slots=True)
class UidList:
    """What the file says: unique name -> UID and its further keys, in the order of the UIDs."""

    validity: int
    next_uid: int
    keys: tuple[str, ...] = ()  # of the header, further than V and N
    records: dict[str, tuple[int, str]] = field(default_factory=dict)

    def render(self) -> bytes:
        """Spell the file."""
        head = " ".join(("3", f"V{self.validity}", f"N{self.next_uid}", *self.keys))
        lines = (f"{uid}{keys} :{unique}\n" for unique, (uid, keys) in self.records.items())
        return f"{head}\n{''.join(lines)}".encode(errors="surrogateescape")


def parse(data: bytes) -> UidList | None:
    """Read the file; None for one that cannot be trusted: then Dovecot makes a new one."""
    head, *lines = data.decode(errors="surrogateescape").split("\n")
    keys: tuple[str, ...] = ()
    if old := _OLD_HEADER.fullmatch(head):
        validity, next_uid, record = int(old[1]), int(old[2]), _OLD_RECORD
    elif found := _HEADER.fullmatch(head):
        words = found[1].split()
        numbers = {word[0]: int(word[1:]) for word in words if word[0] in "VN" and word[1:].isdecimal()}
        validity, next_uid = numbers.get("V", 0), numbers.get("N", 0)
        keys, record = tuple(word for word in words if word[0] not in "VN"), _RECORD
    else:
        return None
    records = _records(lines, record)
    if records is None or not (0 < validity <= MAX_UID and 0 < next_uid <= MAX_UID):
        return None
    return UidList(validity, max(next_uid, 1 + _last(records)), keys, records)


def _records(lines: list[str], record: re.Pattern[str]) -> dict[str, tuple[int, str]] | None:
    records: dict[str, tuple[int, str]] = {}
    last = 0
    for line in lines:
        if not line:
            continue
        found = record.fullmatch(line)
        if found is None or not last < int(found[1]) < MAX_UID:
            return None
        last = int(found[1])
        unique = FileName.parse(found[found.re.groups]).unique
        records.pop(unique, None)  # the later line counts, and stands where its UID belongs
        records[unique] = (last, found[2])
    return records


def joined(target: UidList | None, source: UidList | None, taken: Mapping[str, str]) -> UidList | None:
    """Return the list of a folder after messages were taken into it; None when UIDs cannot stay or need no change.

    ``taken`` leads from the name in the source to that in the folder. UIDs stay when the folder has given none yet, or
    when it goes on where an earlier import of the same folder stopped.
    """
    if source is None:
        return None
    new = [(taken[unique], record) for unique, record in source.records.items() if unique in taken]
    new = [(unique, record) for unique, record in new if is_sound(unique)]
    if target is None or not target.records:
        return UidList(source.validity, source.next_uid, source.keys, dict(new))
    if target.validity != source.validity:
        return None
    added = {unique: record for unique, record in new if record[0] >= target.next_uid and unique not in target.records}
    if not added:
        return None
    return UidList(target.validity, max(target.next_uid, source.next_uid), target.keys, {**target.records, **added})


def kept(listed: UidList | None, source: UidList | None, taken: Iterable[tuple[str, str]]) -> bool:
    """Whether every message that had a UID has the same one now."""
    if source is None or listed is None or listed.validity != source.validity:
        return False
    return all(
        unique not in source.records or listed.records.get(now, (0,))[0] == source.records[unique][0]
        for unique, now in taken
    )


def _last(records: dict[str, tuple[int, str]]) -> int:
    return next((uid for uid, _ in reversed(records.values())), 0)
