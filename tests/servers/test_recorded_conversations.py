"""What the real Dovecot once said to mailhooks, said again; tests/record.py makes the recordings."""

from __future__ import annotations

import queue
from pathlib import Path

import pytest
from auth_scene import Client, Scene

SAMPLES = sorted((Path(__file__).parent.parent / "samples").glob("2.*/*.txt"))
TRIES = 40


def parse(path):
    """The lines of a sample as (connection, who, line)."""
    lines, connection = [], ""
    for text in path.read_text().splitlines():
        if text.startswith("@ "):
            connection = text[2:]
        else:
            lines.append((connection, text[:2], text[3:].encode().decode("unicode_escape").encode("latin-1") + b"\n"))
    return lines


def said(lines, connection, word):
    """The value that mailhooks once said behind a word of its greeting."""
    prefix = f"{word}\t".encode()
    for label, who, line in lines:
        if label == connection and who == "S>" and line.startswith(prefix):
            return line[len(prefix) : -1].decode()
    raise AssertionError(f"{connection}: no {word}")


@pytest.fixture
def scene(store, store_url, key_file):
    scene = Scene(store, store_url, key_file)
    scene.add("bo@ex.test", password="{PLAIN}secret", quota=1_000_000)
    scene.cache.add("bo@ex.test", "secret", "of the logins before", 0.0)  # one credential for cache flush to forget
    yield scene
    scene.end()


def connect(scene, lines, connection):
    """A connection that greets as the recorded one did."""
    hook = connection.split()[0]
    server = {"login": scene.login, "dict": scene.dict}.get(hook, scene.master)
    if hook != "dict":
        server.spid = int(said(lines, connection, "SPID"))
    make = server.connection

    def remember():
        made = make()
        if hook == "login":
            made._cuid, made._cookie = int(said(lines, connection, "CUID")), said(lines, connection, "COOKIE")
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


@pytest.mark.parametrize("pieces", ["whole", "bytes"])
@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_recorded_conversation(scene, monkeypatch, path, pieces):
    monkeypatch.setattr("mailhooks.servers.auth_master.AuthMasterConnection.peer_uid", 0)
    lines, clients = parse(path), {}
    for connection, who, line in lines:
        if connection not in clients:
            clients[connection] = connect(scene, lines, connection)
        client = clients[connection]
        if who == "S>":
            client.all_expected += line.decode()
            listen(scene, client)
        else:
            for piece in [line] if pieces == "whole" else [bytes([byte]) for byte in line]:
                client.all_heard += client.say(piece)
    for client in clients.values():
        listen(scene, client)
        assert client.all_heard == client.all_expected
        assert not client.closed


def test_there_are_recordings():
    assert {path.stem for path in SAMPLES} >= {"imap-login", "pop3-login", "managesieve-login", "lmtp-delivery"}
