"""What can be wrong with the store, the settings of mailhooks itself, the disks and the clock."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mailhooks.doctor.finding import Problem, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailhooks.doctor.facts import Facts
    from mailhooks.doctor.finding import Finding

AREA = "mailhooks and the machine"

LOW_SHARE = 0.05  # of a file system, from which it is called low
ENOUGH = 5 * 2**30  # bytes: on a large disk one per cent is still plenty
ENOUGH_FILES = 100_000
POSTFIX_NEEDS = 1.5  # times message_size_limit: below it smtpd says 452 (postconf(5), queue_minfree)
OTHERS = 0o077  # who is not the owner
CLOCK_SECONDS = 300.0  # by which a change may seem to come from the future: logs of two machines differ that much

STORE = Problem(
    "store-unavailable",
    Severity.ERROR,
    "The store cannot be asked",
    "Everybody hears a temporary error: no mail comes in, nobody logs in.",
    "{cure}",
)
OWNER = Problem(
    "store-owner",
    Severity.ERROR,
    "A file of the store belongs to somebody else than its directory",
    "The daemon, whose the directory is, cannot write it: a temporary error for everybody as soon as it has to.",
    "chown {owner} {path}",
)
FULL = Problem(
    "disk-full",
    Severity.ERROR,
    "A disk is full",
    "Postfix takes no mail (452), or mailhooks cannot write: a temporary error for everybody.",
    "make room on the file system of {path}: du -xh {path} | sort -h | tail",
)
CLOCK = Problem(
    "clock-behind-store",
    Severity.ERROR,
    "The clock is behind what the store remembers",
    "Limits, expiry and delays are counted by it, and certificates seem not to have begun.",
    "timedatectl set-ntp true",
)
NO_THROTTLE = Problem(
    "throttle-off",
    Severity.ERROR,
    "Nobody stops who guesses passwords",
    "mailhooks is the auth server: Dovecot's own delay and penalty are not there any more.",
    "in mailhooks.toml: {cure}",
)
OPEN_KEY = Problem(
    "store-open-key",
    Severity.WARNING,
    "Others can read the key file",
    "It is what keeps the passwords of relay hosts secret when a backup of the store is stolen.",
    "chmod 0600 {path}",
)
LOW = Problem(
    "disk-low",
    Severity.WARNING,
    "A disk is nearly full",
    "When it is, no mail comes in.",
    "make room on the file system of {path}: du -xh {path} | sort -h | tail",
)
UNSYNCHRONISED = Problem(
    "clock-unsynchronised",
    Severity.NOTE,  # a virtual machine may take its time from its host
    "The clock follows no time server",
    "It drifts: logs do not fit those of others, signatures and certificates are judged wrongly.",
    "timedatectl set-ntp true",
)


def store(facts: Facts) -> Iterator[Finding]:
    """Find a store that does not open or answer."""
    if facts.store:
        missing = "no such" in facts.store or "no store" in facts.store
        cure = "restore it (mailhooks store restore FILE), or begin one: mailhooks domain add DOMAIN"
        yield STORE.found(
            facts.store, cure=cure if missing else f"mailhooks store check; url: {facts.config.store.url}"
        )


def owner(facts: Facts) -> Iterator[Finding]:
    """Find files that the owner of the directory cannot write, and a key that others can read."""
    if not facts.state:
        return
    directory, *files = facts.state
    for each in files:
        if each.uid != directory.uid:
            who = f"{each.path} belongs to user {each.uid}, {directory.path} to user {directory.uid}"
            yield OWNER.found(who, owner=f"{directory.uid}:{directory.gid}", path=each.path)
        if each.path == facts.config.store.key_file and each.mode & OTHERS:
            yield OPEN_KEY.found(f"{each.path} has mode {each.mode:04o}", path=each.path)


def throttle(facts: Facts) -> Iterator[Finding]:
    """Find settings that leave guessing alone."""
    settings = facts.config.throttle
    if not settings.enabled:
        yield NO_THROTTLE.found("[throttle] enabled is false", cure="[throttle] enabled = true")
    if wide := [each for each in settings.allow if each.endswith("/0")]:
        yield NO_THROTTLE.found(f"[throttle] allow holds {', '.join(wide)}", cure="[throttle] allow = []")


def disks(facts: Facts) -> Iterator[Finding]:
    """Find file systems without room, in bytes or in files."""
    for each in facts.volumes:
        least = POSTFIX_NEEDS * facts.config.server.message_size_limit if each.use == "queue" else 0
        what = f"{each.use} ({each.path}): {each.free // 2**20} MB of {each.size // 2**20} MB free"
        files = f"{each.use} ({each.path}): {each.free_files} of {each.files} files free"
        if each.free <= least:
            yield FULL.found(what, path=each.path)
        elif each.free < min(LOW_SHARE * each.size, ENOUGH):
            yield LOW.found(what, path=each.path)
        if each.files and not each.free_files:
            yield FULL.found(files, path=each.path)
        elif each.files and each.free_files < min(LOW_SHARE * each.files, ENOUGH_FILES):
            yield LOW.found(files, path=each.path)


def clock(facts: Facts) -> Iterator[Finding]:
    """Find a clock that runs behind, or on its own."""
    if facts.newest is not None and facts.newest > facts.now + CLOCK_SECONDS:
        last = datetime.fromtimestamp(facts.newest, UTC)
        now = datetime.fromtimestamp(facts.now, UTC)
        yield CLOCK.found(f"it is {now:%Y-%m-%d %H:%M} UTC, and the store was changed at {last:%Y-%m-%d %H:%M}")
    if facts.synchronised is False:
        yield UNSYNCHRONISED.found("timedatectl: NTPSynchronized=no")


CHECKS = (store, owner, throttle, disks, clock)
