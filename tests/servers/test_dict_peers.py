"""Who is told what by the dict, long lists, and refusals of the writer's thread."""

from __future__ import annotations

import pytest
from auth_scene import Client, Scene

from mailhooks.dicts import NAMESPACES, chosen
from mailhooks.servers.dict import DictConnection, DictServer
from mailhooks.servers.listing import STEP
from mailhooks.userdb import MailSettings
from mailhooks.wire import dict as wire

BO = "bo@example1.com"
ALL = "I0\t0\tshared/userdb/\t*\n"
MAIL_UID, OTHER = 5000, 5001


@pytest.fixture
def scene(store, store_url, key_file, monkeypatch):
    scene = Scene(store, store_url, key_file)
    scene.add(BO, password="{PLAIN}secret")
    scene.uid = 0
    monkeypatch.setattr(DictConnection, "peer_uid", property(lambda _: scene.uid))
    namespaces = chosen([*NAMESPACES, "passdb", "userdb"], MailSettings(MAIL_UID, MAIL_UID, "/var/mail/%d/%n"))
    scene.dict = DictServer(
        scene.clock,
        scene.counters,
        store=store,
        writer=scene.writer,
        namespaces=namespaces,
        uids=(MAIL_UID,),
        private_uids=(113,),
    )
    yield scene
    scene.end()


def connect(scene, name, uid=0):
    scene.uid = uid
    client = Client(scene.dict)
    client.say(f"H3\t2\t0\t\t{name}\n")
    return client


def listed(scene, client, text=ALL):
    client.say(text)
    heard = ""
    while not heard.endswith(("\n\n", "now\n", "mailhooks\n")) and heard != "\n":
        scene.clock.advance(0)
        heard += client.heard()
    return heard.split("\n")


@pytest.mark.parametrize(
    ("name", "uid", "hears"),
    [
        ("metadata", 0, True),
        ("metadata", MAIL_UID, True),
        ("metadata", None, True),  # TLS with a verified certificate
        ("metadata", OTHER, False),
        ("passdb", 0, True),
        ("passdb", 113, True),
        ("passdb", MAIL_UID, False),
        ("passdb", None, False),
        ("userdb", MAIL_UID, False),
        ("userdb", 113, True),
    ],
)
def test_the_uid_of_the_peer_decides(scene, name, uid, hears):
    client = connect(scene, name, uid)
    key = f"shared/userdb/{BO}" if name != "metadata" else "priv/0123/comment"
    answer = client.say(f"L{key}\t{BO}\n")
    assert answer.startswith(("O{", "N\n")) if hears else answer == f"Fthis dict does not answer uid {uid}\n"
    assert not client.closed


def test_who_is_not_answered_reads_lists_and_writes_nothing(scene):
    client = connect(scene, "metadata", OTHER)
    assert client.say(f"I1\t0\tpriv/\t{BO}\nB1\t{BO}\nS1\tpriv/a\t1\nC1\nL{'x'}\t{BO}\n").count("F") == 3
    assert scene.writer.depth == 0
    refused = connect(scene, "userdb", OTHER)
    assert refused.say(ALL) == f"Fthis dict does not answer uid {OTHER}\n"


def test_a_password_hash_is_found_by_root(scene):
    assert "{PLAIN}secret" in connect(scene, "passdb").say(f"Lshared/passdb/imap/{BO}\t{BO}\n")


def test_all_users_are_listed_step_by_step_and_what_is_asked_behind_waits(scene):
    scene.add(*(f"user{number:04}@example1.com" for number in range(2 * STEP)))
    client = connect(scene, "userdb")
    assert client.say(ALL + f"Lshared/userdb/{BO}\t{BO}\n") == ""  # everybody else gets a turn first
    scene.clock.advance(0)
    lines = client.heard().split("\n")
    assert len(lines) == 2 * STEP + 1 + 3
    assert all(line.startswith("Oshared/userdb/") for line in lines[: 2 * STEP + 1])
    assert lines[-3] == lines[-1] == ""
    assert lines[-2].startswith('O{"uid": 5000')


def test_a_list_may_be_cut_and_without_values(scene):
    scene.add("al@example1.com")
    client = connect(scene, "userdb")
    assert listed(scene, client, "I8\t1\tshared/userdb/\t*\n") == ["Oshared/userdb/al@example1.com\t", "", ""]
    assert listed(scene, client, "I0\t0\tshared/other/\t*\n") == ["", ""]


def test_a_list_that_cannot_be_finished_fails(scene, tmp_path):
    client = connect(scene, "userdb")
    (tmp_path / "mailhooks.db").rename(tmp_path / "away.db")
    scene.store.renew()
    assert listed(scene, client)[-2:] == ["Fthe store cannot answer now", ""]


def test_a_list_ends_with_its_reader_and_pauses_with_it(scene):
    scene.add(*(f"user{number:04}@example1.com" for number in range(2 * STEP)))
    client = connect(scene, "userdb")
    client.say(ALL)
    client.protocol.pauseProducing()
    scene.clock.advance(0)
    assert client.heard().count("\n") == STEP
    scene.clock.advance(1)
    assert client.heard() == ""
    client.protocol.resumeProducing()
    client.leave()
    scene.clock.advance(1)
    assert client.heard() == ""


def test_what_the_writer_refuses_is_told_with_its_id_and_costs_nobody_else_anything(scene, monkeypatch):
    monkeypatch.setattr("mailhooks.dicts.metadata.MAX_KEYS", 1)
    one, other = connect(scene, "metadata", MAIL_UID), connect(scene, "quota", MAIL_UID)
    one.say(f"B7\t{BO}\nS7\tpriv/a\t1\nS7\tpriv/b\tmy secret\nC7\n")
    other.say(f"B1\t{BO}\nS1\tpriv/quota/storage\t663\nC1\n")
    scene.clock.wait_until(lambda: not (one.protocol.pending or other.protocol.pending))
    assert one.heard() == f"F7\t{BO} has 0 attributes: at most 1\n"
    assert other.heard() == "O1\n"
    assert one.say(f"Lpriv/a\t{BO}\n") == "N\n"


def test_metadata_as_dovecot_asks_for_it(scene):
    client = connect(scene, "metadata", MAIL_UID)
    client.say(f'B1\t{BO}\nS1\tpriv/01/comment\thello"w\x01nmore\nB2\t{BO}\nS2\tshared/01/comment\tall\nC1\nC2\n')
    scene.clock.wait_until(lambda: not client.protocol.pending)
    assert client.heard() == "O1\nO2\n"
    assert client.say(f"Lpriv/01/\t{BO}\nI9\t0\tpriv/01/\t{BO}\nLpriv/01/comment\t{BO}\n") == (
        'N\nOpriv/01/comment\t\n\nOhello"w\x01nmore\n'
    )


def test_a_line_as_long_as_dovecot_sends_is_taken_whole(scene):
    client = connect(scene, "metadata", MAIL_UID)
    line = f"S1\tpriv/a\t{'x' * (wire.MAX_LINE - 10)}"
    assert len(line) == wire.MAX_LINE
    client.say(f"B1\t{BO}\n{line}\nC1\n")
    scene.clock.wait_until(lambda: not client.protocol.pending)
    assert client.heard() == "O1\n"
    client.say(f"B2\t{BO}\n{line}x\n")
    assert client.closed
