"""The host names of an imported main.cf are what the stock daemons are rendered with, unless the configuration says."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailhooks.cli.session import Session
from mailhooks.config import Config, ServerConfig
from mailhooks.store import open_store


@pytest.fixture
def session(store_url: str, key_file: Path) -> Session:
    with_settings = open_store(store_url, key_file=key_file, create=True)
    with with_settings.change("test") as change:
        change.set_setting("hostname", "mail.example1.com")
        change.set_setting("relayhost", "[smtp.example.net]:587")
    with_settings.close()
    return Session(store_url=store_url)


def test_a_silent_configuration_takes_what_was_imported(session: Session):
    server = session.completed(Config()).server
    assert (server.hostname, server.relayhost) == ("mail.example1.com", "[smtp.example.net]:587")


def test_the_configuration_beats_what_was_imported(session: Session):
    server = session.completed(Config(server=ServerConfig(hostname="other.example.com"))).server
    assert (server.hostname, server.relayhost) == ("other.example.com", "[smtp.example.net]:587")


def test_without_a_store_the_configuration_stands(tmp_path: Path):
    assert Session(store_url=f"sqlite:///{tmp_path}/none.db").completed(Config()) == Config()
