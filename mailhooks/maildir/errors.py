"""What ends an import of a Maildir; what was taken until then stays, and the next run goes on from there."""

from __future__ import annotations


class MaildirError(Exception):
    """The source or the mailbox cannot be used as it is; the text names the cure."""


class Busy(MaildirError):
    """It cannot be done now: another holds the mailbox, or the disk is full."""
