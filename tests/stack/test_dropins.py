"""The admin's own lines: what of ours they replace, and which files are not taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailhooks import config
from mailhooks.config import ConfigError
from mailhooks.stack import dropins, paths, render
from mailhooks.stack.dropins import DropIn
from mailhooks.stack.render import File

WHERE = paths.layout(config.Config())
OURS = """# ours
compatibility_level = 3.6

myhostname = mail.test
smtpd_banner = $myhostname
  # inside
  ESMTP
# about the size
message_size_limit = 1
"""
SERVICES = """# ours
25 inet n - n - - smtpd
  -o smtpd_sasl_auth_enable=no
[::1]:587 inet n - n - - smtpd
  -o smtpd_tls_security_level=encrypt
smtp unix - - n - - smtp
"""


def merged(name: str, ours: str, *given: str) -> str:
    files = [File(WHERE.postfix_config / name, ours), File(WHERE.postfix_config / "other", "kept")]
    own = [DropIn(Path(f"/etc/mailhooks/postfix/{name}.d/{number}.cf"), text) for number, text in enumerate(given)]
    result = dropins.add(files, "postfix", own, WHERE)
    assert result[1].text == "kept"
    return result[0].text


def test_nothing_given_changes_nothing():
    assert merged("main.cf", OURS) == OURS
    assert merged("master.cf", SERVICES) == SERVICES


def test_a_parameter_set_again_stands_once_and_last():
    text = merged("main.cf", OURS, "smtpd_banner=one\nown = 1", "smtpd_banner =\n two\n")
    assert text.count("smtpd_banner") == 1
    assert "ESMTP" not in text
    assert text.endswith("smtpd_banner =\n two\n\n")
    for kept in ("# about the size\n", "message_size_limit = 1\n", "own = 1\n", "myhostname = mail.test\n"):
        assert kept in text


@pytest.mark.parametrize("name", ["25", "smtp"])
def test_a_service_of_the_same_port_is_replaced_whole(name):
    text = merged("master.cf", SERVICES, f"{name} inet n - n - - smtpd\n  -o smtpd_banner=x\n")
    assert "smtpd_sasl_auth_enable" not in text
    assert "smtp unix - - n" in text  # another type
    assert "encrypt" in text
    assert "encrypt" not in merged("master.cf", SERVICES, "[::1]:submission inet n - n - - smtpd\n")


def test_what_others_could_change_is_not_read(tmp_path):
    directory = tmp_path / "etc/mailhooks/dovecot.d"
    directory.mkdir(parents=True)
    directory.chmod(0o777)
    (directory / "x.conf").touch()
    where = paths.layout(config.parse({"server": {"root": str(tmp_path)}}))
    with pytest.raises(ConfigError, match="can be changed by others"):
        dropins.find(where, "dovecot")


def test_a_start_without_drop_ins_finds_none(tmp_path):
    where = paths.layout(config.parse({"server": {"root": str(tmp_path)}}))
    assert [dropins.find(where, daemon) for daemon in render.DAEMONS] == [(), (), ()]
