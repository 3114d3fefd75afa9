"""The directories of one instance: made at need, with the owners that each daemon insists on.

Root makes them, partly inside directories that other users own, so nothing here follows a symbolic link. Files are
rendered only where nobody but root can write; anything else is refused with the cure.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mailhooks.config import Config, ConfigError
from mailhooks.stack import paths, render, sockets

if TYPE_CHECKING:
    from collections.abc import Iterator

SYSTEM_RULES = Path("/usr/share/spamassassin")
SYSTEM_STATE = Path("/var/lib/spamassassin")  # where the distribution's own sa-update puts newer ones

OPEN = 0o755  # the daemons' own users pass through


@dataclass(frozen=True)
class Account:
    """A user of this machine, by numbers."""

    uid: int
    gid: int


ROOT = Account(0, 0)


def account(name: str, cure: str) -> Account:
    """Look a user up. Raises ConfigError, which names the cure."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise ConfigError(f"there is no user {name} on this machine: {cure}") from None
    return Account(entry.pw_uid, entry.pw_gid)


def group(name: str, cure: str) -> int:
    """Look a group up. Raises ConfigError, which names the cure."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise ConfigError(f"there is no group {name} on this machine: {cure}") from None


def service_account(config: Config) -> Account:
    """Return the user that ``serve`` runs as. Raises ConfigError when there is none, or when it is root."""
    name = config.server.user
    found = account(
        name,
        f"useradd --system --user-group --no-create-home --shell /usr/sbin/nologin {name}, or name another"
        " one in server.user",
    )
    if found.uid == 0:
        raise ConfigError("server.user is root: mailhooks needs no such rights, name a user of its own")
    return found


def service_groups(config: Config) -> tuple[int, ...]:
    """Return the groups to which ``serve`` gives its sockets: of Postfix, of Dovecot's login processes, of the mail."""
    postfix = account(render.POSTFIX_USER, "apt-get install postfix").gid
    dovecot = account(render.DOVECOT_LOGIN_USER, "apt-get install dovecot-core").gid
    return postfix, dovecot, config.mail.gid


@contextmanager
def as_service(config: Config) -> Iterator[None]:
    """Do what is done meanwhile with the rights of ``serve``: for one thread, before others are started."""
    user, groups = service_account(config), service_groups(config)
    before = os.getgroups()
    os.setgroups(sorted({user.gid, *groups}))
    os.setegid(user.gid)
    os.seteuid(user.uid)
    try:
        yield
    finally:
        os.seteuid(ROOT.uid)
        os.setegid(ROOT.gid)
        os.setgroups(before)


def make(config: Config) -> None:
    """Make what is missing. Raises ConfigError when a directory is not as safe as it must be."""
    where = paths.layout(config)
    service, postfix = service_account(config), account(render.POSTFIX_USER, "apt-get install postfix")
    mail = Account(config.mail.uid, config.mail.gid)
    for directory in (where.postfix_config, where.dovecot_config, where.spamassassin_config, where.sieve_programs):
        ensure(directory, ROOT, OPEN)
        check_safe(directory)
    for directory in (where.queue, where.dovecot_state, where.dovecot_base):
        ensure(directory, ROOT, OPEN)
    ensure(where.postfix_data, postfix, 0o700)
    ensure(where.log_counts.parent, service, OPEN)
    for key in ("socketmap", "policy", "postfix_auth"):
        if path := sockets.find(getattr(config.listen, key), key).path:
            # Set-gid: the sockets belong to Postfix's group, as its daemons' users must be able to write to them.
            ensure(Path(path).parent, Account(service.uid, postfix.gid), 0o2750)
    for key in ("login", "auth_master", "auth_userdb", "dict"):
        ensure(Path(sockets.find_path(getattr(config.listen, key), key)).parent, service, OPEN)
    ensure(where.state, service, 0o751)  # spamd passes through to the preferences
    ensure(where.preferences.parent, service, OPEN)
    _mail_directory(where.mail, mail)
    if config.server.spam_filter:
        spam = account(render.SPAM_USER, "apt-get install spamd")
        ensure(where.bayes, spam, 0o700)
        ensure(where.spam_rules, spam, OPEN)
    _links(where)


def ensure(directory: Path, owner: Account, mode: int) -> None:
    """Make a directory, and those above it for root, or take over an empty one of root's.

    Raises ConfigError for one that belongs to somebody else: it is not ours to give away.
    """
    if not directory.parent.exists():
        ensure(directory.parent, ROOT, OPEN)
    try:
        made = _mkdir(directory)
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise ConfigError(f"cannot use the directory {directory}: {error.strerror}") from error
    try:
        status = os.fstat(descriptor)
        if status.st_uid != owner.uid and not made and (status.st_uid != 0 or any(directory.iterdir())):
            raise ConfigError(f"{directory} belongs to another user: chown {owner.uid}:{owner.gid} {directory}")
        if made or owner != ROOT:
            os.fchown(descriptor, owner.uid, owner.gid)
            os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def _mkdir(directory: Path) -> bool:
    try:
        directory.mkdir(mode=0o700)
    except FileExistsError:
        return False
    return True


def check_safe(directory: Path) -> None:
    """Raise ConfigError unless only root can change what ``directory`` is, and every daemon can reach it."""
    for path in (directory, *directory.resolve().parents):
        status = path.lstat()
        mode = stat.S_IMODE(status.st_mode)
        others_write = mode & 0o022 and not mode & stat.S_ISVTX
        if status.st_uid != 0 or not stat.S_ISDIR(status.st_mode) or others_write:
            raise ConfigError(f"{path} can be changed by others than root: nothing is rendered below it (server.root)")
        if not mode & 0o001:
            raise ConfigError(
                f"{path} cannot be passed by the daemons' users: chmod o+x, or choose another server.root"
            )


def check_interpreter(user: Account) -> None:
    """Raise ConfigError when the daemons' users cannot run this Python: it lies in somebody's closed home."""
    for path in (sys.executable, str(Path(__file__).parent)):
        for above in Path(path).resolve().parents:
            status = above.stat()
            if not status.st_mode & 0o001 and status.st_uid != user.uid:
                raise ConfigError(
                    f"{path} cannot be reached by other users, since {above} is closed: install elsewhere"
                )


def _mail_directory(directory: Path, owner: Account) -> None:
    """Make the directory of all mailboxes; one to which the mail user's group can write is good as it is."""
    if directory.exists():
        status = directory.stat()
        if status.st_gid == owner.gid and status.st_mode & 0o030 == 0o030:  # noqa: PLR2004 - g+wx
            return
    ensure(directory, owner, 0o750)


def _links(where: paths.Layout) -> None:
    """Link what has to stand at a fixed name: managesieve's way to mailhooks, and the site's Sieve interpreter."""
    where.sieve_programs.joinpath("python").unlink(missing_ok=True)
    where.sieve_programs.joinpath("python").symlink_to(sys.executable)


def link_rules(config: Config) -> None:
    """Lead spamd to the newest rules: ours, those that the machine fetched by itself, or the distribution's."""
    where = paths.layout(config)
    fetched = sorted(path.parent for path in SYSTEM_STATE.glob("[0-9]*/updates_spamassassin_org.cf"))
    current = where.spam_rules / "current"
    where.rules.unlink(missing_ok=True)
    where.rules.symlink_to(current if current.exists() else (fetched[-1] if fetched else SYSTEM_RULES))


def link_auth_sockets(config: Config) -> None:
    """Lead those who know only names in base_dir to mailhooks.

    These are managesieve (pigeonhole src/managesieve/main.c) and ``doveadm auth`` (src/doveadm/doveadm-auth.c).
    """
    for name, hook in (("auth-master", "auth_master"), ("auth-client", "login"), ("auth-login", "login")):
        link = paths.layout(config).dovecot_base / name
        link.unlink(missing_ok=True)
        link.symlink_to(sockets.find_path(getattr(config.listen, hook), hook))
