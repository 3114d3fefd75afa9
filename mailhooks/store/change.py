"""One change of the directory: several writes that become true together or not at all."""

from __future__ import annotations

from mailhooks.store.domain_changes import DomainChanges
from mailhooks.store.other_changes import AppPasswordChanges, PreferenceChanges, RelayChanges, SenderChanges
from mailhooks.store.sending import SendingChanges
from mailhooks.store.sieve_changes import SieveChanges
from mailhooks.store.throttling import ThrottleChanges


class Change(
    DomainChanges,
    AppPasswordChanges,
    SenderChanges,
    RelayChanges,
    PreferenceChanges,
    SieveChanges,
    ThrottleChanges,
    SendingChanges,
):
    """What can be written; made by ``Store.change``.

    Input may be in any spelling and is brought to its canonical text here. Every method raises Refused, with the
    reason, or NotFound; whoever lets that pass out of the ``with`` has changed nothing. Whether targets of aliases
    exist, and whether aliases loop, is asked of the final state, so that things may be made in any order.
    """

    def begin(self) -> None:
        """Begin the books; Store.change calls it first."""
        self._open_books()

    def check(self) -> None:
        """Check the state so far as ``finish`` will, for a change that is only rehearsed. Raises Refused."""
        self._check_aliases()

    def finish(self) -> None:
        """Check the final state and close the books; Store.change calls it last. Raises Refused."""
        self._check_aliases()
        self._close_books()
