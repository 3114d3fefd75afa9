"""What the real daemons once said to mailhooks, said again; tests/record.py makes the recordings."""

from __future__ import annotations

import queue

import pytest
from auth_scene import Client, Scene
from recordings import PATHS, Said, name, read

from mailhooks import tables
from mailhooks.dicts import chosen
from mailhooks.policy import Settings
from mailhooks.servers.policy import PolicyServer
from mailhooks.servers.rules import Rules
from mailhooks.servers.socketmap import SocketmapServer
from mailhooks.userdb import MailSettings

TRIES = 40
SCRIPT = 'require ["fileinto", "mailbox"];\nfileinto :create "Sorted";\n'
DICTS = ("quota", "lastlogin", "sieve", "metadata", "acl", "passdb", "userdb")


@pytest.fixture
def scene(store, store_url, key_file):
    """What was in the store when it was recorded, and a server behind each socket."""
    scene = Scene(store, store_url, key_file)
    scene.add("bo@ex.test", "al@ex.test", password="{PLAIN}secret", quota=1_000_000)
    with store.change("test") as change:
        change.add_alias("team@ex.test", ["bo@ex.test", "al@ex.test"])
        change.put_sieve("bo@ex.test", "mine", SCRIPT)
    store.renew()
    scene.dict.namespaces = chosen(DICTS, MailSettings(5000, 5000, "/var/mail/%d/%n"))
    hooks, rules = scene.counters.hooks, Rules(Settings(), store, scene.counters)
    lookups = {name: (lambda key, table=table: table(store, key, "+")) for name, table in tables.TABLES.items()}
    scene.servers = {
        "login": scene.login,
        "auth": scene.postfix,
        "auth-master": scene.master,
        "auth-userdb": scene.master,
        "dict": scene.dict,
        "policy": PolicyServer(scene.clock, hooks["policy"], decide=rules.decide),
        "socketmap": SocketmapServer(scene.clock, hooks["socketmap"], tables=lookups),
    }
    yield scene
    scene.end()


def greeted(conversation, connection, word):
    """The value that mailhooks once said behind a word of its greeting."""
    prefix = f"{word}\t".encode()
    for said in conversation:
        if said.connection == connection and said.who == "S>" and said.data.startswith(prefix):
            return said.data[len(prefix) : -1].decode()
    raise AssertionError(f"{connection}: no {word}")


def connect(scene, conversation, said):
    """A connection that greets as the recorded one did."""
    server = scene.servers[said.hook]
    if said.hook in ("login", "auth", "auth-master", "auth-userdb"):
        server.spid = int(greeted(conversation, said.connection, "SPID"))
    make = server.connection

    def remember():
        made = make()
        if said.hook in ("login", "auth"):
            made._cuid = int(greeted(conversation, said.connection, "CUID"))
            made._cookie = greeted(conversation, said.connection, "COOKIE")
        return made

    server.connection = remember
    client = Client(server)
    server.connection = make
    client.all_heard = client.all_expected = ""
    return client


def listen(scene, client):
    """Wait for what was expected; workers first, then time."""
    for _ in range(TRIES):
        client.all_heard += client.heard()
        if len(client.all_heard) >= len(client.all_expected):
            return
        try:
            function, arguments = scene.clock._handed.get(timeout=0.25)
        except queue.Empty:
            scene.clock.advance(0.5)
        else:
            function(*arguments)


def byte_by_byte(conversation):
    return [Said(said.connection, said.who, bytes([byte])) for said in conversation for byte in said.data]


def at_once(conversation):
    """One connection after the other; on each, every message has the next one behind it."""
    return [
        Said(
            connection,
            who,
            b"".join(said.data for said in conversation if (said.connection, said.who) == (connection, who)),
        )
        for connection in dict.fromkeys(said.connection for said in conversation)
        for who in ("C>", "S>")
    ]


def play(scene, conversation, arranged):
    """Say it all; return the clients, with what they heard and had to hear."""
    clients = {}
    for said in arranged:
        if said.connection not in clients:
            clients[said.connection] = connect(scene, conversation, said)
        client = clients[said.connection]
        if said.who == "S>":
            client.all_expected += said.data.decode()
            listen(scene, client)
        else:
            client.all_heard += client.say(said.data)
    assert not any(client.closed for client in clients.values())
    return clients.values()


@pytest.fixture(autouse=True)
def root(monkeypatch):
    """Whoever asks is root, as in the recordings."""
    for connection in ("auth_master.AuthMasterConnection", "dict.DictConnection"):
        monkeypatch.setattr(f"mailhooks.servers.{connection}.peer_uid", 0)


@pytest.mark.parametrize("arrange", [list, byte_by_byte])
@pytest.mark.parametrize("path", PATHS, ids=name)
def test_recorded_conversation(scene, path, arrange):
    conversation = read(path)
    for client in play(scene, conversation, arrange(conversation)):
        assert client.all_heard == client.all_expected


@pytest.mark.parametrize("path", PATHS, ids=name)
def test_recorded_conversation_with_the_next_message_behind_each(scene, path):
    conversation = read(path)
    for client in play(scene, conversation, at_once(conversation)):
        # Answers to logins come in any order.
        assert sorted(client.all_heard.split("\n")) == sorted(client.all_expected.split("\n"))


def test_there_are_recordings_of_both_generations():
    stems = {}
    for path in PATHS:
        stems.setdefault(path.parent.name, set()).add(path.stem)
    assert stems.keys() == {"2.3", "2.4", "3.7", "3.10"}
    assert stems["3.7"] == stems["3.10"] >= {"smtpd-plain", "smtpd-one-recipient", "smtpd-two-recipients"}
    assert stems["2.4"] >= {"imap-login", "pop3-login", "managesieve-login", "lmtp-delivery", "doveadm-user"}
    assert {stem for stem in stems["2.3"] if not stem.startswith("auth-worker")} == stems["2.4"]
