"""Stops guessing without locking owners out: what to do about one more attempt to log in, by what was tried before.

Pure: no clock, no store, no socket. The model with its numbers is in ``docs/throttle.rst``.
"""

from mailhooks.throttle.model import Guess, Refusal, Scope, Standing, Throttle
from mailhooks.throttle.places import LOOPBACK, SHARED, Place, Places
from mailhooks.throttle.settings import Settings

__all__ = [
    "LOOPBACK",
    "SHARED",
    "Guess",
    "Place",
    "Places",
    "Refusal",
    "Scope",
    "Settings",
    "Standing",
    "Throttle",
]
