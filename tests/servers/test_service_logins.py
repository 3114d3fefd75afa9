"""From the configuration's [auth] to what clients are offered."""

from __future__ import annotations

import pytest
from auth_scene import ThreadClock

from mailhooks.config import ConfigError, parse
from mailhooks.service import make_service


@pytest.fixture
def service(tmp_path):
    clock, made = ThreadClock(), []

    def make(**auth):
        config = parse({"server": {"root": str(tmp_path)}, "auth": auth})
        made.append(make_service(config, clock, only=["login", "postfix_auth", "auth_master", "auth_userdb"]))
        return made[-1]

    yield make
    ended = [part.stop() for each in made for part in (each.pool, each.writer)]
    clock.wait_until(lambda: all(deferred.called for deferred in ended))


@pytest.mark.parametrize(("settings", "offered"), [({}, False), ({"scram": True}, True)])
def test_scram_is_offered_only_when_it_is_on(service, settings, offered):
    servers = [each for each in service(**settings).servers if each.hook in ("login", "postfix_auth")]
    assert len(servers) == 2
    for server in servers:
        names = [name for name, *_ in server.offers]
        assert names[:2] == ["PLAIN", "LOGIN"]
        assert names[2:] == (["SCRAM-SHA-256", "SCRAM-SHA-1"] if offered else [])


def test_login_names_are_read_from_the_configuration(service):
    made = service(alias_login=True, master_users=["Admin@EXAMPLE1.com"], master_separator="%")
    rules = next(each for each in made.servers if each.hook == "login").authenticator.settings.rules
    assert (rules.alias_login, rules.masters, rules.separator) == (True, {"admin@example1.com"}, "%")
    assert not rules.master_smtp


@pytest.mark.parametrize("wrong", [{"master_users": ["admin"]}, {"master_separator": ""}, {"master_separator": "::"}])
def test_a_wrong_setting_is_named(service, wrong):
    with pytest.raises(ConfigError, match=f"auth.{next(iter(wrong))}"):
        service(**wrong)
