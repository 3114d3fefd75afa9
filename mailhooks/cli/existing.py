"""What a command is about must be there: else one line says so, and the exit code is 1, whatever the command.

What is *given* for something new (its domain, its targets) is input; where that does not exist, the code is 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailhooks.address import display
from mailhooks.store import NotFound

if TYPE_CHECKING:
    from mailhooks.store import Store
    from mailhooks.store.model import Domain, Mailbox


def account(store: Store, address: str) -> Mailbox:
    """Return an account. Raises NotFound."""
    found = store.mailbox(address)
    if found is None:
        raise NotFound(f"there is no account {display(address)}")
    return found


def domain(store: Store, name: str) -> Domain:
    """Return a domain, hosted or alias. Raises NotFound."""
    found = store.domain(name)
    if found is None:
        raise NotFound(f"there is no domain {display(name)}")
    return found


def scope(store: Store, whose: str) -> None:
    """Make sure of an account, or of a ``@domain``. Raises NotFound."""
    if whose.startswith("@"):
        domain(store, whose[1:])
    else:
        account(store, whose)
