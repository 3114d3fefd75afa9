"""The file ``users``: a Dovecot passwd-file (src/auth/db-passwd-file.c).

``user:{SCHEME}hash:uid:gid:gecos:home:shell:extra fields``; what stands behind the hash may be missing. Of the extra
fields the quota counts, ``nologin``, and ``mailhooks_state`` and ``mailhooks_allow``, in which an export keeps what a
passwd-file cannot say. Everything else is named and not used.

Sizes: a quota rule counts ``storage`` in KiB unless a letter says otherwise, ``bytes`` in bytes (quota-plugin 2.3);
``quota_storage_size`` counts bytes (2.4).
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from functools import lru_cache

from mailhooks.seed.tables import spell
from mailhooks.store.model import ALL_SERVICES, Mailbox, Service, State

FIELDS = 8
RULES = 1000  # quota rules remembered: a site has few, and each stands in thousands of lines
MAX_BYTES = 2**63 - 1  # what the store keeps

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"@')
_SIZE = re.compile(r"(\d{1,19})([bkmgt]?)(?:i?b)?", re.IGNORECASE | re.ASCII)
_UNITS = {"b": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
_NO_HASH = frozenset(("", "!", "*", "x", "!!"))  # as shadow(5) locks an account
_QUOTAS = ("userdb_quota_rule", "quota_rule")
_SIZES = ("userdb_quota_storage_size", "quota_storage_size")


@dataclass(slots=True)
class User:
    """What one line says."""

    login: str
    hash: str | None = field(repr=False)
    name: str = ""
    quota: int | None = None  # 0: no limit; None: not said
    state: State = State.ACTIVE
    allow: frozenset[Service] = ALL_SERVICES
    unused: tuple[str, ...] = ()  # what has no meaning here


def parse(line: str) -> User:
    """Read one line. Raises ValueError with what is wrong; the hash stands in no message."""
    login = _QUOTED.match(line)
    at = login.end() if login else 0
    found = line[at:].split(":", FIELDS - 1)
    if len(found) < 2 or (line[0] == '"' and not login):  # noqa: PLR2004 - name and hash
        raise ValueError(
            "is no line of a passwd-file: expected user:{SCHEME}hash:uid:gid:gecos:home:shell:extra fields"
        )
    name, hashed, uid, gid, gecos, home, shell, extra = found + [""] * (FIELDS - len(found))
    user = User(line[:at] + name, None if hashed in _NO_HASH else hashed, gecos.strip())
    unused = [what for what, value in (("uid", uid), ("gid", gid), ("home", home), ("shell", shell)) if value]
    for word in extra.split():
        key, _, value = word.partition("=")
        if not _take(user, key, value):
            unused.append(key)
    if unused:
        user.unused = tuple(dict.fromkeys(unused))
    return user


def line(mailbox: Mailbox, quota: int | None) -> str:
    """Write one line; ``quota`` is the limit in force, None when there is none."""
    extra = []
    if quota is not None:
        extra.append(f"userdb_quota_rule=*:storage={_spelt(quota)}")
    if mailbox.state is not State.ACTIVE:
        extra.append(f"mailhooks_state={mailbox.state}")
    if mailbox.allow != ALL_SERVICES:
        extra.append(f"mailhooks_allow={','.join(sorted(mailbox.allow)) or 'none'}")
    fields = [spell(mailbox.address), _hash(mailbox.password), "", "", name(mailbox), "", "", " ".join(extra)]
    return ":".join(fields)


def name(mailbox: Mailbox) -> str:
    """The person's name as far as the file can hold it: all of it, or nothing."""
    return mailbox.name if ":" not in mailbox.name and mailbox.name == mailbox.name.strip() else ""


def _take(user: User, key: str, value: str) -> bool:
    if key in _QUOTAS:
        user.quota = _rule(value)
    elif key in _SIZES:
        user.quota = _bytes(value, 1)
    elif key == "nologin":
        user.state = State.NO_LOGIN
    elif key == "mailhooks_state":
        user.state = State(value)
    elif key == "mailhooks_allow":
        user.allow = frozenset(map(Service, value.split(","))) if value != "none" else frozenset()
    else:
        return False
    return True


@lru_cache(maxsize=RULES)
def _rule(text: str) -> int:
    """Read the storage limit of a quota rule for all mailboxes: ``*:storage=1G``. Raises ValueError."""
    folder, _, limits = text.partition(":")
    for limit in limits.split(":"):
        kind, _, value = limit.partition("=")
        if folder == "*" and kind in ("storage", "bytes"):
            return _bytes(value, 2**10 if kind == "storage" else 1)
    raise ValueError(f"has the quota rule {text!r}: expected one like *:storage=1G")


def _bytes(text: str, unit: int) -> int:
    match = _SIZE.fullmatch(text)
    count = int(match[1]) * (_UNITS[match[2].lower()] if match[2] else unit) if match else -1
    if not 0 <= count <= MAX_BYTES:
        raise ValueError(f"has the quota {text!r}: expected a size like 500M or 1G")
    return count


def _spelt(count: int) -> str:
    letter = next((letter for letter in "tgmk" if count and count % _UNITS[letter] == 0), "b")
    return f"{count // _UNITS[letter]}{letter.upper()}"


def _hash(stored: str | None) -> str:
    """Spell a hash for one field: text that would end the field or the line is written in base64."""
    if stored is None:
        return ""
    if ":" not in stored and stored.isprintable() and stored == stored.strip():
        return stored
    scheme, _, body = stored[1:].partition("}")
    return f"{{{scheme}.B64}}{base64.b64encode(body.encode()).decode()}"
