"""The sockets of the daemon are made and held by ``up``, as the daemon would have made them."""

from __future__ import annotations

import grp
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from mailhooks import config
from mailhooks.config import ConfigError
from mailhooks.stack import children, directories, holding

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the daemon's user gets the sockets")

HOOKS = ("socketmap", "policy", "postfix_auth", "login", "auth_master", "auth_userdb", "dict")


@pytest.fixture
def place():
    """A directory like those of the daemon's sockets: its own."""
    base = Path(tempfile.mkdtemp(prefix="mailhooks-", dir="/var/tmp"))
    base.chmod(0o755)
    (base / "run").mkdir()
    user = directories.service_account(config.Config())
    os.chown(base / "run", user.uid, user.gid)
    yield base
    shutil.rmtree(base)


@pytest.fixture
def given(place):
    modes = {"auth_master": "0600", "auth_userdb": "0600"}
    listen = {hook: [f"unix:{place}/run/{hook}:mode={modes.get(hook, '0660')}"] for hook in HOOKS}
    listen |= {"http": ["tcp:9465:interface=127.0.0.1"]}
    listen["tcp_table"] = {"virtual_alias_maps": [f"unix:{place}/run/table:group=postfix"]}
    return config.parse({"listen": listen})


@pytest.fixture
def held(given):
    made = holding.make(given, token=False)
    yield made
    made.close()


def test_each_has_the_owner_group_and_mode_that_the_daemon_gives(given, held, place):
    user = directories.service_account(given)
    found = {}
    for each in held.sockets:
        status = each.path.stat()
        assert status.st_uid == user.uid
        found[each.name] = (status.st_gid, stat.S_IMODE(status.st_mode))
    assert set(found) == {*HOOKS, "virtual_alias_maps"}
    assert found["auth_master"][1] == found["auth_userdb"][1] == 0o600
    assert found["socketmap"][1] == found["virtual_alias_maps"][1] == 0o660
    assert found["dict"][0] == found["auth_userdb"][0] == given.mail.gid
    assert found["virtual_alias_maps"][0] == grp.getgrnam("postfix").gr_gid
    assert not (place / "run/http").exists()


def test_root_itself_does_nothing_where_the_daemons_user_could_lead_it_elsewhere(given, monkeypatch):
    """Root changed owner and mode of what had just been put in the socket's place."""
    bind, ids = holding.Listener.bind, []

    def watched(*arguments):
        ids.append((os.geteuid(), os.getegid()))
        return bind(*arguments)

    monkeypatch.setattr(holding.Listener, "bind", watched)
    before = os.getgroups()
    holding.make(given, token=False).close()
    user = directories.service_account(given)
    assert set(ids) == {(user.uid, user.gid)}
    assert (os.geteuid(), os.getegid(), os.getgroups()) == (0, 0, before)


def test_the_daemon_is_served_on_them_by_their_names(given, held):
    child = children.serve(given, None, {}, held)
    assert child.inherits == held.descriptors
    at = child.command.index("/bin/sh")
    look = "import os; from mailhooks import inherited; print([each.name for each in inherited.sockets()])"
    said = subprocess.run(
        [*child.command[at : at + len(children.LISTENING)], sys.executable, "-c", look],
        env={**os.environ, **child.environment},
        preexec_fn=lambda: [os.dup2(each, number) for number, each in enumerate(child.inherits, 3)],
        close_fds=False,
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.strip() == str([each.name for each in held.sockets])


def test_who_comes_while_nobody_serves_waits(held):
    path = held.sockets[0].path
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b"hello")
        accepted, _ = held.sockets[0].sock.accept()
        with accepted:
            assert accepted.recv(5) == b"hello"


def test_at_the_end_the_paths_are_gone_but_those_of_another(given, place):
    held = holding.make(given, token=False)
    taken = place / "run/policy"
    taken.unlink()
    taken.write_text("another's")
    held.close()
    assert [each.name for each in (place / "run").iterdir()] == ["policy"]


def test_a_path_on_which_another_listens_is_named_and_nothing_is_left(given, place, monkeypatch):
    monkeypatch.setattr(holding, "LEFT_BEHIND_SECONDS", 0.0)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(place / "run/login"))
        other.listen()
        os.chown(place / "run/login", directories.service_account(given).uid, -1)
        with pytest.raises(ConfigError, match=r"login.*another process listens there"):
            holding.make(given, token=False)
    assert [each.name for each in (place / "run").iterdir()] == ["login"]


def test_with_nothing_held_the_daemon_is_started_as_ever(given):
    child = children.serve(given, None, {}, holding.NOTHING)
    assert child.inherits == ()
    assert "/bin/sh" not in child.command
    assert "LISTEN_FDS" not in child.environment
