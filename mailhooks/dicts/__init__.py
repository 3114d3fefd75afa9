"""What Dovecot keeps in a dict: one namespace per file, found by the name that the client puts behind ``proxy:``.

Adding one is a file with a class of three methods (``namespace.Namespace``) and a word in ``NAMESPACES``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailhooks.dicts.lastlogin import LastLogins
from mailhooks.dicts.namespace import Namespace, Operation, Write
from mailhooks.dicts.quota import Quota

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["NAMESPACES", "Namespace", "Operation", "Write"]

NAMESPACES: Mapping[str, Namespace] = {
    "quota": Quota(),
    "lastlogin": LastLogins(),
}
