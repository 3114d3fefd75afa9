"""The Sieve scripts that are kept in the store, for Pigeonhole's dict storage (lib-sieve/storage/dict/).

``priv/sieve/name/<script>`` is the id of a script, ``priv/sieve/data/<id>`` its text. Under the name ``active`` is
whichever script is active. Pigeonhole keeps the compiled script by id and asks for the text only when the id is new to
it, so that an id belongs to one text for ever. It only reads; scripts are written by ``mailhooks sieve``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailhooks.address import fold
from mailhooks.dicts.namespace import MAX_NUMBER_DIGITS, Operation, Write
from mailhooks.store import Refused, Store

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NAME = "priv/sieve/name/"
DATA = "priv/sieve/data/"
ACTIVE = "active"


class Sieve:
    """``priv/sieve/`` of each user."""

    everybody = False

    def lookup(self, store: Store, key: str, user: str) -> str | None:
        """The id of a name, or the text of an id."""
        address = fold(user)
        if address is None:
            return None
        if key.startswith(NAME):
            name = key.removeprefix(NAME)
            number = store.sieve_id(address, None if name == ACTIVE else name)
            return None if number is None else str(number)
        digits = key.removeprefix(DATA)
        if not key.startswith(DATA) or not (digits.isascii() and digits.isdigit()) or len(digits) >= MAX_NUMBER_DIGITS:
            return None
        return store.sieve_text(address, int(digits))

    def rows(self, store: Store, path: str, user: str) -> Iterable[tuple[str, str]]:  # noqa: ARG002 - all are few
        """The names with their ids."""
        address = fold(user)
        for script in store.sieve_scripts(address) if address else ():
            yield f"{NAME}{script.name}", str(script.id)
            if script.active:
                yield f"{NAME}{ACTIVE}", str(script.id)

    def prepare(self, operations: Sequence[Operation], user: str) -> Write:  # noqa: ARG002 - refused, whatever it is
        """Refuse: Pigeonhole's dict storage does not write."""
        raise Refused("the sieve dict is read only: scripts are written by mailhooks sieve put")
