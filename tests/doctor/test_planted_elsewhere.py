"""Pitfalls of sockets, certificates, SpamAssassin, store, disks and clock, planted in a real server and found."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest
from doctor_site import HOST, ids, said

from mailhooks import config as configuration
from mailhooks.doctor import examine
from mailhooks.doctor.facts import Volume
from mailhooks.doctor.reading import machine
from mailhooks.doctor.reading import sockets as reading
from mailhooks.stack import certificate
from mailhooks.stack.sockets import find

NOW = dt.datetime.now(dt.UTC)


def path_of(site, hook: str) -> Path:
    return Path(getattr(site.config.listen, hook)[0].split(":")[1])


@contextlib.contextmanager
def mode(path: Path, wanted: int):
    before = path.stat().st_mode & 0o7777
    path.chmod(wanted)
    try:
        yield
    finally:
        path.chmod(before)


@contextlib.contextmanager
def away(path: Path):
    """Put a file aside for a moment."""
    aside = path.with_name(f"{path.name}.aside")
    path.rename(aside)
    try:
        yield aside
    finally:
        path.unlink(missing_ok=True)
        aside.rename(path)


# --- Sockets ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hook", ["socketmap", "policy", "postfix_auth", "login", "dict"])
def test_a_socket_that_its_client_may_not_use(site, hook):
    with mode(path_of(site, hook), 0o600):
        facts = site.facts()
    assert ids(facts) == {"socket-permission"}
    client = {"login": "dovenull", "dict": "the mail user"}.get(hook, "postfix")
    assert said(facts)[0].what.startswith(f"{client} may not connect to {path_of(site, hook)} (mode 0600")


def test_a_directory_that_postfix_may_not_pass(site):
    with mode(path_of(site, "policy").parent, 0o700):
        assert ids(site.facts()) == {"socket-permission"}


def test_a_socket_that_is_gone(site):
    with away(path_of(site, "socketmap")):
        facts = site.facts()
    assert ids(facts) == {"socket-missing"}


def test_a_socket_that_nobody_answers(site):
    path = path_of(site, "dict")
    with away(path):
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(path))  # as a process that was killed leaves it
        os.chown(path, 0, site.config.mail.gid)
        path.chmod(0o660)
        facts = site.facts()
    assert ids(facts) == {"socket-silent"}
    assert "nobody listens" in said(facts)[0].what


def test_an_outage_of_the_store_is_told_by_every_hook_that_needs_it(site):
    store = Path(site.config.store.url.removeprefix("sqlite:///"))
    with away(store):
        facts = site.facts()
        found = ids(facts)
    assert found >= {"store-unavailable", "socket-silent"}
    _recovers(site)


def test_auth_sockets_of_two_daemons(site):
    facts = site.facts()
    told = [replace(each, spid="1") if each.hook == "login" else each for each in facts.sockets]
    assert len({each.spid for each in facts.sockets if each.spid}) == 1
    assert ids(replace(facts, sockets=tuple(told))) == {"socket-two-daemons"}


def test_a_listener_in_a_directory_of_postfix(site):
    facts = site.facts()
    private = replace(facts.hooks["http"][0], path=f"{site.layout.queue}/private/mailhooks", host="", port=0)
    assert ids(replace(facts, hooks={**facts.hooks, "http": (private,)})) == {"socket-in-directory-of-postfix"}


def test_what_may_not_be_looked_at_is_named(site):
    """Not root: the auth-master socket refuses us, and that is no finding."""
    uid = 65_534
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
        found, unread = reading.read(site.config, {"auth_master": (find(site.config.listen.auth_master, "x"),)})
        named = [each.what for each in unread if "auth_master" in each.what and "Permission denied" in each.what]
        os._exit(0 if named and not found else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


# --- Certificates -------------------------------------------------------------------------------------------------


def used(site) -> Path:
    """The file that the daemons are told, with certificate and key in it."""
    return Path(site.facts().certificates[0].file)


@contextlib.contextmanager
def pair(site, name: str = HOST, begins: dt.datetime = NOW, key: bytes | None = None):
    """Put another pair in the place of the right one."""
    file = used(site)
    text, own_key = certificate.make(name, begins)
    with away(file):
        file.write_bytes((key or own_key) + text)
        file.chmod(0o600)
        yield


@pytest.mark.parametrize(
    ("found", "options"),
    [
        ("certificate-expired", {"begins": NOW - dt.timedelta(days=certificate.VALID_DAYS + 1)}),
        ("certificate-expired", {"begins": NOW + dt.timedelta(days=1)}),
        ("certificate-expiring", {"begins": NOW - dt.timedelta(days=certificate.VALID_DAYS - 3)}),
        ("certificate-other-name", {"name": "old.example.net"}),
        ("certificate-other-key", {"key": certificate.make(HOST, NOW)[1]}),
        ("certificate-unusable", {"key": b"no key"}),
    ],
)
def test_a_bad_certificate(site, found, options):
    with pair(site, **options):
        facts = site.facts()
    assert ids(facts) == {found}
    assert said(facts)[0].what.startswith("Postfix and Dovecot: ")


def test_a_self_signed_certificate_is_a_note(site):
    facts = site.facts()
    assert said(facts) == []
    assert "certificate-self-signed" in {each.id for area in examine(facts) for each in area.findings}


def test_a_wildcard_is_a_name(site):
    with pair(site, "*.example1.com"):
        assert said(site.facts()) == []


def test_a_key_for_everybody(site):
    with mode(used(site), 0o644):
        assert ids(site.facts()) == {"certificate-open-key"}


def test_a_certificate_that_is_not_there(site):
    with away(used(site)):
        assert ids(site.facts()) == {"certificate-unusable"}


# --- SpamAssassin -------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def local_cf(site, old: str, new: str):
    file = site.layout.spamassassin_config / "local.cf"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    try:
        yield
    finally:
        file.write_text(text)


def test_spamd_reads_the_live_store(site):
    store = site.config.store.url.removeprefix("sqlite:///")
    with local_cf(site, f"dbname={site.config.spam.preferences}", f"dbname={store}"):
        assert ids(site.facts()) == {"spam-opens-live-store"}


@pytest.mark.parametrize(
    ("old", "new"), [("user_scores_sql_custom_query", "# no query"), ("ORDER BY prio ASC", "ORDER BY username")]
)
def test_the_default_query(site, old, new):
    with local_cf(site, old, new):
        assert ids(site.facts()) == {"spam-query"}


def test_preferences_that_spamd_cannot_read(site):
    with mode(Path(site.config.spam.preferences), 0o600):
        assert ids(site.facts()) == {"spam-preferences"}
    with away(Path(site.config.spam.preferences)):
        assert ids(site.facts()) == {"spam-preferences"}


def test_no_spamd(site):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = replace(site.config.server, ports=replace(site.config.server.ports, spamd=port))
    facts = replace(site, config=replace(site.config, server=server)).facts()
    assert ids(facts) == {"spamd-silent"}


# --- The store, mailhooks itself, the machine ---------------------------------------------------------------------


def test_root_made_a_file_of_the_store(site):
    """As a copy made by hand does, or sqlite3 run by root."""
    store = Path(site.config.store.url.removeprefix("sqlite:///"))
    before = store.stat()
    os.chown(store, 0, 0)
    try:
        facts = site.facts()
    finally:
        os.chown(store, before.st_uid, before.st_gid)
    cures = {each.id: each.cure for each in said(facts)}
    assert cures["store-owner"] == f"chown {before.st_uid}:{before.st_gid} {store}"
    _recovers(site)


def test_a_key_that_others_can_read(site):
    with mode(Path(site.config.store.key_file), 0o640):
        assert ids(site.facts()) == {"store-open-key"}


@pytest.mark.parametrize("given", [{"enabled": False}, {"allow": ["0.0.0.0/0", "::/0"]}])
def test_nobody_stops_guessing(site, given):
    throttle = configuration.parse({"throttle": given}).throttle
    assert ids(replace(site.facts(), config=replace(site.config, throttle=throttle))) == {"throttle-off"}


def test_a_clock_behind_the_store(site):
    facts = site.facts()
    assert facts.newest is not None
    assert ids(replace(facts, newest=facts.now + 3600)) == {"clock-behind-store"}
    assert ids(replace(facts, newest=facts.now + 60)) == set()


def test_a_clock_without_time_server_is_a_note(site):
    facts = replace(site.facts(), synchronised=False)
    assert said(facts) == []
    assert "clock-unsynchronised" in {each.id for area in examine(facts) for each in area.findings}


@pytest.mark.parametrize(
    ("found", "free", "free_files"),
    [
        ({"disk-full"}, 50 * 2**20, 10**6),  # less than a mail of the largest size needs
        ({"disk-low"}, 2**30, 10**6),
        ({"disk-full"}, 10**12, 0),
        ({"disk-low"}, 10**12, 500),
        (set(), 10**12, 10**6),
    ],
)
def test_a_disk(site, found, free, free_files):
    volume = Volume("queue", "/var/spool/postfix", free, 10**13, free_files, 10**8)
    assert ids(replace(site.facts(), volumes=(volume,))) == found


def test_the_disks_are_measured(site):
    uses = {each.use: each for each in site.facts().volumes}
    assert set(uses) == {"store", "mail", "queue"}
    assert all(0 < each.free < each.size for each in uses.values())
    beside = machine.volumes([("store", Path("/nowhere/at/all"))])[0]
    assert beside.size > 0


def _recovers(site):
    """Wait until the daemon has the store again, for the tests that follow."""
    end = time.monotonic() + 60
    while said(site.facts()):
        assert time.monotonic() < end, said(site.facts())
        time.sleep(0.05)
