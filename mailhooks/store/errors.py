"""What can go wrong with the store: four different things, never folded into one.

A row that is not there is no error for a lookup: it is ``None``. The errors here are for everything else.
"""

from __future__ import annotations


class StoreError(Exception):
    """Base of all errors of the store; its text is one sentence for an admin and holds no secret."""


class Unavailable(StoreError):
    """The store cannot answer now: every client must hear "try again", never "no"."""


class Refused(StoreError):
    """The change asked for is not allowed; the text says why and what to do. Nothing was changed."""


class NotFound(StoreError):
    """The change names something that does not exist. Nothing was changed."""
