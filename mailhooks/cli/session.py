"""What every command works with: the configuration, and the store opened with the rights of its owner."""

from __future__ import annotations

import dataclasses
import os
import pwd
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mailhooks import config as configuration
from mailhooks.cli import names, owner
from mailhooks.cli.errors import BadInput
from mailhooks.store import Unavailable, open_store, schema
from mailhooks.store.keyfile import KeyFile
from mailhooks.store.url import sqlite_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailhooks.config import Config
    from mailhooks.store import Change, Store

# A change is live when the command returns: every process of this machine takes a fresh snapshot at least this often.
SETTLE_SECONDS = 0.05
IMPORTED = ("hostname", "relayhost")  # settings that `import seed` keeps from the old main.cf
STATE_MODE = 0o750  # of a state directory made here: the daemon's own, readable for its group


@dataclass
class Session:
    """One run of the command line."""

    config_path: Path | None = None
    store_url: str | None = None

    @cached_property
    def config(self) -> Config:
        """The configuration. Raises ConfigError."""
        config = configuration.load(self.config_path, store=self.store_url)
        names.check(config)
        return config

    @cached_property
    def state_directory(self) -> Path:
        """Where the store lives, or with PostgreSQL the key and this machine's snapshot."""
        store = self.config.store
        if store.url.startswith("postgresql:"):
            return Path(store.snapshot).parent
        return sqlite_path(store.url).parent

    @property
    def hold(self) -> float:
        """For how many seconds a removed address is not given out again."""
        return self.config.mail.address_hold_days * 86_400

    @contextmanager
    def reading(self) -> Iterator[Store]:
        """Open the store to ask it. Raises Unavailable, also when there is none: asking never makes one."""
        with self.owner(), self._open(create=False) as store:
            yield store

    @contextmanager
    def opened(self) -> Iterator[Store]:
        """Open the store to change it; it is made at need."""
        self.make_state_directory()
        with self.owner(), self._open(create=True) as store:
            yield store

    @contextmanager
    def changing(self) -> Iterator[Change]:
        """Make one change: all of it or nothing, and live everywhere on this machine when this returns."""
        with self.opened() as store:
            with store.change(who()) as change:
                yield change
            settle()

    def completed(self, config: Config) -> Config:
        """Take from the store what the configuration is silent about: the host names that an import found."""
        server = config.server
        try:
            with self.reading() as store:
                silent = [name for name in IMPORTED if not getattr(server, name)]
                found: dict[str, Any] = {name: value for name in silent if (value := store.setting(name))}
        except Unavailable:
            return config  # an import can't have been before the store
        return dataclasses.replace(config, server=dataclasses.replace(server, **found))

    @contextmanager
    def owner(self) -> Iterator[None]:
        """Work as the owner of the state directory."""
        if not self.state_directory.is_dir():
            yield
            return
        schema.migrations()  # read now: the owner need not be able to read this installation
        with owner.owner_of(self.state_directory):
            yield

    @contextmanager
    def _open(self, *, create: bool) -> Iterator[Store]:
        settings = self.config.store
        delimiter = self.config.mail.recipient_delimiter
        if create:
            # A store without a key would answer, and say of every address that there is none.
            schema.create(sqlite_path(settings.url), before=KeyFile(Path(settings.key_file)).ensure)
        store = open_store(settings.url, key_file=settings.key_file, create=create, delimiter=delimiter)
        try:
            yield store
        finally:
            store.close()

    def make_state_directory(self) -> None:
        """Make the directory of a store that is about to be made, for the user that the daemon runs as."""
        directory = self.state_directory
        if directory.exists():
            return
        if os.geteuid() != 0:
            raise BadInput(f"there is no directory {directory} for the store: make it, or run this as root")
        name = self.config.server.user
        try:
            account = pwd.getpwnam(name)
        except KeyError:
            raise BadInput(
                f"there is no directory {directory} for the store and no user {name} ([server] user) who would own it: "
                "make one of them"
            ) from None
        directory.mkdir(STATE_MODE, parents=True)
        os.chown(directory, account.pw_uid, account.pw_gid)


def settle() -> None:
    """Wait until what was just committed is what every process of this machine answers by."""
    time.sleep(SETTLE_SECONDS)


def who() -> str:
    """Name the person at the keyboard, for the audit log."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())
    behind = os.environ.get("SUDO_USER", "") if os.getuid() == 0 else ""
    return f"{behind} ({name})" if behind.isprintable() and behind else name


reuse_option = click.option("--reuse", is_flag=True, help="Also when the address was removed lately.")
pass_session = click.make_pass_decorator(Session)
