"""Scenario 50: the walk of docs/backup.rst: a backup under load, the state directory lost, and everything back."""

from __future__ import annotations

import json
import math
import os
import shutil
import smtplib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from server import Q, Server, message, until

ADAM, BOB, CAROL = (f"{name}@example1.com" for name in ("adam", "bob", "carol"))
NEXTHOP = "[relay.test]:587"
MAX_SENT = 80  # below the limit of recipients that Adam gets
RULE = 'require ["fileinto", "mailbox"];\nif header :contains "subject" "sorted" { fileinto :create "Sorted"; }\n'
LISTINGS = (
    ("domain", "list"),
    ("user", "list"),
    ("user", "show", BOB),
    ("app-password", "list", ADAM),
    ("alias", "list"),
    ("sender", "list"),
    ("relay", "list"),
    ("limit", "list"),
    ("spam", "list"),
    ("sieve", "list", ADAM),
)


@pytest.fixture(scope="module")
def server(machine):
    settings = {"server": {"sieve_dict": True}, "server.ports": {"sieve": 0}}
    with Server(machine, settings=settings) as running:
        running.furnish()
        yield running


def settle_in(server: Server) -> str:
    """Make one of everything that a store can hold; return Adam's app password."""
    server.mailhooks("domain", "add", "example3.com", "--alias-of", "example1.com")
    server.mailhooks("user", "set", BOB, "--quota", "100M", "--state", "no-send", "--reason", "ask the postmaster")
    server.mailhooks("alias", "set", "team@example1.com", "--posting", "members")
    server.mailhooks("sender", "allow", ADAM, "team@example1.com")
    server.mailhooks("relay", "add", NEXTHOP, "--username", "me", "--password-stdin", given="Sesame-Q8\n")
    server.mailhooks("limit", "set", ADAM, "--recipients", "100/1h")
    server.mailhooks("spam", "set", ADAM, "required_score", "3.5")
    server.mailhooks("sieve", "put", ADAM, "rules", given=RULE)
    return server.mailhooks("app-password", "add", ADAM, "--label", "phone", "--services", "imap").split()[-1]


def told(server: Server) -> dict[str, object]:
    """What the listings say, and every exported file, without the accounts that the load makes."""
    answers: dict[str, object] = {}
    for arguments in LISTINGS:
        answer = json.loads(server.mailhooks(*arguments, "--json"))
        if isinstance(answer, list):
            answer = [row for row in answer if "load" not in str(row)]
        answers[" ".join(arguments)] = answer
    where = server.host("export")
    server.mailhooks("export", "seed", str(server.root / "export"))
    for file in sorted(where.iterdir()):
        answers[file.name] = [line for line in file.read_text().splitlines() if not line.startswith("load")]
    shutil.rmtree(where)
    return answers


@contextmanager
def load(server: Server) -> Iterator[tuple[list[int], list[str]]]:
    """Make accounts and deliver mail until the block ends; lists what was acknowledged."""
    stop, made, sent, errors = threading.Event(), [], [], []

    def add(number: int) -> None:
        server.add_user(f"load{number}@example1.com")
        made.append(number)

    def send(number: int) -> None:
        with server.submit(ADAM) as client:  # mail of users is not scanned, so that the queue keeps up
            assert client.send_message(message(f"load {number}"), ADAM, [CAROL]) == {}
        sent.append(f"load {number}")

    def repeat(step: Callable[[int], None], most: float) -> None:
        number = 0
        try:
            while not stop.is_set() and number < most:
                step(number)
                number += 1
        except BaseException as error:  # noqa: BLE001 - told below
            errors.append(error)

    threads = [threading.Thread(target=repeat, args=each) for each in ((add, math.inf), (send, MAX_SENT))]
    for thread in threads:
        thread.start()
    try:
        until("the load is on", lambda: errors or (made and sent))
        yield made, sent
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert errors == []


def run(server: Server, *arguments: str) -> tuple[int, str]:
    """Run a command of which the exit code and the words on stderr matter."""
    done = server.machine.run(*server.machine.program, "--config", str(server.config), *arguments)
    return done.returncode, done.stderr


def numbers_of_load(server: Server) -> list[int]:
    names = [user["address"].split("@")[0] for user in json.loads(server.mailhooks("user", "list", "--json"))]
    return sorted(int(name.removeprefix("load")) for name in names if name.startswith("load"))


def test_backup_disaster_restore(server: Server):
    app_password = settle_in(server)
    before = told(server)
    backups = server.host("backups")
    backups.mkdir()
    with load(server) as (made, sent):
        for _ in range(3):
            at_least = len(made)
            output = server.mailhooks("store", "backup", str(server.root / "backups"), "--keep", "2")
        until("the load goes on", lambda: len(made) > at_least)
    assert len(list(backups.iterdir())) == 2
    latest = server.root / "backups" / Path(output.strip()).name
    code, said = run(server, "store", "restore", str(latest))
    assert (code, "stop that first" in said) == (75, True)

    server.drain()
    state = server.host("var/lib/mailhooks")
    key = (state / "key").read_bytes()
    assert all(key.strip() not in file.read_bytes() for file in backups.iterdir())
    server.stop()
    shutil.rmtree(state)

    code, said = run(server, "store", "restore", str(latest))
    assert (code, "cannot read the key file" in said) == (0, True)
    assert "key" in server.mailhooks("store", "check", code=1)
    (state / "key").write_bytes(key)
    (state / "key").chmod(0o600)
    os.chown(state / "key", state.stat().st_uid, state.stat().st_gid)
    assert state.stat().st_uid != 0
    server.mailhooks("store", "check")
    assert told(server) == before
    restored = numbers_of_load(server)
    assert restored == list(range(len(restored)))
    assert at_least <= len(restored) <= len(made)

    server.start()
    assert server.subjects(CAROL) == sorted(sent)  # no mail was lost with the store
    everything_works(server, app_password)


def everything_works(server: Server, app_password: str) -> None:
    """Mail goes where it went, and everybody may do what he might, no more."""
    for recipient, reader in (
        ("office@example1.com", ADAM),
        ("adam+work@example3.com", ADAM),
        ("anything@example2.com", "bob@example2.com"),
        (BOB, BOB),
    ):
        server.deliver(f"to {recipient}", recipient)
        server.arrives(f"to {recipient}", reader)
    server.deliver("sorted", ADAM)
    server.arrives("sorted", ADAM, "Sorted")
    server.imap(ADAM, app_password).logout()
    server.imap("load0@example1.com").logout()
    with server.submit(ADAM) as client:
        client.mail("team@example1.com")  # granted
        assert client.rcpt("team@example1.com")[0] == 250
    with pytest.raises(smtplib.SMTPAuthenticationError):
        server.submit(ADAM, app_password)
    with pytest.raises(smtplib.SMTPAuthenticationError, match="ask the postmaster"):
        server.submit(BOB)
    with server.smtp() as client:
        client.mail("joe@sender.test")
        assert [client.rcpt(each)[0] for each in ("nobody@example1.com", "team@example1.com", ADAM)] == [550, 550, 250]
    table = f"socketmap:unix:{server.root}/var/spool/postfix/mailhooks/socketmap:smtp_sasl_password_maps"
    configuration = f"{server.root}/run/mailhooks-stack/postfix"
    assert server.machine.run("postmap", "-c", configuration, "-q", NEXTHOP, table).stdout == "me:Sesame-Q8\n"
    assert Q not in server.log
