"""Endpoint strings as the daemons spell them, and the paths of an instance."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailhooks import config
from mailhooks.config import ConfigError
from mailhooks.stack import paths, sockets

QUEUE = Path("/var/spool/postfix")


@pytest.mark.parametrize(
    ("endpoint", "spelled"),
    [
        ("unix:/var/spool/postfix/mailhooks/socketmap:mode=0660", "unix:mailhooks/socketmap"),
        ("unix:address=/var/spool/postfix/mailhooks/policy", "unix:mailhooks/policy"),
        ("unix:/run/elsewhere:mode=0660:group=postfix", "unix:/run/elsewhere"),
        (r"unix:/run/a\:b", "unix:/run/a:b"),
        ("tcp:10101:interface=127.0.0.1", "inet:127.0.0.1:10101"),
        ("tcp:port=10101", "inet:127.0.0.1:10101"),
        (r"tcp:10101:interface=\:\:1", "inet:[::1]:10101"),
    ],
)
def test_postfix_spelling(endpoint, spelled):
    assert sockets.find([endpoint], "socketmap").for_postfix(QUEUE) == spelled


@pytest.mark.parametrize("endpoints", [[], ["systemd:domain=UNIX:index=0"], ["unix:relative"], ["tcp:x"], [""]])
def test_a_place_that_cannot_be_known_is_an_error(endpoints):
    with pytest.raises(ConfigError, match=r"listen\.policy"):
        sockets.find(endpoints, "policy")


def test_dovecot_needs_a_path():
    with pytest.raises(ConfigError, match=r"listen\.login must begin with unix"):
        sockets.find_path(["tcp:10101"], "login")


def test_everything_lives_below_the_root():
    where = paths.layout(config.parse({"server": {"root": "/srv/one"}}))
    for name in ("stack", "queue", "state", "mail", "preferences", "bayes", "dovecot_base", "lmtp", "postfix_config"):
        assert getattr(where, name).is_relative_to("/srv/one"), name


def test_what_the_file_names_stays_where_it_is():
    given = {"server": {"root": "/srv/one"}, "mail": {"home": "/mail/%u"}, "store": {"url": "sqlite:////s/x.db"}}
    where = paths.layout(config.parse(given))
    assert (where.mail, where.state) == (Path("/mail"), Path("/s"))


@pytest.mark.parametrize("root", ["relative", "/with blank", "/with;semicolon", "/a/../b", "/new\nline", "/$x", "/{x}"])
def test_a_path_that_a_daemon_would_misread_is_refused(root):
    with pytest.raises(ConfigError, match=r"server\.root|store\.url"):
        paths.layout(config.parse({"server": {"root": root}}))


@pytest.mark.parametrize(
    ("home", "base"), [("/var/mail/%d/%n", "/var/mail"), ("/var/mail/u-%u", "/var/mail"), ("/home/%n/mail", "/home")]
)
def test_the_directory_of_all_mailboxes(home, base):
    assert paths.mail_base(home) == Path(base)
