"""What clients of the dict make the server hold, one by one and all together."""

from __future__ import annotations

import tracemalloc

import pytest
from auth_scene import Client, Scene

from mailhooks.dicts import NAMESPACES, chosen
from mailhooks.servers import dict_state
from mailhooks.servers.base import MAX_REPLIES_BYTES
from mailhooks.servers.dict import MAX_OPEN, DictConnection, DictServer
from mailhooks.servers.in_order import MAX_HELD_BYTES
from mailhooks.userdb import MailSettings
from mailhooks.wire.dict import Begin, Set

BO = "bo@example1.com"
MAIL_UID, OTHER = 5000, 5001
LONG = "x" * 65_000


@pytest.fixture
def scene(store, store_url, key_file, monkeypatch):
    scene = Scene(store, store_url, key_file)
    scene.add(BO)
    scene.uid = MAIL_UID
    monkeypatch.setattr(DictConnection, "peer_uid", property(lambda _: scene.uid))
    scene.dict = DictServer(
        scene.clock,
        scene.counters,
        store=store,
        writer=scene.writer,
        namespaces=chosen([*NAMESPACES, "userdb"], MailSettings(MAIL_UID, MAIL_UID, "/var/mail/%d/%n")),
        uids=(MAIL_UID,),
    )
    yield scene
    assert scene.dict.budget.held == sum(connection.budget.held for connection in scene.dict.connections)
    for connection in list(scene.dict.connections):
        connection.connectionLost()
    assert scene.dict.budget.held == 0
    scene.end()


def connect(scene, name="metadata"):
    client = Client(scene.dict)
    client.say(f"H4\t0\t0\t\t{name}\n")
    return client


def fill(client, transactions=MAX_OPEN, sets=15, user=BO):
    """Open as many transactions as the reviewer did, in pieces as they come from a socket."""
    for number in range(1, transactions + 1):
        client.say(f"B{number}\t{user}\t0\n")
        for each in range(sets):
            client.say(f"S{number}\tpriv/guid/{each}\t{LONG}\n")


def committed(scene, client, number):
    said = client.say(f"C{number}\n")
    scene.clock.wait_until(lambda: not client.protocol.pending)
    return said + client.heard()


@pytest.mark.parametrize(
    ("name", "uid", "user"),
    [
        ("metadata", OTHER, BO),
        ("metadata", OTHER, LONG),
        ("metadata", MAIL_UID, "no address"),
        ("quota", MAIL_UID, BO),  # it has no such keys
        ("sieve", MAIL_UID, BO),
        ("userdb", 0, BO),
    ],
)
def test_transactions_of_who_is_refused_were_kept_until_their_commit(scene, name, uid, user):
    """Thirty megabytes a connection for a peer that hears nothing."""
    scene.uid = uid
    client = connect(scene, name)
    tracemalloc.start()
    try:
        fill(client, user=user)
        assert tracemalloc.get_traced_memory()[0] < MAX_OPEN * 5000
    finally:
        tracemalloc.stop()
    assert client.protocol.budget.held < MAX_OPEN * 1000
    assert client.say("".join(f"C{number}\n" for number in range(1, MAX_OPEN + 1))).count("F") == MAX_OPEN
    assert not client.closed


def test_a_binary_value_and_an_expiry_keep_nothing_either(scene):
    client = connect(scene)
    client.say(f"B1\t{BO}\nS1\tpriv/a\t{LONG}\n")
    assert client.protocol.budget.held > len(LONG)
    client.say(b"S1\tpriv/b\t\xff\n")
    client.say(f"S1\tpriv/c\t{LONG}\nB2\t{BO}\t60\nS2\tpriv/a\t{LONG}\n")
    assert client.protocol.budget.held == 0
    assert [line[:2] for line in client.say("C1\nC2\n").splitlines()] == ["F1", "F2"]


def test_the_open_transactions_of_a_connection_were_bounded_one_by_one_only(scene):
    client = connect(scene)
    fill(client)
    assert client.protocol.budget.held <= MAX_HELD_BYTES
    answers = [committed(scene, client, number) for number in range(1, MAX_OPEN + 1)]
    assert answers[0] == "O1\n"
    assert answers[-1] == f"F{MAX_OPEN}\t{dict_state.TOO_LARGE}\n"
    assert client.protocol.budget.held == 0
    client.say(f"B1\t{BO}\t0\nS1\tpriv/guid/0\tshort\n")
    assert committed(scene, client, 1) == "O1\n"
    assert not client.closed


def test_all_that_an_account_may_keep_fits_in_one_transaction_in_any_script(scene):
    client = connect(scene)
    client.say(f"B1\t{BO}\t0\n")
    for number in range(900):
        client.say(f"S1\tpriv/guid/{number:03}\t{'x' * 1000}\U0001f600\n")
    assert committed(scene, client, 1) == "O1\n"


def test_a_transaction_of_too_many_changes_closed_the_connection(scene):
    client = connect(scene)
    client.say(f"B1\t{BO}\n" + "U1\tpriv/a\n" * (dict_state.MAX_OPERATIONS + 1))
    assert committed(scene, client, 1) == f"F1\t{dict_state.TOO_MANY}\n"
    client.say(f"B2\t{BO}\n" + "U2\tpriv/a\n" * dict_state.MAX_OPERATIONS)
    assert committed(scene, client, 2) == "O2\n"


def test_many_connections_held_as_much_as_they_liked_together(scene):
    clients = [connect(scene) for _ in range(dict_state.MAX_TOTAL_BYTES // MAX_HELD_BYTES + 3)]
    for client in clients:
        fill(client, transactions=5)
    assert scene.dict.budget.held <= dict_state.MAX_TOTAL_BYTES
    late = connect(scene)
    fill(late, transactions=1)
    assert committed(scene, late, 1) == f"F1\t{dict_state.TOO_MUCH_AT_ONCE}\n"
    assert scene.dict.counters.requests["metadata", "temporary"].value == 1
    for client in clients:
        client.leave()
    late.say(f"B1\t{BO}\nS1\tpriv/a\t1\n")
    assert committed(scene, late, 1) == "O1\n"


def test_what_the_writer_has_counts_until_it_is_answered(scene):
    client = connect(scene)
    client.say(f"B1\t{BO}\nS1\tpriv/a\t{LONG}\nC1\n")
    assert scene.dict.budget.held > len(LONG)
    client.leave()
    assert scene.dict.budget.held > len(LONG)
    scene.clock.wait_until(lambda: scene.dict.budget.held == 0)
    assert scene.store.attribute(BO, "priv/a") == LONG  # what was committed is written, heard or not


def test_a_write_that_was_answered_too_late_stayed_in_memory_in_the_writers_queue(scene):
    late = dict_state.Transaction(Begin(1, BO), NAMESPACES["metadata"], 0.0, scene.dict.budget)
    late.add(Set(1, "priv/a", LONG))
    assert late.commit()
    late.forget()
    assert scene.dict.budget.held == 0
    with scene.store.batch() as batch:
        assert late.write(batch) is False
    scene.store.renew()
    assert scene.store.attribute(BO, "priv/a") is None


def test_what_waits_behind_a_commit_was_bounded_in_number_and_not_in_bytes(scene):
    """A thousand lines of 64 KiB."""
    client = connect(scene)
    client.say(f"B1\t{BO}\nS1\tpriv/a\t1\nC1\nB2\t{BO}\n")
    lines = 1
    while client.transport.producerState == "producing":
        client.say(f"S2\tpriv/b\t{LONG}\n")
        lines += 1
    assert client.protocol.budget.held < MAX_HELD_BYTES / 2 + 2 * len(LONG)
    assert 15 < lines < 50
    client.protocol.resumeProducing()  # what was written was read: not yet a reason to read more
    assert client.transport.producerState == "paused"
    scene.clock.wait_until(lambda: not client.protocol.pending)
    assert client.heard() == "O1\n"
    assert client.transport.producerState == "producing"
    assert committed(scene, client, 2) == "O2\n"


def test_a_connection_where_nothing_waits_is_read_however_much_others_hold(scene):
    clients = [connect(scene) for _ in range(dict_state.MAX_TOTAL_BYTES // MAX_HELD_BYTES + 3)]
    for client in clients:
        fill(client, transactions=5)
    other = connect(scene, "quota")
    other.protocol.pauseProducing()
    other.protocol.resumeProducing()
    assert other.transport.producerState == "producing"


def test_the_answers_to_what_waited_were_not_bounded(scene):
    client = connect(scene)
    client.say(f"B1\t{BO}\nS1\tpriv/a\t{LONG}\n")
    assert committed(scene, client, 1) == "O1\n"
    asked = MAX_REPLIES_BYTES // len(LONG) + 10
    client.say(f"B1\t{BO}\nS1\tpriv/b\t1\nC1\n" + f"Lpriv/a\t{BO}\n" * asked)
    scene.clock.wait_until(lambda: not client.protocol.pending)
    assert MAX_REPLIES_BYTES < len(client.heard()) < MAX_REPLIES_BYTES + 2 * len(LONG)
    assert client.closed
