"""The pair that Postfix and Dovecot present: one file of our own, which changes only from one good pair to another.

The admin's two files are replaced one after the other by whatever renews them, and smtpd reads at each of its starts:
so the daemons never read the admin's files, but a copy in which key and chain lie together. A new pair counts when it
has not changed for one look, can be read, and belongs together; any other keeps the old one, and is told once.
"""

from __future__ import annotations

import re
import ssl
from typing import TYPE_CHECKING, Any

from cryptography import x509
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from mailhooks.config import Config, ConfigError
from mailhooks.stack import files, paths
from mailhooks.stack.certificate import pair
from mailhooks.stack.directories import OPEN, ROOT, ensure

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOOK_SECONDS = 2.0  # between two looks at the admin's files: a renewal counts within twice this time
MAX_BYTES = 1_000_000  # of a chain or key; real ones have some thousands

_KEY = re.compile(rb"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?-----END \1-----", re.DOTALL)
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)

Signature = tuple[tuple[int, int, int], ...]

log = Logger()


class BadPair(Exception):
    """Two files that cannot be presented; the text says why."""


def take(config: Config) -> str | None:
    """Put the admin's pair into its place for the daemons; say until when it is valid, or None when they have it.

    Raises BadPair; then nothing changed.
    """
    certificate, key = pair(config)
    target = _target(config)
    data = together(certificate, key)
    ensure(target.parent, ROOT, OPEN)
    trial = target.with_name("trial.pem")
    files.replace(trial, data, ROOT, 0o600)
    try:
        # No password is asked for: nobody could type it at every start of an smtpd.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(trial, password=lambda: "")
        end = x509.load_pem_x509_certificates(data)[0].not_valid_after_utc
    except (ssl.SSLError, ValueError) as error:
        why = getattr(error, "reason", "") or str(error)
        raise BadPair(f"{certificate} and {key} are no pair that can be presented: {why}") from error
    finally:
        trial.unlink()
    changed = files.replace(target, data, ROOT, 0o600)
    files.replace(paths.layout(config).chain, b"\n".join((*_CERTIFICATE.findall(data), b"")), ROOT, 0o644)
    return f"{end:%Y-%m-%d}" if changed else None


def together(certificate: Path, key: Path) -> bytes:
    """Return key and chain as one text in PEM. Raises BadPair."""
    private, chain = _KEY.search(_read(key)), _CERTIFICATE.findall(_read(certificate))
    if not private or not chain:
        what = f"{key} holds no private key" if chain else f"{certificate} holds no certificate"
        raise BadPair(f"{what} in PEM")
    return b"\n".join((private[0], *chain, b""))


def _target(config: Config) -> Path:
    target = paths.layout(config).pair
    assert target is not None  # noqa: S101 - for the type checker: only the distribution's layout has none
    return target


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadPair(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise BadPair(f"{path} has more than {MAX_BYTES} bytes")
    return data


class CertificateWatch:
    """Looks for a new pair, and has the daemons told of it."""

    def __init__(self, reactor: Any, config: Config, taken: Callable[[], None]) -> None:
        self._config = config
        self._taken = taken
        self._known = self._seen = _signature(config)
        self._timer = LoopingCall(self._look)
        self._timer.clock = reactor

    def start(self) -> None:
        """Look from now on."""
        self._timer.start(LOOK_SECONDS, now=False)

    def now(self, config: Config) -> None:
        """Look at once, where the configuration says now; what is wrong is told again."""
        self._config = config
        self._known = self._seen = _signature(config)
        self._take()

    def _look(self) -> None:
        found = _signature(self._config)
        settled, self._seen = found == self._seen, found
        if settled and found != self._known:
            self._known = found
            self._take()

    def _take(self) -> None:
        try:
            end = take(self._config)
        except (BadPair, ConfigError, OSError) as error:
            log.error("TLS GOES ON WITH THE OLD CERTIFICATE: {why}", why=str(error))
            return
        if end is not None:
            path = self._config.server.certificate
            log.info("new connections get the certificate in {path}, valid until {end}", path=path, end=end)
            self._taken()


def _signature(config: Config) -> Signature:
    """Return what changes when a file is replaced; nothing while one is not there."""
    try:
        found = [path.stat() for path in pair(config)]
    except OSError:
        return ()
    return tuple((status.st_ino, status.st_mtime_ns, status.st_size) for status in found)
