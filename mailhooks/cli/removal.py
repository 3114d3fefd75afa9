"""Removing accounts, and making them again: the rows and the mail together, or neither."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from mailhooks.cli.errors import BadInput, say
from mailhooks.cli.homes import Homes
from mailhooks.cli.owner import root_again
from mailhooks.cli.session import settle, who
from mailhooks.userdb import MailSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mailhooks.cli.session import Session
    from mailhooks.config import MailConfig
    from mailhooks.store import Change, Store


class Aside:
    """Moves homes aside with root's rights, while the change itself is made with the owner's."""

    def __init__(self, settings: MailConfig) -> None:
        self._homes = homes_of(settings)
        self._addresses: list[str] = []

    def move(self, address: str) -> None:
        """Move the home of an account that is being removed. Raises BadInput."""
        path = self._move(address)
        self._addresses.append(address)
        if path:
            say(f"the mail of {address} now lies in {path}")

    def leftover(self, address: str) -> None:
        """Move what lies in the home of an account that is being made again. Raises BadInput."""
        path = self._move(address)
        if path:
            say(f"mail that came for an earlier {address} now lies in {path}")

    def _move(self, address: str) -> Path | None:
        with root_again():
            return self._homes.move(address)

    def undo(self) -> None:
        """Put everything back, for the change was not made."""
        with root_again():
            self._homes.undo()

    def sweep(self) -> None:
        """Move what was delivered while the accounts were being removed."""
        with root_again():
            for address in self._addresses:
                try:
                    self._homes.move(address)
                except BadInput as error:
                    say(f"{address} is removed, but {error}")


def homes_of(settings: MailConfig) -> Homes:
    """Return the homes of a configuration. Raises BadInput when [mail] cannot be."""
    try:
        return Homes(MailSettings(settings.uid, settings.gid, settings.home))
    except ValueError as error:
        raise BadInput(f"[mail] in the configuration: {error}") from error


@contextmanager
def removing(session: Session) -> Iterator[tuple[Change, Aside]]:
    """Make one change that removes accounts; their mail is moved before it is committed and stays when it is not.

    The store's write lock is held meanwhile, so no other command can make the address again in between.
    """
    aside = Aside(session.config.mail)
    with session.opened() as store:
        with _together(store, aside) as change:
            yield change, aside
        settle()
        aside.sweep()


@contextmanager
def adding(session: Session) -> Iterator[tuple[Store, Change]]:
    """Make one change that adds accounts; what an earlier account left in the home of one is moved aside with it.

    Mail that lies ready for an address which never was removed here stays: that is how old mail is brought along.
    """
    aside = Aside(session.config.mail)
    with session.opened() as store:
        with _together(store, aside) as change:
            yield store, change
            for address in change.made_again:
                aside.leftover(address)
        settle()


@contextmanager
def _together(store: Store, aside: Aside) -> Iterator[Change]:
    try:
        with store.change(who()) as change:
            yield change
    except BaseException:
        aside.undo()
        raise
