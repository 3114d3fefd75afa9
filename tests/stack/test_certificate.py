"""The self-signed pair of a first start."""

from __future__ import annotations

import ssl
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from mailhooks.config import Config, ConfigError, parse
from mailhooks.stack import certificate

NOW = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture
def config(tmp_path) -> Config:
    return parse({"server": {"root": str(tmp_path)}})


def test_the_pair_fits_and_only_root_reads_the_key(config):
    certificate.ensure(config, "mail.example.org", NOW)
    pair = certificate.pair(config)
    assert pair == (Path(config.server.certificate), Path(config.server.key))
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(*pair)
    assert stat.S_IMODE(pair[1].stat().st_mode) == 0o600
    made = x509.load_pem_x509_certificate(pair[0].read_bytes())
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["mail.example.org"]
    assert made.not_valid_before_utc < NOW < made.not_valid_after_utc


def test_a_pair_that_is_there_stays(config):
    pair = Path(config.server.certificate), Path(config.server.key)
    pair[0].parent.mkdir(parents=True)
    for path in pair:
        path.write_text("the admin's own")
    certificate.ensure(config, "mail.example.org", NOW)
    assert [path.read_text() for path in pair] == ["the admin's own"] * 2


@pytest.mark.parametrize("name", ["cert.pem", "key.pem"])
def test_half_a_pair_is_an_error_that_names_it(config, name):
    half = Path(config.server.certificate).with_name(name)
    half.parent.mkdir(parents=True)
    half.write_text("half")
    with pytest.raises(ConfigError, match=name):
        certificate.ensure(config, "mail.example.org", NOW)


def test_a_pair_that_was_made_here_is_known_again():
    """After a restart it was taken for the admin's, and nobody said any more that no client trusts it."""
    assert certificate.is_ours(certificate.make("mail.example.org", NOW)[0])


def test_a_long_name_still_makes_a_certificate():
    certificate.make(".".join(["a" * 60] * 4), NOW)
