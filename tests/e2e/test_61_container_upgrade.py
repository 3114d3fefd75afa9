"""Scenario 61: the image of the commit before gives its volumes over to the image of this one."""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from container import PODMAN, Image
from server import Server, free_ports, message, until

MACHINES = ("container",)

ROOT = Path(__file__).parents[2]
BEFORE = "localhost/mailhooks-test-before"
BUILD_SECONDS = 600
ADAM = "adam@example1.com"


@pytest.fixture(scope="module")
def before(machine: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """Build the image of the commit before; of this one where there is none, as in an unpacked archive."""
    source = tmp_path_factory.mktemp("before")
    archive = source / "archive.tar"
    made = subprocess.run(
        ["git", "-C", str(ROOT), "archive", "--output", str(archive), "HEAD~1"], check=False, timeout=60
    )
    if made.returncode == 0:
        subprocess.run(["tar", "-C", str(source), "-xf", str(archive)], check=True, timeout=60)
    has_image = (source / "docker/Dockerfile").exists()
    subprocess.run(
        [str(ROOT / "scripts/container-image"), BEFORE, str(source if has_image else ROOT)],
        check=True,
        timeout=BUILD_SECONDS,
    )
    yield dataclasses.replace(machine, image=BEFORE)
    subprocess.run([*PODMAN, "rmi", BEFORE], check=True, timeout=60, capture_output=True)


def folders(server: Server) -> dict[str, tuple[str, str]]:
    """Return UIDVALIDITY and UIDs of each of adam's folders: when they change, clients fetch everything anew."""
    client = server.imap(ADAM)
    try:
        found = {}
        for folder in ("INBOX", "Work"):
            client.select(folder, readonly=True)
            validity = client.response("UIDVALIDITY")[1]
            found[folder] = (str(validity), str(client.uid("SEARCH", "ALL")[1]))
        return found
    finally:
        client.logout()


def told(server: Server) -> dict[str, str]:
    """Return all accounts as flat files."""
    directory = server.host("exported")
    server.mailhooks("export", "seed", str(server.root / "exported"))
    files = {path.name: path.read_text() for path in directory.iterdir()}
    for path in directory.iterdir():
        path.unlink()
    directory.rmdir()
    return files


def test_a_new_image_takes_over_everything(machine: Image, before: Image):
    nowhere = f"[{machine.loopback}]:{free_ports(1)[0]}"  # nobody listens there: what goes out waits
    with Server(before, {"server": {"relayhost": nowhere}}) as server:
        server.furnish()
        server.mailhooks("relay", "add", "[smtp.example.net]:587", "--username", "me", "--password-stdin", given="pw\n")
        client = server.imap(ADAM)
        client.create("Work")
        client.logout()
        server.deliver("before", ADAM)
        server.deliver("to the folder", "adam+work@example1.com")
        server.arrives("before", ADAM)
        server.arrives("to the folder", ADAM, "Work")
        with server.submit(ADAM) as client:
            client.send_message(message("still waiting"), ADAM, ["reader@remote.test"])
        until("the mail waits", lambda: any(mail["queue_name"] == "deferred" for mail in server.postqueue()))
        accounts, mail = told(server), folders(server)
        assert server.stop() == 0

        server.machine = machine
        server.start()
        assert told(server) == accounts
        assert folders(server) == mail
        assert [waiting["sender"] for waiting in server.postqueue()] == [ADAM]
        server.deliver("after", ADAM)
        server.arrives("after", ADAM)
        with contextlib.closing(server.submit("bob@example1.com")) as client:
            assert client.noop()[0] == 250
