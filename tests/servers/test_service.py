"""The whole daemon as a process of its own, spoken to through its sockets; and what is decided before it starts."""

from __future__ import annotations

import base64
import dataclasses
import json
import signal
import sqlite3
import time
from contextlib import closing

import pytest
from live_daemon import ADAM, FOUND, LIMIT, Daemon

from mailhooks import config as configuration
from mailhooks.config import ConfigError
from mailhooks.endpoints import EndpointError
from mailhooks.hooks import HOOKS, enabled
from mailhooks.lifecycle import differences, read_token
from mailhooks.store import open_store
from mailhooks.wire import socketmap

AWAY = socketmap.temporary("the account store cannot answer now")


@pytest.fixture
def make(tmp_path):
    made = []

    def maker(**changes):
        made.append(Daemon(tmp_path, **changes))
        return made[-1]

    yield maker
    for daemon in made:
        daemon.close()


@pytest.fixture
def daemon(make):
    made = make()
    made.fill()
    return made.start()


def read_until(client, end):
    heard = b""
    while not heard.endswith(end):
        piece = client.recv(4096)
        assert piece, heard
        heard += piece
    return heard


def log_in(client, number=1, password="right", service="service=imap"):
    response = base64.b64encode(f"\0adam@example1.com\0{password}".encode()).decode()
    client.sendall(f"AUTH\t{number}\tPLAIN\t{service}\tsecured\tresp={response}\n".encode())


def test_all_hooks_answer_and_the_machine_sees_it(daemon):
    assert daemon.ask() == FOUND
    status, text = daemon.get("/readyz")
    assert (status, text.count(": ready\n")) == (200, len(daemon.sockets)), text
    assert daemon.get("/healthz") == (200, "alive\n")
    metrics = daemon.get("/metrics")[1]
    assert 'mailhooks_requests_total{hook="socketmap",result="found",table="virtual_mailbox_maps"} 1.0' in metrics
    assert "mailhooks_store_up 1.0" in metrics
    code, seconds, _ = daemon.end()
    assert code == 0
    assert seconds < 5
    assert not any(path.exists() for path in daemon.sockets.values())


def test_a_change_of_another_process_is_seen_also_where_the_answer_was_remembered(daemon):
    for _ in range(3):
        assert daemon.ask() == FOUND
    daemon.change(lambda change: change.remove_mailbox("adam@example1.com"))
    daemon.asks_until(socketmap.NOT_FOUND)


def test_it_starts_without_a_store_and_recovers_when_there_is_one(make):
    daemon = make().start()
    assert daemon.ask() == AWAY
    status, text = daemon.get("/readyz")
    assert status == 503
    assert "socketmap" in text
    assert "cannot answer now" in text
    assert daemon.get("/healthz")[0] == 200
    with daemon.connect("login") as client:
        assert read_until(client, b"DONE\n").startswith(b"VERSION\t1\t")
    assert not (daemon.directory / "mailhooks.db").exists()
    daemon.fill()
    daemon.asks_until(FOUND)
    assert daemon.get("/readyz")[0] == 200


def test_a_store_that_was_locked_whole_at_the_start_kept_everybody_waiting(make):
    """Handshakes and lookups came after SQLite's five seconds, again and again."""
    daemon = make()
    daemon.fill()
    with closing(sqlite3.connect(daemon.directory / "mailhooks.db", isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        other.execute("UPDATE meta SET change_number = change_number")
        daemon.start()
        for _ in range(5):
            assert daemon.ask() == AWAY
            with daemon.connect("login") as client:
                assert read_until(client, b"DONE\n").startswith(b"VERSION\t1\t")
        _, text = daemon.get("/metrics")
        lag = next(line for line in text.splitlines() if line.startswith("mailhooks_reactor_lag_seconds "))
        assert float(lag.split()[1]) < 4
        other.execute("ROLLBACK")
    daemon.asks_until(FOUND)


def test_a_store_that_is_moved_away_and_back_is_an_outage_and_its_end(daemon):
    path = daemon.directory / "mailhooks.db"
    for _ in range(3):
        daemon.ask()
    path.rename(path.with_suffix(".away"))
    daemon.asks_until(AWAY)
    path.with_suffix(".away").rename(path)
    daemon.asks_until(FOUND)


def test_a_store_that_was_written_with_another_key_is_named_at_start(make, tmp_path):
    daemon = make()
    daemon.fill()
    store = open_store(f"sqlite:///{tmp_path}/mailhooks.db", key_file=tmp_path / "key", create=True)
    with store.change("test") as change:
        change.add_relay("[relay.example.net]:587", username="u", password="s3cret")
    store.close()
    (tmp_path / "key").unlink()
    (tmp_path / "other").mkdir()
    other = open_store(f"sqlite:///{tmp_path}/other/mailhooks.db", key_file=tmp_path / "key", create=True)
    other.close()
    daemon.start()
    assert "written with another key than" in daemon.says("relay passwords cannot be read")
    relay = socketmap.request("smtp_sasl_password_maps", "[relay.example.net]:587")
    assert daemon.ask(relay) == AWAY
    assert daemon.ask() == FOUND


def test_objects_are_counted(daemon):
    end = time.monotonic() + LIMIT
    while 'mailhooks_objects{kind="mailbox",state="active"} 1.0' not in daemon.get("/metrics")[1]:
        assert time.monotonic() < end


def test_spam_preferences_are_published_at_start_and_after_a_change(daemon):
    path = daemon.directory / "spam/preferences.db"
    end = time.monotonic() + LIMIT
    while not path.exists():
        assert time.monotonic() < end
    before = path.stat().st_ino
    daemon.change(lambda change: change.set_preference("adam@example1.com", "required_score", "3.0"))
    while path.stat().st_ino == before:
        assert time.monotonic() < end


def test_a_granted_login_is_collected_after_the_signal_to_end(daemon):
    with daemon.connect("login") as client, daemon.connect("auth_master") as master:
        greeting = read_until(client, b"DONE\n").decode()
        cookie = next(line.split("\t")[1] for line in greeting.splitlines() if line.startswith("COOKIE"))
        read_until(master, b"\n")
        client.sendall(b"VERSION\t1\t2\nCPID\t4711\n")
        log_in(client)
        assert read_until(client, b"\n").startswith(b"OK\t1\tuser=adam@example1.com")
        daemon.process.terminate()
        daemon.hears(b"STOPPING=1")
        master.sendall(f"VERSION\t1\t1\nREQUEST\t9\t4711\t1\t{cookie}\tsession_pid=4712\n".encode())
        heard = read_until(master, b"\n")
        while b"USER\t9" not in heard:
            heard += read_until(master, b"\n")
        assert b"USER\t9\tadam@example1.com" in heard
    assert daemon.process.wait(LIMIT) == 0


def test_a_login_under_way_is_answered_after_the_signal_to_end_and_nobody_new_is_let_in(daemon):
    with daemon.connect("postfix_auth") as client:
        read_until(client, b"DONE\n")
        client.sendall(b"VERSION\t1\t0\nCPID\t1\n")
        log_in(client, service="service=smtp\tnologin")
        # The first attempt is a slow hash in a worker; the signal comes while it runs.
        daemon.process.terminate()
        assert read_until(client, b"\n").startswith(b"OK\t1\tuser=adam@example1.com")
        assert client.recv(100) == b""
    assert daemon.process.wait(LIMIT) == 0


def test_clients_that_never_leave_do_not_keep_it(daemon):
    silent = [daemon.connect(hook) for hook in daemon.sockets for _ in range(20)]
    half = daemon.connect("socketmap")
    half.sendall(b"40:virtual")
    code, seconds, _ = daemon.end()
    for each in (*silent, half):
        each.close()
    assert code == 0
    assert seconds < 5.5


def test_a_second_signal_ends_it_at_once(daemon):
    with daemon.connect("login") as client:
        read_until(client, b"DONE\n")
        client.sendall(b"VERSION\t1\t2\nCPID\t4711\n")
        log_in(client)
        read_until(client, b"\n")  # granted, and nobody will collect it
        daemon.process.terminate()
        daemon.hears(b"STOPPING=1")
        code, seconds, _ = daemon.end()
        assert code == 0
        assert seconds < 2


def test_twenty_reloads_under_traffic_fail_no_request(daemon):
    with daemon.connect("socketmap") as client:
        for _ in range(20):
            daemon.process.send_signal(signal.SIGHUP)
            for _ in range(20):
                client.sendall(ADAM)
                assert client.recv(100) == FOUND
        for _ in range(2):
            daemon.says("configuration read again")


def test_a_reload_takes_what_it_can_and_names_what_needs_a_restart(daemon):
    delimited = socketmap.request("virtual_mailbox_maps", "adam-x@example1.com")
    assert daemon.ask(delimited) == socketmap.NOT_FOUND
    daemon.write("[mail]\nrecipient_delimiter = '-'\nuid = 6000\n[log]\nformat = 'json'\n")
    daemon.process.send_signal(signal.SIGHUP)
    assert daemon.says("configuration read again").rstrip().endswith("a restart is needed for mail.uid")
    assert daemon.ask(delimited) == FOUND
    code, _, said = daemon.end()
    assert code == 0
    assert [json.loads(line)["message"] for line in said.splitlines()] == ["ending"]


@pytest.mark.parametrize(
    "bad", ["nonsense = [\n", "[policy]\nsmtp = ['quotas']\n", "[http]\ntoken_file = '/missing'\n"]
)
def test_a_reload_of_a_bad_configuration_keeps_the_old_one(daemon, bad):
    daemon.write(bad)
    daemon.process.send_signal(signal.SIGHUP)
    assert "the configuration is bad, the old one stays" in daemon.says("configuration")
    assert daemon.ask() == FOUND


def test_two_processes_share_the_work(make):
    first = make()
    first.fill()
    first.start("--only", "socketmap,http")
    assert {hook for hook, path in first.sockets.items() if path.exists()} == {"socketmap"}
    second = make(http=first.listen["http"]).start("--only", "policy, dict")
    assert {hook for hook, path in first.sockets.items() if path.exists()} == {"socketmap", "policy", "dict"}
    assert first.ask() == FOUND
    assert first.get("/readyz")[1].count("\n") == 1
    assert second.end()[0] == 0
    assert first.ask() == FOUND


def test_a_broken_stdout_ends_nothing(daemon):
    daemon.process.stdout.close()
    for _ in range(3):
        daemon.process.send_signal(signal.SIGHUP)
        assert daemon.ask() == FOUND
    daemon.process.terminate()
    assert daemon.process.wait(LIMIT) == 0
    daemon.process.stdout = None


def test_a_token_guards_the_numbers(make, tmp_path):
    (tmp_path / "token").write_text("s3cret\n")
    daemon = make()
    daemon.write(f"[http]\ntoken_file = '{tmp_path}/token'\n")
    daemon.start()
    assert daemon.get("/metrics")[0] == 401
    assert daemon.get("/metrics", "s3cret")[0] == 200


@pytest.mark.parametrize(
    ("changes", "arguments", "said"),
    [
        ({}, ["--only", "socketmap,nonsense"], "no hook 'nonsense'"),
        ({}, ["--only", "login"], "auth_master, auth_userdb, postfix_auth"),
        ({"policy": ""}, ["--only", "policy"], "policy is switched off"),
        ({"dict": "tcp:0:interface=127.0.0.1"}, [], "listen.dict"),
        ({"http": "tcp:0"}, [], "token_file"),
        ({"socketmap": "unix:/proc/nowhere/socketmap"}, [], "cannot listen on 'unix:/proc/nowhere/socketmap'"),
        ({"socketmap": "carrier:pigeon"}, [], "cannot listen on 'carrier:pigeon'"),
    ],
)
def test_what_cannot_be_served_is_one_clear_line_and_no_socket_is_left(make, changes, arguments, said):
    daemon = make(**changes)
    code, heard = daemon.fails(*arguments)
    assert code == 2
    assert said in heard
    assert "Traceback" not in heard
    assert len(heard.splitlines()) == 1
    assert not any(path.exists() for path in daemon.sockets.values())


def test_a_second_daemon_on_the_same_sockets_leaves_the_first_alone(daemon):
    second = Daemon(daemon.directory)
    code, heard = second.fails()
    second.close()
    assert code == 2
    assert "another process listens there" in heard
    assert daemon.ask() == FOUND


# What is decided before anything starts


def listen(**hooks):
    off = dict.fromkeys((hook for hook in HOOKS if hook != "tcp_table"), ())
    return dataclasses.replace(configuration.Config(), listen=configuration.ListenConfig(**(off | hooks)))


@pytest.mark.parametrize("hook", ["auth_master", "auth_userdb", "dict"])
@pytest.mark.parametrize("text", ["tcp:1:interface=127.0.0.1", "ssl:1:privateKey=k", "systemd:domain=INET:index=0"])
def test_what_is_for_few_is_never_served_in_clear(hook, text):
    with pytest.raises(EndpointError, match=f"listen.{hook} = "):
        enabled(listen(**{hook: (text,)}), None, token=True)
    enabled(listen(**{hook: ("ssl:1:privateKey=k:clientCA=c",)}), None, token=True)


def test_relay_passwords_are_never_served_in_clear():
    strings = ("tcp:1:interface=127.0.0.1",)
    with pytest.raises(EndpointError, match="smtp_sasl_password_maps"):
        enabled(listen(tcp_table={"smtp_sasl_password_maps": strings}), None, token=True)
    enabled(listen(tcp_table={"virtual_alias_maps": strings}), None, token=True)


@pytest.mark.parametrize(
    "text", ["tcp:9465", "tcp:9465:interface=192.0.2.1", "ssl:1:privateKey=k", "systemd:domain=INET:index=0"]
)
def test_http_beyond_loopback_needs_a_token(text):
    with pytest.raises(EndpointError, match="token_file"):
        enabled(listen(http=(text,)), None, token=False)
    enabled(listen(http=(text,)), None, token=True)


def test_a_table_that_does_not_exist_is_named_with_the_nearest():
    with pytest.raises(ConfigError, match="did you mean virtual_alias_maps"):
        enabled(listen(tcp_table={"virtual_alias_map": ("tcp:1",)}), None, token=True)


@pytest.mark.parametrize("only", [("login",), ("socketmap", "auth_userdb"), ("login", "postfix_auth", "auth_master")])
def test_the_auth_hooks_stay_together(only):
    with pytest.raises(ConfigError, match="one process serves"):
        enabled(configuration.Config(), only, token=True)


def test_auth_hooks_that_are_switched_off_need_no_company():
    config = listen(login=("unix:/x",), auth_master=("unix:/y",))
    assert {hook for hook, _ in enabled(config, ("login", "auth_master"), token=True)} == {"login", "auth_master"}


def test_differences_are_named_by_their_keys():
    old = configuration.Config()
    new = dataclasses.replace(
        old, mail=dataclasses.replace(old.mail, uid=1), log=dataclasses.replace(old.log, format="json", level="warn")
    )
    assert differences(old, new) == ["mail.uid", "log.format", "log.level"]
    assert differences(old, old) == []


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff"])
def test_a_token_file_that_holds_no_token_is_named(tmp_path, content):
    path = tmp_path / "token"
    path.write_bytes(content)
    config = dataclasses.replace(configuration.Config(), http=configuration.HttpConfig(token_file=str(path)))
    with pytest.raises(ConfigError, match=r"http\.token_file"):
        read_token(config)
