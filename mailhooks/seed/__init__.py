"""The flat files of the mail server image that mailhooks replaces, read into a store and written back.

``aliases``, ``domains``, ``mailboxes`` and ``relay-sasl`` are Postfix tables, ``users`` is a Dovecot passwd-file, and
of ``main.cf`` three values count. One file here for each format; ``files`` reads and writes them, ``load`` makes a
store's rows of them, ``dump`` makes them of a store.
"""

from mailhooks.seed.dump import Dump, dump
from mailhooks.seed.files import NAMES, SeedError, read, write
from mailhooks.seed.load import Loaded, Options, load

__all__ = ["NAMES", "Dump", "Loaded", "Options", "SeedError", "dump", "load", "read", "write"]
