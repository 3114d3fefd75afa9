"""Where everything of one server instance lives, below ``[server] root``.

What is rendered goes to ``run/mailhooks-stack``, which only root writes; so several instances on one machine share
nothing, and a read-only root file system needs no more than a writable ``/run`` for it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mailhooks.config import Config, ConfigError

# What Postfix, Dovecot and SpamAssassin all read without quoting.
_PLAIN_PATH = re.compile(r"/[A-Za-z0-9._/-]*")
_SQLITE = "sqlite:///"


@dataclass(frozen=True)
class Layout:
    """The directories and files of one instance."""

    root: Path
    state: Path  # the store's directory
    mail: Path  # the part of [mail] home that no user's name changes
    preferences: Path

    @property
    def stack(self) -> Path:
        """Everything rendered."""
        return self.root / "run/mailhooks-stack"

    @property
    def staging(self) -> Path:
        """What is rendered and not yet judged."""
        return self.stack / "staging"

    @property
    def admin(self) -> Path:
        """The admin's own: mailhooks.toml, and the drop-ins beside it."""
        return self.root / "etc/mailhooks"

    @property
    def postfix_config(self) -> Path:
        """main.cf and master.cf."""
        return self.stack / "postfix"

    @property
    def postfix_data(self) -> Path:
        """What Postfix can make again: locks, TLS session caches."""
        return self.stack / "postfix-data"

    @property
    def queue(self) -> Path:
        """Postfix's queue."""
        return self.root / "var/spool/postfix"

    @property
    def queue_counts(self) -> Path:
        """How many messages are in the queue, for the daemon's metrics."""
        return self.stack / "queue-counts"

    @property
    def log_counts(self) -> Path:
        """What the daemon's user counted in the stock daemons' log, in a directory of its own."""
        return self.stack / "log-counts/counts"

    @property
    def http_token(self) -> Path:
        """The daemon's own copy of [http] token_file, which only root may be able to read."""
        return self.stack / "http-token"

    @property
    def dovecot_config(self) -> Path:
        """dovecot.conf and the Sieve scripts of the site."""
        return self.stack / "dovecot"

    @property
    def sieve_programs(self) -> Path:
        """What the site's Sieve scripts may run: one link to the Python interpreter."""
        return self.stack / "sieve-programs"

    @property
    def self_signed(self) -> Path:
        """The pair made at the start where the configured place is read-only."""
        return self.stack / "self-signed"

    @property
    def pair(self) -> Path | None:
        """The certificate and key that the daemons present: a copy that changes only as a whole."""
        return self.stack / "tls/pair.pem"

    @property
    def chain(self) -> Path:
        """The certificate of that pair without its key, which everybody may read, for the daemon's metrics."""
        return self.stack / "tls/chain.pem"

    @property
    def dovecot_state(self) -> Path:
        """What Dovecot can make again."""
        return self.stack / "dovecot-state"

    @property
    def dovecot_base(self) -> Path:
        """Dovecot's own sockets."""
        return self.root / "run/dovecot"

    @property
    def lmtp(self) -> Path:
        """Where Dovecot takes mail from Postfix, in the directory that only Postfix enters."""
        return self.queue / "private/dovecot-lmtp"

    @property
    def spamassassin_config(self) -> Path:
        """local.cf."""
        return self.stack / "spamassassin"

    @property
    def bayes(self) -> Path:
        """What SpamAssassin learned; it survives restarts beside the store."""
        return self.state / "bayes"

    @property
    def spam_rules(self) -> Path:
        """What sa-update fetched; it survives restarts, too."""
        return self.state / "spam-rules"

    @property
    def rules(self) -> Path:
        """A link to the rules that spamd starts with."""
        return self.stack / "spam-rules"


class DistributionLayout(Layout):
    """Where Debian's own services look, for a site whose Postfix, Dovecot and SpamAssassin they start."""

    @property
    def postfix_config(self) -> Path:
        """main.cf and master.cf."""
        return self.root / "etc/postfix"

    @property
    def postfix_data(self) -> Path:
        """What Postfix can make again."""
        return self.root / "var/lib/postfix"

    @property
    def dovecot_config(self) -> Path:
        """dovecot.conf and the Sieve scripts of the site."""
        return self.root / "etc/dovecot"

    @property
    def sieve_programs(self) -> Path:
        """What the site's Sieve scripts may run."""
        return self.dovecot_config / "sieve-programs"

    @property
    def pair(self) -> Path | None:
        """None: the distribution's services read the admin's own files."""
        return None

    @property
    def dovecot_state(self) -> Path:
        """What Dovecot can make again."""
        return self.root / "var/lib/dovecot"

    @property
    def spamassassin_config(self) -> Path:
        """mailhooks.cf, beside the distribution's files."""
        return self.root / "etc/spamassassin"

    @property
    def bayes(self) -> Path:
        """What SpamAssassin learned: the home of spamd's user."""
        return self.root / "var/lib/spamassassin/.spamassassin"


def layout(config: Config, kind: type[Layout] = Layout) -> Layout:
    """Work out where the instance of this configuration lives. Raises ConfigError for a path no daemon would read."""
    url = config.store.url
    database = Path(url[len(_SQLITE) :] if url.startswith(_SQLITE) else config.store.snapshot)
    found = kind(
        root=Path(config.server.root),
        state=database.parent,
        mail=mail_base(config.mail.home),
        preferences=Path(config.spam.preferences),
    )
    for key, path in (
        ("server.root", found.root),
        ("store.url", found.state),
        ("mail.home", found.mail),
        ("spam.preferences", found.preferences),
        ("server.certificate", Path(config.server.certificate)),
        ("server.key", Path(config.server.key)),
    ):
        check_plain(str(path), key)
    return found


def check_plain(path: str, key: str) -> None:
    """Raise ConfigError unless the path is absolute and needs no quoting in any daemon's file."""
    if not _PLAIN_PATH.fullmatch(path) or ".." in PurePosixPath(path).parts:
        raise ConfigError(f"{key}: {path!r} must be an absolute path of letters, digits and ._-/ only")


def mail_base(home: str) -> Path:
    """Return the directory above all mailboxes: /var/mail for /var/mail/%d/%n."""
    fixed = home.split("%", 1)[0]
    return Path(fixed if fixed.endswith("/") else str(PurePosixPath(fixed).parent))
