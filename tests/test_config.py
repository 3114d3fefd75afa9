"""The configuration file: what is read, what is refused and how the cure is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailhooks.config import MAX_FILE_BYTES, Config, ConfigError, load, parse


def test_every_key_is_optional():
    assert parse({}) == Config()


def test_values_of_every_kind():
    config = parse(
        {
            "policy": {"quota_code": 452, "smtp": ["quota"]},
            "auth": {"failure_delay": 1},
            "listen": {"http": [], "tcp_table": {"virtual_alias_maps": ["tcp:10101:interface=127.0.0.1"]}},
            "server": {"spam_filter": False, "ports": {"pop3s": 995}},
        }
    )
    assert config.policy.quota_code == 452
    assert config.policy.smtp == ("quota",)
    assert config.auth.failure_delay == 1.0
    assert config.listen.http == ()
    assert config.listen.tcp_table == {"virtual_alias_maps": ("tcp:10101:interface=127.0.0.1",)}
    assert not config.server.spam_filter
    assert config.server.ports.pop3s == 995


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"stor": {}}, "unknown key stor: did you mean store?"),
        ({"store": {"ulr": "x"}}, "unknown key store.ulr: did you mean store.url?"),
        ({"server": {"ports": {"stmp": 1}}}, "did you mean server.ports.smtp?"),
        ({"store": {"zzz": "x"}}, "unknown key store.zzz: the nearest is store."),
        ({"store": {"fil": "x"}}, "unknown key store.fil: did you mean store.key_file?"),
        ({"mail": {"uid": "x"}}, "mail.uid is a whole number, not a text"),
        ({"mail": {"uid": True}}, "mail.uid is a whole number, not true or false"),
        ({"mail": {"uid": -1}}, "mail.uid is not below zero"),
        ({"policy": {"quota_code": 550}}, "policy.quota_code is one of 452, 552, not 550"),
        ({"policy": {"smtp": "quota"}}, "policy.smtp is a list, not a text"),
        ({"listen": {"tcp_table": []}}, "listen.tcp_table is a table, not a list"),
        ({"mail": 3}, "[mail] is a table, not a whole number"),
    ],
)
def test_what_is_wrong_is_named_with_its_cure(given: dict, told: str):
    with pytest.raises(ConfigError) as error:
        parse(given)
    assert told in str(error.value)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[store", b"# " + b"x" * MAX_FILE_BYTES])
def test_a_file_that_is_none_is_refused_by_name(tmp_path: Path, content: bytes):
    path = tmp_path / "mailhooks.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"mailhooks\.toml"):
        load(path)


def test_a_flag_beats_the_environment_which_beats_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "mailhooks.toml"
    path.write_text('[store]\nurl = "sqlite:////of/the/file"\n')
    monkeypatch.setenv("MAILHOOKS_CONFIG", str(path))
    assert load().store.url == "sqlite:////of/the/file"
    monkeypatch.setenv("MAILHOOKS_STORE", "sqlite:////of/the/environment")
    assert load().store.url == "sqlite:////of/the/environment"
    assert load(store="sqlite:////of/the/flag").store.url == "sqlite:////of/the/flag"


def test_paths_that_are_not_given_move_below_the_root():
    config = parse({"server": {"root": "/srv/mail"}, "store": {"url": "sqlite:////elsewhere/mailhooks.db"}})
    assert config.store.url == "sqlite:////elsewhere/mailhooks.db"
    assert config.listen.dict == ("unix:/srv/mail/run/mailhooks/dict:mode=0660",)
