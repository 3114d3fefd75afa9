"""What Dovecot keeps in a dict: one namespace per file, found by the name that the client puts behind ``proxy:``.

Adding one is a file with a class of three methods (``namespace.Namespace``) and a line in ``NAMESPACES``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailhooks.dicts.acl import Shares
from mailhooks.dicts.lastlogin import LastLogins
from mailhooks.dicts.metadata import Metadata
from mailhooks.dicts.namespace import Namespace, Operation, Write
from mailhooks.dicts.passdb import Passdb, Userdb
from mailhooks.dicts.quota import Quota
from mailhooks.dicts.sieve import Sieve

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mailhooks.userdb import MailSettings

__all__ = ["NAMESPACES", "Namespace", "Operation", "Write", "chosen"]

# What a user of Dovecot keeps here. The others, which tell of everybody, are made by ``chosen``.
NAMESPACES: Mapping[str, Namespace] = {
    "quota": Quota(),
    "lastlogin": LastLogins(),
    "sieve": Sieve(),
    "metadata": Metadata(),
    "acl": Shares(),
}


def chosen(names: Iterable[str], mail: MailSettings) -> dict[str, Namespace]:
    """Return the namespaces of these names. Raises ValueError, which names those that there are."""
    known = {**NAMESPACES, "passdb": Passdb(mail), "userdb": Userdb(mail)}
    found: dict[str, Namespace] = {}
    for name in names:
        if name not in known:
            raise ValueError(f"{name!r} is none of {', '.join(known)}")
        found[name] = known[name]
    return found
