"""The self-signed pair of a first start."""

from __future__ import annotations

import ssl
import stat
from datetime import UTC, datetime

import pytest
from cryptography import x509

from mailhooks.config import ConfigError
from mailhooks.stack import certificate

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def test_the_pair_fits_and_only_root_reads_the_key(tmp_path):
    pair = tmp_path / "etc/cert.pem", tmp_path / "etc/key.pem"
    assert certificate.ensure(*pair, "mail.example.org", NOW)
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(*pair)
    assert stat.S_IMODE(pair[1].stat().st_mode) == 0o600
    made = x509.load_pem_x509_certificate(pair[0].read_bytes())
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["mail.example.org"]
    assert made.not_valid_before_utc < NOW < made.not_valid_after_utc


def test_a_pair_that_is_there_stays(tmp_path):
    pair = tmp_path / "cert.pem", tmp_path / "key.pem"
    for path in pair:
        path.write_text("the admin's own")
    assert not certificate.ensure(*pair, "mail.example.org", NOW)
    assert [path.read_text() for path in pair] == ["the admin's own"] * 2


@pytest.mark.parametrize("name", ["cert.pem", "key.pem"])
def test_half_a_pair_is_an_error_that_names_it(tmp_path, name):
    (tmp_path / name).write_text("half")
    with pytest.raises(ConfigError, match=name):
        certificate.ensure(tmp_path / "cert.pem", tmp_path / "key.pem", "mail.example.org", NOW)


def test_a_long_name_still_makes_a_certificate():
    certificate.make(".".join(["a" * 60] * 4), NOW)
