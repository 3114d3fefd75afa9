"""A self-signed certificate for a server that has none yet, so that it can start; no client will trust it."""

from __future__ import annotations

import datetime as dt
import errno
import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mailhooks.config import Config, ConfigError
from mailhooks.stack import paths

VALID_DAYS = 825  # the longest that today's clients accept even from a private authority
BACKDATE = dt.timedelta(hours=1)  # a client whose clock is a little behind
MAX_COMMON_NAME = 64  # characters, X.520
MARK = "mailhooks, self-signed"  # the organisation that it names: so it is known again at the next start


def pair(config: Config) -> tuple[Path, Path]:
    """Return where certificate and key are: the configured files, else those made where these could not be."""
    configured = Path(config.server.certificate), Path(config.server.key)
    fallback = paths.layout(config).self_signed
    made = fallback / "cert.pem", fallback / "key.pem"
    return made if all(map(Path.exists, made)) and not any(map(Path.exists, configured)) else configured


def ensure(config: Config, hostname: str, now: dt.datetime) -> None:
    """Make a pair where neither file is there. Raises ConfigError."""
    certificate, key = pair(config)
    there = [path for path in (certificate, key) if path.exists()]
    if len(there) == 1:
        raise ConfigError(f"{there[0]} is there without its other half: server.certificate and server.key are a pair")
    if there:
        return
    text, private = make(hostname, now)
    try:
        try:
            _write(certificate, text, key, private)
        except OSError as error:
            if error.errno != errno.EROFS:  # the root file system of a container, say
                raise
            fallback = paths.layout(config).self_signed
            _write(fallback / "cert.pem", text, fallback / "key.pem", private)
    except OSError as error:
        raise ConfigError(f"cannot make a certificate as {error.filename}: {error.strerror}") from error


def is_ours(chain: bytes) -> bool:
    """Tell whether a certificate in PEM is one that was made here."""
    subject = x509.load_pem_x509_certificates(chain)[0].subject
    return any(attribute.value == MARK for attribute in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME))


def _write(certificate: Path, text: bytes, key: Path, private: bytes) -> None:
    # A crash between the two leaves the key alone, and the next start says so.
    for path, data, mode in ((key, private, 0o600), (certificate, text, 0o644)):
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)


def make(hostname: str, now: dt.datetime) -> tuple[bytes, bytes]:
    """Return certificate and key in PEM for one host name."""
    private = ec.generate_private_key(ec.SECP256R1())
    named = {NameOID.COMMON_NAME: hostname[:MAX_COMMON_NAME], NameOID.ORGANIZATION_NAME: MARK}
    name = x509.Name([x509.NameAttribute(kind, value) for kind, value in named.items()])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + dt.timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(hostname)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(private, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM), private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
