"""The store of accounts: frozen values, one class that answers and changes, four kinds of errors."""

from mailhooks.store.backup import backup, check, restore, upgrade
from mailhooks.store.batch import Batch
from mailhooks.store.change import Change
from mailhooks.store.errors import NotFound, Refused, StoreError, Unavailable
from mailhooks.store.ledger import UNSET
from mailhooks.store.mailbox_changes import NewMailbox, Removal
from mailhooks.store.model import (
    ALL_SERVICES,
    Alias,
    AppPassword,
    AuditEntry,
    Domain,
    Grant,
    LastLogin,
    Mailbox,
    Posting,
    Preference,
    Relay,
    Service,
    SieveScript,
    State,
    Usage,
)
from mailhooks.store.store import Store, open_store

__all__ = [
    "ALL_SERVICES",
    "UNSET",
    "Alias",
    "AppPassword",
    "AuditEntry",
    "Batch",
    "Change",
    "Domain",
    "Grant",
    "LastLogin",
    "Mailbox",
    "NewMailbox",
    "NotFound",
    "Posting",
    "Preference",
    "Refused",
    "Relay",
    "Removal",
    "Service",
    "SieveScript",
    "State",
    "Store",
    "StoreError",
    "Unavailable",
    "Usage",
    "backup",
    "check",
    "open_store",
    "restore",
    "upgrade",
]
