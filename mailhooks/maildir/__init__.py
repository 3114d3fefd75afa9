"""Taking a Maildir from another server into a mailbox of this one, while Dovecot serves that mailbox.

One file for each thing that lies in a Maildir: ``names`` (folders), ``message`` (a message's file name), ``uidlist``,
``keywords`` and ``subscriptions`` (Dovecot's own files; pure). ``source`` reads what is taken, ``mailbox`` writes where
it goes, ``transfer`` leads from one to the other. ``entry`` opens hostile directories and files.
"""

from mailhooks.maildir.errors import Busy, MaildirError
from mailhooks.maildir.mailbox import Mailbox
from mailhooks.maildir.names import BadName, Mapping
from mailhooks.maildir.source import MAILDIRPP, Source
from mailhooks.maildir.transfer import Outcome, Transfer

__all__ = ["MAILDIRPP", "BadName", "Busy", "Mailbox", "MaildirError", "Mapping", "Outcome", "Source", "Transfer"]
