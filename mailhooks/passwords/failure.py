"""A hash that could not be computed here and now, for want of memory mostly: our own failure, and no wrong password."""


class NotComputed(Exception):
    """Nothing was found out about the password."""
