"""What can be wrong with the TLS certificates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from mailhooks.doctor.finding import Problem, Severity
from mailhooks.stack import paths

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailhooks.doctor.facts import Certificate, Facts
    from mailhooks.doctor.finding import Finding

AREA = "certificates"

SOON = timedelta(days=14)  # renewal begins a month before the end: two weeks later it has failed more than once
OTHERS_READ = 0o004

UNUSABLE = Problem(
    "certificate-unusable",
    Severity.ERROR,
    "A certificate or its key cannot be used",
    "No TLS: submission and IMAP take no password, other servers send in clear or not at all.",
    "put the certificate with its chain into {file} and its key, without a passphrase, into {key}",
)
EXPIRED = Problem(
    "certificate-expired",
    Severity.ERROR,
    "A certificate is not valid now",
    "Mail programs refuse to connect.",
    "renew {file} (certbot renew), then reload: mailhooks up with SIGHUP; postfix reload; doveadm reload",
)
OTHER_KEY = Problem(
    "certificate-other-key",
    Severity.ERROR,
    "Certificate and key do not belong together",
    "Every TLS handshake fails.",
    "put the key of {file} into {key}, or ask for a new pair",
)
EXPIRING = Problem(
    "certificate-expiring",
    Severity.WARNING,
    "A certificate ends soon",
    "It should have been renewed by now.",
    "renew {file}: certbot renew",
)
OTHER_NAME = Problem(
    "certificate-other-name",
    Severity.WARNING,
    "A certificate does not name this server",
    "Mail programs that were told the server's name warn of it or refuse to connect.",
    "ask for a certificate that names {name} (certbot -d {name}), or set the name: [server] hostname",
)
OPEN_KEY = Problem(
    "certificate-open-key",
    Severity.WARNING,
    "Everybody on this machine can read the private key",
    "Whoever has it can pretend to be this server.",
    "chmod 0600 {key}",
)
SELF_SIGNED = Problem(
    "certificate-self-signed",
    Severity.NOTE,
    "A certificate is self-signed",
    "It encrypts, but every mail program asks its user whether to trust it.",
    "get one from an authority (certbot certonly --standalone -d {name}) and name it in [server] certificate and key",
)


def unusable(facts: Facts) -> Iterator[Finding]:
    """Find files that are not there or hold something else."""
    for each in facts.certificates:
        if each.problem:
            yield UNUSABLE.found(f"{each.used_by}: {each.file}: {each.problem}", **_cure(facts, each))


def expired(facts: Facts) -> Iterator[Finding]:
    """Find certificates that ended, or have not begun; and those that end soon."""
    now = datetime.fromtimestamp(facts.now, UTC)
    for each in _usable(facts):
        if each.begins is None or each.ends is None:
            continue
        if each.ends < now:
            yield EXPIRED.found(f"{each.used_by}: {each.file} ended on {each.ends:%Y-%m-%d}", **_cure(facts, each))
        elif each.begins > now:
            yield EXPIRED.found(
                f"{each.used_by}: {each.file} begins on {each.begins:%Y-%m-%d %H:%M} UTC", **_cure(facts, each)
            )
        elif each.ends < now + SOON:
            yield EXPIRING.found(f"{each.used_by}: {each.file} ends on {each.ends:%Y-%m-%d}", **_cure(facts, each))


def other_key(facts: Facts) -> Iterator[Finding]:
    """Find pairs that are none."""
    for each in _usable(facts):
        if not each.fits_key:
            yield OTHER_KEY.found(f"{each.used_by}: {each.key} is not the key of {each.file}", **_cure(facts, each))


def other_name(facts: Facts) -> Iterator[Finding]:
    """Find certificates without the server's name; RFC 6125: a wildcard stands for one label."""
    name = facts.hostname.lower()
    wildcard = f"*.{name.partition('.')[2]}"
    for each in _usable(facts):
        if not {name, wildcard} & set(each.names):
            names = ", ".join(each.names) or "no host"
            yield OTHER_NAME.found(
                f"{each.used_by}: {each.file} is for {names}, this server is {name}", file=each.file, name=name
            )


def open_key(facts: Facts) -> Iterator[Finding]:
    """Find keys that others can read."""
    for each in _usable(facts):
        if each.key_mode & OTHERS_READ:
            yield OPEN_KEY.found(f"{each.key} has mode {each.key_mode:04o}", key=each.key)


def self_signed(facts: Facts) -> Iterator[Finding]:
    """Find certificates that nobody but us vouches for."""
    for each in _usable(facts):
        if each.self_signed:
            yield SELF_SIGNED.found(f"{each.used_by}: {each.file}", name=facts.hostname)


CHECKS = (unusable, expired, other_key, other_name, open_key, self_signed)


def _usable(facts: Facts) -> Iterator[Certificate]:
    return (each for each in facts.certificates if not each.problem)


def _cure(facts: Facts, each: Certificate) -> dict[str, str]:
    """Name the files that the admin changes: ``up`` lets the daemons use a copy of them."""
    if each.file == str(paths.layout(facts.config).pair):
        return {"file": facts.config.server.certificate, "key": facts.config.server.key}
    return {"file": each.file, "key": each.key}
