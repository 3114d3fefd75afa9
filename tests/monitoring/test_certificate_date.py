"""When the certificate ends is told where the daemon may not read the configured file: ``up``, which may, helps."""

from __future__ import annotations

import datetime as dt
import os
import re
import ssl
from pathlib import Path

import pytest

from mailhooks import config as configuration
from mailhooks.stack import certificate, directories, paths, tls


@pytest.fixture
def config(daemon, tmp_path):
    """A server whose pair lies where only root can pass, as below certbot's live/."""
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    live = tmp_path / "live"
    daemon.write(f"[server]\nroot = '{tmp_path}'\ncertificate = '{live}/fullchain.pem'\nkey = '{live}/privkey.pem'\n")
    found = configuration.load(daemon.config)
    directories.ensure(paths.layout(found).stack, directories.ROOT, directories.OPEN)
    return found


def told(daemon, file: Path) -> float | None:
    name = re.escape(f'mailhooks_certificate_not_after_seconds{{file="{file}"}}')
    found = re.search(rf"^{name} (\S+)$", daemon.get("/metrics")[1], re.MULTILINE)
    return float(found[1]) if found else None


def end_of(file: Path) -> float:
    return ssl.cert_time_to_seconds(ssl._ssl._test_decode_cert(str(file))["notAfter"])


def test_the_date_of_a_certificate_that_the_daemon_may_not_read_is_told(config, daemon):
    file = Path(config.server.certificate)
    certificate.ensure(config, "mail.example1.com", dt.datetime.now(dt.UTC))
    tls.take(config)
    ends = end_of(file)
    file.rename(file.with_name("away"))  # the daemon of this test is root, and could read it
    daemon.start()
    assert told(daemon, file) == ends


def test_what_up_leaves_for_the_date_is_open_to_all_and_holds_no_key(config):
    certificate.ensure(config, "mail.example1.com", dt.datetime.now(dt.UTC))
    tls.take(config)
    chain = paths.layout(config).chain
    assert chain.stat().st_mode & 0o777 == 0o644
    assert chain.parent.stat().st_mode & 0o777 == 0o755
    assert b"PRIVATE" not in chain.read_bytes()
    assert chain.read_bytes() == Path(config.server.certificate).read_bytes()


def test_a_pair_that_cannot_be_presented_is_not_told_as_if_it_were(config, daemon):
    """Who renewed it badly has the old one in use, and the alert."""
    file = Path(config.server.certificate)
    certificate.ensure(config, "mail.example1.com", dt.datetime.now(dt.UTC))
    tls.take(config)
    ends = end_of(file)
    file.write_bytes(certificate.make("mail.example1.com", dt.datetime.now(dt.UTC) + dt.timedelta(days=90))[0])
    with pytest.raises(tls.BadPair):
        tls.take(config)
    daemon.start()
    assert told(daemon, file) == ends


def test_without_up_the_configured_file_is_read(config, daemon):
    certificate.ensure(config, "mail.example1.com", dt.datetime.now(dt.UTC))
    daemon.start()
    file = Path(config.server.certificate)
    assert told(daemon, file) == end_of(file)
