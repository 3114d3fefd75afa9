"""Listeners that cannot be are one line before the start, and not a daemon that is started again and again."""

from __future__ import annotations

import os
import socket

import pytest

from mailhooks import config
from mailhooks.config import ConfigError
from mailhooks.stack import listening

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the daemon's user is tried")

ELSEWHERE = "192.0.2.1"  # of nobody (RFC 5737)


def refused(given: dict[str, str], *, token: bool = False) -> str:
    with pytest.raises(ConfigError) as error:
        listening.check(config.read(None, given), given, token=token)
    assert os.geteuid() == 0
    return str(error.value)


def test_metrics_for_everybody_without_a_token_are_said_of_the_variable():
    said = refused({"HTTP_LISTEN": "0.0.0.0:9465"})
    assert said.startswith("HTTP_LISTEN='0.0.0.0:9465': other machines could read it: set [http] token_file")


@pytest.mark.parametrize("address", [f"{ELSEWHERE}:9465", "[2001:db8::1]:9465"])
def test_an_address_that_is_not_ours_is_said_of_the_variable(address):
    assert refused({"HTTP_LISTEN": address}, token=True).startswith(
        f"HTTP_LISTEN={address!r}: nobody can listen there: "
    )


def test_an_address_of_the_file_is_said_of_its_key():
    given = config.parse({"listen": {"tcp_table": {"virtual_alias_maps": [f"tcp:10101:interface={ELSEWHERE}"]}}})
    with pytest.raises(ConfigError, match=r"^listen\.tcp_table\.virtual_alias_maps = 'tcp:10101:interface=192"):
        listening.check(given, {"HTTP_LISTEN": "127.0.0.1:9465"}, token=False)


def test_a_port_that_is_taken_may_be_free_in_a_moment():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        given = {"HTTP_LISTEN": f"127.0.0.1:{taken.getsockname()[1]}"}
        listening.check(config.read(None, given), given, token=False)
