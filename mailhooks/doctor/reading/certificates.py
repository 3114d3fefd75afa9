"""Read the certificates that Postfix and Dovecot are told to use, and whether their keys belong to them."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from mailhooks.doctor.facts import Certificate, Dovecot, Postfix, Unread

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

AREA = "certificates"
MAX_BYTES = 1_000_000  # of a file: a chain has a few thousand


def read(postfix: Iterable[Postfix], dovecot: Iterable[Dovecot]) -> tuple[tuple[Certificate, ...], tuple[Unread, ...]]:
    """Read every pair that is in use, once."""
    found: list[Certificate] = []
    unread: list[Unread] = []
    users: dict[tuple[str, str], str] = {}
    for user, file, key in [*_of_postfix(postfix), *_of_dovecot(dovecot)]:
        users[file, key] = f"{users[file, key]} and {user}" if (file, key) in users else user
    for (file, key), user in users.items():
        try:
            found.append(_pair(user, file, key))
        except PermissionError as error:
            unread.append(Unread(AREA, f"{error.filename}: {error.strerror}", "run mailhooks doctor as root"))
    return tuple(found), tuple(unread)


def _of_postfix(instances: Iterable[Postfix]) -> Iterator[tuple[str, str, str]]:
    for postfix in instances:
        chain = postfix["smtpd_tls_chain_files"].replace(",", " ").split()
        yield from (("Postfix", file, file) for file in chain)
        file = postfix["smtpd_tls_cert_file"]
        if file and file != "none" and not chain:
            yield "Postfix", file, postfix["smtpd_tls_key_file"] or file


def _of_dovecot(instances: Iterable[Dovecot]) -> Iterator[tuple[str, str, str]]:
    for dovecot in instances:
        names = ("ssl_cert", "ssl_key") if dovecot.line == "2.3" else ("ssl_server/cert_file", "ssl_server/key_file")
        file, key = (dovecot.get(name) for name in names)
        if dovecot.line == "2.3" and not (file.startswith("<") and key.startswith("<")):
            continue  # 2.3 can hold the text itself
        if file and dovecot.get("ssl") != "no":
            yield "Dovecot", file.removeprefix("<").strip(), key.removeprefix("<").strip() or file


def _pair(user: str, file: str, key: str) -> Certificate:
    try:
        certificate = x509.load_pem_x509_certificates(_text(file))[0]
        private = serialization.load_pem_private_key(_text(key), None)
    except PermissionError:
        raise
    except OSError as error:
        return Certificate(user, file, key, problem=_problem(error, file))
    except (ValueError, TypeError) as error:  # no PEM, or a key with a passphrase
        return Certificate(user, file, key, problem=str(error).partition(". ")[0])
    form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return Certificate(
        user,
        file,
        key,
        names=tuple(_names(certificate)),
        begins=certificate.not_valid_before_utc,
        ends=certificate.not_valid_after_utc,
        self_signed=certificate.issuer == certificate.subject,
        fits_key=certificate.public_key().public_bytes(*form) == private.public_key().public_bytes(*form),
        key_mode=stat.S_IMODE(Path(key).stat().st_mode),
    )


def _problem(error: OSError, file: str) -> str:
    return str(error.strerror) if error.filename == file else f"{error.filename}: {error.strerror}"


def _names(certificate: x509.Certificate) -> Iterator[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return
    yield from (name.lower() for name in names.get_values_for_type(x509.DNSName))


def _text(path: str) -> bytes:
    with Path(path).open("rb") as stream:
        return stream.read(MAX_BYTES)
