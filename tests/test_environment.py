"""Environment variables: each key, the order of precedence, and secrets that leave no trace."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailhooks import config
from mailhooks.config import Config, ConfigError
from mailhooks.environment import MAX_SECRET_BYTES, PROTOCOLS, WrongVariable, secret


def read(given: dict[str, str], text: str = "", where: Path | None = None) -> Config:
    if where is not None:
        where.write_text(text)
    return config.read(where, given)


@pytest.mark.parametrize(
    ("name", "value", "section", "key", "expected"),
    [
        ("MAIL_HOSTNAME", "mail.example.com", "server", "hostname", "mail.example.com"),
        ("RELAY_HOST", "[smtp.example.net]:587", "server", "relayhost", "[smtp.example.net]:587"),
        ("RELAY_HOST", "[IPv6:2001:db8::1]:submission", "server", "relayhost", "[IPv6:2001:db8::1]:submission"),
        ("RELAY_HOST", "example.net", "server", "relayhost", "example.net"),
        ("MESSAGE_SIZE_LIMIT", "65536", "server", "message_size_limit", 65_536),
        ("MESSAGE_SIZE_LIMIT", " 50m ", "server", "message_size_limit", 50 * 2**20),
        ("LOG_FORMAT", "JSON", "log", "format", "json"),
        ("LOG_LEVEL", "WARNING", "log", "level", "warn"),
        ("LOG_COUNT_LINES", "on", "log", "count_lines", True),
        ("LOG_COUNT_LINES", "off", "log", "count_lines", False),
        ("HTTP_LISTEN", "0.0.0.0:9465", "listen", "http", ("tcp:9465:interface=0.0.0.0",)),
        ("HTTP_LISTEN", "[::]:80", "listen", "http", (r"tcp:80:interface=\:\:",)),
        ("HTTP_LISTEN", "off", "listen", "http", ()),
        ("HTTP_TOKEN_FILE", "/run/secrets/token", "http", "token_file", "/run/secrets/token"),
    ],
)
def test_each_sets_its_key(name, value, section, key, expected):
    assert getattr(getattr(read({name: value}), section), key) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAIL_HOSTNAME", "mail_example"),
        ("MAIL_HOSTNAME", "mail.example.com\nmynetworks = 0.0.0.0/0"),
        ("MAIL_HOSTNAME", "1.2.3.4"),
        ("MAIL_HOSTNAME", f"{'a' * 64}.example.com"),
        ("MAIL_HOSTNAME", "mail..example.com"),
        ("RELAY_HOST", "smtp.example.net; x"),
        ("RELAY_HOST", "[smtp.example.net]:nosuchport"),
        ("RELAY_HOST", "[smtp.example.net]:99999"),
        ("RELAY_HOST", "[smtp.example.net]:0"),
        ("RELAY_HOST", "[smtp..example.net]:587"),
        ("RELAY_HOST", "smtp..example.net"),
        ("RELAY_HOST", "10.0.0.25"),  # Postfix would ask for its MX records
        ("RELAY_HOST", "[10.0.0.256]"),
        ("MESSAGE_SIZE_LIMIT", "0"),
        ("MESSAGE_SIZE_LIMIT", "1"),
        ("MESSAGE_SIZE_LIMIT", "65535"),
        ("MESSAGE_SIZE_LIMIT", "-1"),
        ("MESSAGE_SIZE_LIMIT", "9999999999G"),
        ("MESSAGE_SIZE_LIMIT", "1.5M"),
        ("MAIL_PROTOCOLS", "imap, telnet"),
        ("LOG_FORMAT", "yaml"),
        ("LOG_LEVEL", "0"),
        ("LOG_COUNT_LINES", "perhaps"),
        ("HTTP_LISTEN", "9465"),
        ("HTTP_LISTEN", "localhost:9465"),
        ("HTTP_LISTEN", "0.0.0.0:0"),
        ("HTTP_LISTEN", "0.0.0.0:70000"),
        ("HTTP_TOKEN_FILE", "secrets/token"),
    ],
)
def test_a_wrong_value_is_named_with_its_variable(name, value):
    with pytest.raises(ConfigError, match=f"^{name}=") as refused:
        read({name: value})
    assert "\n" not in str(refused.value)


def test_the_environment_beats_the_file_and_an_empty_one_is_none(tmp_path):
    text = '[server]\nhostname = "file.test"\nrelayhost = "[file.test]:25"\nroot = "/srv/one"\n'
    found = read({"MAIL_HOSTNAME": "env.test", "RELAY_HOST": ""}, text, tmp_path / "m.toml")
    assert (found.server.hostname, found.server.relayhost) == ("env.test", "[file.test]:25")
    assert found.server.certificate == "/srv/one/etc/ssl/cert.pem"  # the other keys are read as before


def test_it_counts_for_every_command(monkeypatch, tmp_path):
    (tmp_path / "m.toml").touch()
    monkeypatch.setenv("MAIL_HOSTNAME", "env.test")
    assert config.load(tmp_path / "m.toml").server.hostname == "env.test"


def test_a_wrong_file_is_said_of_the_file(tmp_path):
    with pytest.raises(ConfigError, match=r"m\.toml: \[server\]"):
        read({"MAIL_HOSTNAME": "env.test", "MAIL_PROTOCOLS": "imap"}, "server = 3", tmp_path / "m.toml")


def test_protocols_switch_services_on_and_off(tmp_path):
    ports = read(
        {"MAIL_PROTOCOLS": "smtp, imaps pop3s"}, "[server.ports]\nsmtp = 2525\n", tmp_path / "m.toml"
    ).server.ports
    assert {name: port for name in PROTOCOLS if (port := getattr(ports, name))} == {
        "smtp": 2525,
        "imaps": 993,
        "pop3s": 995,
    }
    assert (ports.reinject, ports.spamd) == (10026, 783)


# --- secrets ------------------------------------------------------------------------------------------------------


def test_a_secret_is_taken_out_of_the_environment(tmp_path):
    given = {"RELAY_PASSWORD": "pass word", "OTHER": "x"}
    assert secret("RELAY_PASSWORD", given) == "pass word"
    assert given == {"OTHER": "x"}
    (tmp_path / "s").write_text(" with blanks \r\n")
    assert secret("RELAY_PASSWORD", {"RELAY_PASSWORD_FILE": str(tmp_path / "s")}) == " with blanks "
    assert secret("RELAY_PASSWORD", {}) is None
    assert secret("RELAY_PASSWORD", {"RELAY_PASSWORD": "", "RELAY_PASSWORD_FILE": ""}) is None


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"hidden1\nhidden2\n", b"hidden\0", b"\xff", b"hidden" * MAX_SECRET_BYTES], ids=len
)
def test_a_file_that_holds_no_secret_is_named_and_not_shown(tmp_path, data):
    (tmp_path / "s").write_bytes(data)
    with pytest.raises(WrongVariable, match=r"^RELAY_PASSWORD_FILE=.*/s'") as refused:
        secret("RELAY_PASSWORD", {"RELAY_PASSWORD_FILE": str(tmp_path / "s")})
    assert "hidden" not in str(refused.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(WrongVariable, match=r"RELAY_PASSWORD_FILE=.*cannot be read"):
            secret("RELAY_PASSWORD", {"RELAY_PASSWORD_FILE": str(path)})


def test_both_ways_are_one_too_many(tmp_path):
    with pytest.raises(WrongVariable, match="both set") as refused:
        secret("RELAY_PASSWORD", {"RELAY_PASSWORD": "hidden", "RELAY_PASSWORD_FILE": str(tmp_path)})
    assert "hidden" not in str(refused.value)
