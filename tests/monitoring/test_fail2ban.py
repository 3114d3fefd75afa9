"""The shipped fail2ban filter against lines that the real daemon wrote, hostile names among them."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import pytest
from container import IMAGE, LIMITS, PODMAN
from live_daemon import LIMIT

from mailhooks import passwords
from mailhooks.store import Service
from mailhooks.wire import socketmap

ROOT = Path(__file__).parent.parent.parent
FILTER = ROOT / "mailhooks/fail2ban/filter.d/mailhooks.conf"
JAIL = ROOT / "mailhooks/fail2ban/jail.d/mailhooks.conf"
SPLIT = ROOT / "systemd/split"

GUESSER = "192.0.2.66"
VICTIM = "198.51.100.7"  # whom a guesser would like to see banned
AWAY = socketmap.temporary("the account store cannot answer now")
FORGED = "login failed: service=imap rip={victim} reason=credentials user=x"
HOSTILE = [
    f"x rip={VICTIM} reason=credentials user=y",
    "x\n2026-11-22T20:00:00.000+00:00 warn mailhooks.login: " + FORGED.format(victim=VICTIM),
    "x\r\n" + FORGED.format(victim=VICTIM),
    f'x", "message": "login failed: service=imap rip={VICTIM} reason=credentials user=',
    f"\u2028{FORGED.format(victim=VICTIM)}",
    "%0a" + FORGED.format(victim=VICTIM),
    "jörg@example1.com",
    "\x1b[2J\x07",
    "'$(reboot)`",
    "a" * 3000,
]


def banned(log: Path, mode: str = "normal") -> list[str]:
    """Return the address of each line that the filter counts, as fail2ban itself says it."""
    done = subprocess.run(
        ["fail2ban-regex", "--out", "ip", str(log), f"{FILTER}[mode={mode}]"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.split()


def log_in(client, number, login, password="wrong", *, rip=GUESSER):
    """Try to log in over the auth client protocol, and return the answer."""
    response = base64.b64encode(f"\0{login}\0{password}".encode()).decode()
    client.sendall(f"AUTH\t{number}\tPLAIN\tservice=imap\trip={rip}\tresp={response}\n".encode())
    heard = b""
    while not heard.endswith(b"\n"):
        heard += client.recv(4096)
    return heard.decode()


def greet(client):
    heard = b""
    while not heard.endswith(b"DONE\n"):
        heard += client.recv(4096)
    client.sendall(b"VERSION\t1\t2\nCPID\t4711\n")


@pytest.fixture(params=["text", "json"])
def spoken(daemon, tmp_path, request):
    """What a daemon logs when hostile names, a restricted account, and an outage were tried."""
    daemon.write(f"[log]\nformat = '{request.param}'\n[throttle]\nallow = ['{GUESSER}/32']\n")
    restricted = {"allow": [Service.POP3], "password": passwords.hash_password("right")}
    daemon.change(lambda change: change.add_mailbox("bob@example1.com", **restricted))
    daemon.start()
    with daemon.connect("login") as client:
        greet(client)
        for number, name in enumerate(HOSTILE, 1):
            assert log_in(client, number, name).startswith(f"FAIL\t{number}")
        assert log_in(client, 100, "adam@example1.com", rip="2001:db8::66").startswith("FAIL")
        assert log_in(client, 101, "adam@example1.com", rip=f"{VICTIM} x").startswith("FAIL")
        assert log_in(client, 102, "adam@example1.com", rip=f"fe80::1%{VICTIM}").startswith("FAIL")
        assert "authz_fail" in log_in(client, 103, "bob@example1.com", "right", rip="203.0.113.1")
        assert log_in(client, 104, "adam@example1.com", "right", rip="203.0.113.2").startswith("OK")
        (tmp_path / "mailhooks.db").rename(tmp_path / "away")
        daemon.asks_until(AWAY)
        assert "temp_fail" in log_in(client, 105, "adam@example1.com", rip="203.0.113.3")
    _, _, said = daemon.end()
    path = tmp_path / "log"
    path.write_text(said)
    return path


def test_only_guesses_are_counted_and_only_for_those_who_guessed(spoken):
    found = banned(spoken)
    assert set(found) == {GUESSER, "2001:db8::66"}
    # One line for each name that was tried as a login, and none was forged out of one.
    assert len(found) == spoken.read_text().count("login failed: service=imap rip=") - 3  # two without rip, bob
    assert len(found) >= len(HOSTILE) - 3  # what is no SASL response at all is no login


def test_each_line_is_what_is_documented(spoken):
    for line in spoken.read_text().splitlines():
        if "login failed:" not in line:
            continue
        assert line.isprintable()
        message = json.loads(line)["message"] if line.startswith("{") else line.partition("mailhooks.login: ")[2]
        words = message.removeprefix("login failed: ").split(" ")
        assert [word.partition("=")[0] for word in words] == ["service", "rip", "reason", "user"], line
        if line.startswith("{"):  # the same, told apart
            fields = json.loads(line)
            assert words == [f"{name}={fields[name]}" for name in ("service", "rip", "reason")] + [words[-1]]
            assert unquote(words[-1]) == f"user={unquote(fields['user'])}"
    assert "user=j%C3%B6rg@example1.com" in spoken.read_text()


def test_who_does_not_wait_for_the_answer_is_told_too(daemon):
    daemon.start()
    with daemon.connect("login") as client:
        greet(client)
        response = base64.b64encode(b"\0adam@example1.com\0wrong").decode()
        client.sendall(f"AUTH\t1\tPLAIN\tservice=imap\trip={GUESSER}\tresp={response}\n".encode())
        end = time.monotonic() + LIMIT  # what no worker has looked at was no guess, and is told to nobody
        while "mailhooks_password_hash_seconds_count" not in daemon.get("/metrics")[1]:
            assert time.monotonic() < end
    assert f"login failed: service=imap rip={GUESSER} reason=credentials" in daemon.says("login failed")


def test_throttled_attempts_count_in_aggressive_mode_only(daemon, tmp_path):
    daemon.write("[throttle]\npair_guesses = 2\n")
    daemon.start()
    with daemon.connect("login") as client:
        greet(client)
        for number in range(1, 5):
            log_in(client, number, "adam@example1.com", password=f"wrong{number}")
    _, _, said = daemon.end()
    path = tmp_path / "log"
    path.write_text(said)
    assert "login throttled: rip=" in said
    assert banned(path) == [GUESSER] * 2
    assert len(banned(path, "aggressive")) == 3  # a line in ten seconds for an address


def test_lines_from_the_journal_are_understood(tmp_path):
    path = tmp_path / "log"
    line = f"warn mailhooks.login: login failed: service=smtp rip={GUESSER} reason=credentials user=x"
    path.write_text(
        f"2026-11-22T20:00:00+00:00 mail mailhooks[12]: 2026-11-22T20:00:00.123+00:00 {line}\n"
        f"2026-11-22T20:00:00+00:00 mail postfix/smtpd[12]: warning: {line}\n"
        f"2026-11-22T20:00:00.123+00:00 warn mailhooks.servers.base: {line}\n"
    )
    assert banned(path) == [GUESSER]


def test_logins_in_a_process_of_their_own_are_seen(tmp_path):
    """They have another unit, and another name in the journal."""
    path = tmp_path / "log"
    line = f"warn mailhooks.login: login failed: service=smtp rip={GUESSER} reason=credentials user=x"
    path.write_text(f"2026-11-22T20:00:00+00:00 mail mailhooks-logins[12]: 2026-11-22T20:00:00.123+00:00 {line}\n")
    assert banned(path) == [GUESSER]
    unit = (SPLIT / "mailhooks-logins.service").read_text()
    assert "\nSyslogIdentifier=mailhooks-logins\n" in unit
    assert "_SYSTEMD_UNIT=mailhooks.service + _SYSTEMD_UNIT=mailhooks-logins.service" in FILTER.read_text()


def by_journald(name: str) -> Callable[[str], str]:
    """Docker's and Podman's driver "journald", as fail2ban and journalctl put the fields together."""
    return lambda line: f"2026-11-22T20:00:00+00:00 host {name}[4711]: {line}"


def by_json_file(line: str) -> str:
    """Docker's driver "json-file": Go writes the JSON, with <, > and & escaped (encoding/json)."""
    said = {"log": f"{line}\n", "stream": "stdout", "time": "2026-11-22T20:00:00.123456789Z"}
    text = json.dumps(said, ensure_ascii=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def by_k8s_file(line: str) -> str:
    """Podman's driver "k8s-file" (conmon)."""
    return f"2026-11-22T20:00:00.123456789+01:00 stdout F {line}"


def test_lines_of_containers_are_counted_as_those_of_bare_metal(spoken, tmp_path):
    expected, lines = banned(spoken), spoken.read_text().splitlines()
    for driver in (by_journald("0123456789ab"), by_journald("docker-mail-1"), by_json_file, by_k8s_file):
        path = tmp_path / "of a container"
        path.write_text("".join(f"{driver(line)}\n" for line in lines))
        assert banned(path) == expected, path.read_text()


@pytest.mark.e2e
def test_the_file_that_podman_itself_writes_is_understood(spoken, tmp_path):
    log = tmp_path / "ctr.log"
    options = ("--rm", *LIMITS, "--network", "none", "--log-driver", "k8s-file", "--log-opt", f"path={log}")
    command = (*PODMAN, "run", *options, "--volume", f"{spoken}:/log:ro", "--entrypoint", "cat", IMAGE, "/log")
    subprocess.run(command, check=True, timeout=120, capture_output=True)
    assert " stdout F " in log.read_text()
    assert banned(log) == banned(spoken)


def dump(tmp_path: Path, jail: str = "") -> subprocess.CompletedProcess[str]:
    """What fail2ban makes of the jail, and of an admin's file beside it."""
    directory = tmp_path / "fail2ban"
    shutil.copytree("/etc/fail2ban", directory)
    for path in directory.glob("jail.d/*"):
        path.unlink()
    shutil.copy(FILTER, directory / "filter.d")
    shutil.copy(JAIL, directory / "jail.d")
    (directory / "jail.d/mailhooks.local").write_text(jail)
    command = ["fail2ban-client", "-c", str(directory), "--dump"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_fail2ban_itself_takes_the_jail(tmp_path):
    done = dump(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "['add', 'mailhooks', 'systemd']" in done.stdout
    assert (
        "'addjournalmatch', '_SYSTEMD_UNIT=mailhooks.service', '+', '_SYSTEMD_UNIT=mailhooks-logins.service'"
        in done.stdout
    )
    assert "login failed: service" in done.stdout
    assert "throttled" not in done.stdout


JAILS = re.findall(r"\.\. code-block:: ini\n\n((?:   .*\n)+)", (ROOT / "docs/logs.rst").read_text())


@pytest.mark.parametrize("jail", JAILS, ids=["journald", "json-file", "k8s-file"])
def test_fail2ban_takes_the_jails_for_containers_of_the_page(tmp_path, jail):
    log = tmp_path / "file.log"
    log.touch()
    done = dump(tmp_path, re.sub(r"(?m)^logpath = .*", f"logpath = {log}", textwrap.dedent(jail)))
    assert done.returncode == 0, done.stderr
    if "logpath" in jail:
        assert f"'addlogpath', '{log}'" in done.stdout
    else:
        assert "'addjournalmatch', 'CONTAINER_NAME=mail'" in done.stdout
        assert "_SYSTEMD_UNIT" not in done.stdout
    assert re.search(r"'chain', '(DOCKER-USER|FORWARD)'", done.stdout)
