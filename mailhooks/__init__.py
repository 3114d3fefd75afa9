"""One live store of mail accounts for stock Postfix, Dovecot and SpamAssassin."""

__version__ = "0.1.0"
