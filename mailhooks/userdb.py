"""What Dovecot needs to know of a user: uid, gid, home and quota, in the words of the generation that asks.

Protocol: Dovecot src/lib-auth/auth-master.c (2.3) and src/lib-auth-client/auth-master.c (2.4): fields of a USER reply;
numeric ids, an absolute home. An account that receives no mail does not exist for delivery (lmtp, lda, quota-status)
but for everything else: its owner may log in and read, and doveadm works on any account. Whether someone may log in
is passdb's business.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mailhooks import address as addresses

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailhooks.store import Store

Generation = Literal["2.3", "2.4"]

# Services that ask in order to deliver: an account that does not receive is "no such user" for them.
DELIVERY = frozenset({"lmtp", "lda", "quota-status"})

_VARIABLE = re.compile(r"%(.?)", re.DOTALL)
_KNOWN = frozenset("dnu")

# RFC 5321 atext and the dot, less "/" (a directory), "%" (Dovecot's variables) and "=" (the escape itself).
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$&'*+-.?^_`{|}~")


@dataclass(frozen=True, slots=True)
class MailSettings:
    """Whose files the mail is, and where. Raises ValueError for what Dovecot would refuse."""

    uid: int
    gid: int
    home: str  # template: %d domain, %n local part, %u address

    def __post_init__(self) -> None:
        if self.uid < 1 or self.gid < 1:
            raise ValueError("mail.uid and mail.gid are above zero: Dovecot refuses root")
        if not self.home.startswith("/"):
            raise ValueError("mail.home is an absolute path")
        used = set(_VARIABLE.findall(self.home))
        if not used <= _KNOWN:
            raise ValueError("mail.home knows %d (domain), %n (local part) and %u (address) only")
        if not used & {"n", "u"}:
            raise ValueError("mail.home contains %n or %u, else all users would share one home")


def fields(
    store: Store, address: str, mail: MailSettings, generation: Generation, *, service: str = ""
) -> dict[str, str] | None:
    """The userdb fields of an account in the order of the reply; None: no such user. Raises Unavailable."""
    canonical = addresses.fold(address)
    mailbox = store.mailbox(canonical) if canonical is not None else None
    if mailbox is None or (service in DELIVERY and not mailbox.state.receives):
        return None
    answer = {"uid": str(mail.uid), "gid": str(mail.gid), "home": home(mailbox.address, mail)}
    if mailbox.quota:
        answer |= _quota(mailbox.quota, generation)
    return answer


def users(store: Store, mask: str = "*") -> Iterator[str]:
    """The addresses that match a LIST mask, in which ``*`` is any text and ``?`` any character. Raises Unavailable."""
    folded = mask.lower()
    for mailbox in store.mailboxes():
        if folded == "*" or matches(folded, mailbox.address):
            yield mailbox.address


def home(address: str, mail: MailSettings) -> str:
    """The home of a canonical address: never outside the template's directory, never the home of another."""
    local, _, domain = address.rpartition("@")
    values = {"d": _component(domain), "n": _component(local), "u": _component(address)}
    return _VARIABLE.sub(lambda variable: values[variable[1]], mail.home)


def matches(mask: str, text: str) -> bool:
    """Match a wildcard mask, in time bounded by the product of both lengths (Dovecot src/lib/wildcard-match.c)."""
    at, place, star, resume = 0, 0, -1, 0
    while at < len(text):
        if place < len(mask) and mask[place] == "*":
            star, resume = place, at
            place += 1
        elif place < len(mask) and mask[place] in ("?", text[at]):
            at += 1
            place += 1
        elif star >= 0:
            resume += 1
            at, place = resume, star + 1
        else:
            return False
    return mask[place:].strip("*") == ""


def _quota(limit: int, generation: Generation) -> dict[str, str]:
    # Both with the unit: 2.3 takes a bare number as KiB (quota-plugin.c), 2.4 as bytes.
    if generation == "2.3":
        return {"quota_rule": f"*:storage={limit}B"}
    return {"quota_storage_size": f"{limit}B"}


def _component(text: str) -> str:
    """One path component that names ``text`` and nothing else: what could mean more to a path is written =XX."""
    return "".join(
        character if character in _PLAIN and not (index == 0 and character == ".") else _escape(character)
        for index, character in enumerate(text)
    )


def _escape(character: str) -> str:
    if character == "@" or (not character.isascii() and character.isalnum()):
        return character
    return "".join(f"={byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))
