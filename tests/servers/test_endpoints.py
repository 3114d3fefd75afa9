"""Endpoint strings become real sockets; the reactor only keeps the list of who wants to read."""

from __future__ import annotations

import grp
import os
import select
import socket
import ssl
import stat
import threading

import pytest
from certificate import certificate
from twisted.internet import endpoints as twisted_endpoints
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure
from twisted.python.systemd import ListenFDs

from mailhooks.endpoints import EndpointError, Listener
from mailhooks.servers.ports import bind_unix
from mailhooks.servers.transport import TCPTransport, UNIXTransport


class Echo(Protocol):
    def dataReceived(self, data):  # noqa: N802 - Twisted's name
        self.transport.write(data)


class Scene:
    """Listens, and does by hand what a reactor does."""

    def __init__(self):
        self.reactor = MemoryReactorClock()
        self.factory = Factory.forProtocol(Echo)
        self.factory.noisy = False
        self.ports = []

    def listen(self, text, group=None):
        port = Listener.parse(text).listen(self.factory, self.reactor, group)
        self.ports.append(port)
        return port

    def turn(self, seconds=0.05):
        readers, writers, _ = select.select(self.reactor.getReaders(), self.reactor.getWriters(), [], seconds)
        for each in readers:
            self.step(each, each.doRead())
        for each in writers:
            self.step(each, each.doWrite())
        self.reactor.advance(0)

    def step(self, descriptor, reason):
        if reason is not None and reason is not descriptor:
            descriptor.connectionLost(Failure(reason))

    def transports(self):
        return [each for each in self.reactor.getReaders() if each not in self.ports]

    def stop(self):
        for each in self.transports():
            each.connectionLost(Failure(ConnectionDone()))
        for port in self.ports:
            port.stopListening()
        self.reactor.advance(0)
        for port in self.ports:
            if port.connected:
                port.connectionLost(Failure(ConnectionDone()))
        self.ports = []


@pytest.fixture
def scene():
    made = Scene()
    yield made
    made.stop()


def talk(scene, client):
    """Say something to the echo over a connected socket; return its transport's class."""
    client.sendall(b"hello")
    scene.turn()
    (transport,) = scene.transports()
    scene.turn()
    client.settimeout(5)
    assert client.recv(100) == b"hello"
    return type(transport)


def mode_of(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


def test_a_unix_socket_has_its_mode_and_answers(scene, tmp_path):
    path = tmp_path / "s"
    scene.listen(f"unix:{path}:mode=0640")
    assert mode_of(path) == 0o640
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        assert talk(scene, client) is UNIXTransport


def test_a_unix_socket_without_a_mode_is_not_for_everybody(scene, tmp_path):
    scene.listen(f"unix:{tmp_path}/s")
    assert mode_of(tmp_path / "s") == 0o660


def test_a_tcp_socket_answers(scene):
    port = scene.listen("tcp:0:interface=127.0.0.1")
    with socket.create_connection(("127.0.0.1", port.getHost().port)) as client:
        assert talk(scene, client) is TCPTransport


def test_a_new_socket_is_its_owners_until_it_is_ready_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        sock = bind_unix(tmp_path / "s", 0o666)
    finally:
        os.umask(before)
    with sock:
        assert mode_of(tmp_path / "s") == 0o600
        with socket.socket(socket.AF_UNIX) as client, pytest.raises(ConnectionRefusedError):
            client.connect(str(tmp_path / "s"))


def test_a_missing_directory_is_made(scene, tmp_path):
    scene.listen(f"unix:{tmp_path}/a/b/s")
    assert (tmp_path / "a/b/s").is_socket()


def test_a_stale_socket_is_replaced(scene, tmp_path):
    bind_unix(tmp_path / "s", 0o660).close()
    scene.listen(f"unix:{tmp_path}/s")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "s"))


def test_a_socket_in_use_is_left_alone(scene, tmp_path):
    scene.listen(f"unix:{tmp_path}/s")
    with pytest.raises(EndpointError, match="another process listens there"):
        scene.listen(f"unix:{tmp_path}/s")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "s"))


def test_a_file_in_the_way_is_left_alone(scene, tmp_path):
    (tmp_path / "s").write_text("mine")
    with pytest.raises(EndpointError, match="no socket"):
        scene.listen(f"unix:{tmp_path}/s")
    assert (tmp_path / "s").read_text() == "mine"


def test_a_path_that_is_too_long_is_named(scene, tmp_path):
    with pytest.raises(EndpointError, match="at most 107 bytes"):
        scene.listen(f"unix:{tmp_path}/{'x' * 120}")


def test_a_tcp_port_in_use_is_named(scene):
    port = scene.listen("tcp:0:interface=127.0.0.1").getHost().port
    with pytest.raises(EndpointError, match=f"tcp:{port}.*Address already in use"):
        scene.listen(f"tcp:{port}:interface=127.0.0.1")


def test_the_path_is_removed_at_the_end(scene, tmp_path):
    scene.listen(f"unix:{tmp_path}/s")
    scene.stop()
    assert not (tmp_path / "s").exists()


def test_the_path_is_left_to_another_process_that_took_it_over(scene, tmp_path):
    scene.listen(f"unix:{tmp_path}/s")
    (tmp_path / "s").unlink()
    with bind_unix(tmp_path / "s", 0o660):
        scene.stop()
        assert (tmp_path / "s").is_socket()


def test_a_socket_is_given_to_its_group(scene, tmp_path):
    name = grp.getgrgid(os.getegid()).gr_name
    scene.listen(f"unix:{tmp_path}/s:mode=0660:group={name}", group="no-such-group")
    assert os.lstat(tmp_path / "s").st_gid == os.getegid()


def test_a_group_that_did_not_stand_last_ended_in_words_of_python(scene, tmp_path):
    name = grp.getgrgid(os.getegid()).gr_name
    scene.listen(f"unix:{tmp_path}/s\\:x:group={name}:mode=0620", group="no-such-group")
    assert mode_of(tmp_path / "s:x") == 0o620
    assert os.lstat(tmp_path / "s:x").st_gid == os.getegid()


def test_an_argument_that_there_is_not_is_named(scene, tmp_path):
    with pytest.raises(EndpointError, match="has no argument grup="):
        scene.listen(f"unix:{tmp_path}/s:grup=mail")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to any group")
def test_a_default_group_is_a_name_or_a_number(scene, tmp_path):
    scene.listen(f"unix:{tmp_path}/a", group="daemon")
    scene.listen(f"unix:{tmp_path}/b", group=54321)
    assert os.lstat(tmp_path / "a").st_gid == grp.getgrnam("daemon").gr_gid
    assert os.lstat(tmp_path / "b").st_gid == 54321


def test_a_missing_default_group_is_a_warning(scene, tmp_path):
    seen = []
    globalLogPublisher.addObserver(seen.append)
    try:
        scene.listen(f"unix:{tmp_path}/s", group="no-such-group")
    finally:
        globalLogPublisher.removeObserver(seen.append)
    assert [event["group"] for event in seen if event["log_level"].name == "warn"] == ["no-such-group"]
    assert (tmp_path / "s").is_socket()


def test_a_missing_group_that_was_asked_for_is_an_error_and_leaves_no_socket(scene, tmp_path):
    with pytest.raises(EndpointError, match="no-such-group: there is no such group"):
        scene.listen(f"unix:{tmp_path}/s:group=no-such-group")
    assert not (tmp_path / "s").exists()


def inherit(monkeypatch, sock):
    descriptor = os.dup(sock.fileno())
    monkeypatch.setattr(twisted_endpoints._SystemdParser, "_sddaemon", ListenFDs([descriptor], ["mine"]))


@pytest.mark.parametrize("how", ["index=0", "name=mine"])
def test_an_inherited_unix_socket_keeps_its_mode_and_its_path(scene, tmp_path, monkeypatch, how):
    path = tmp_path / "s"
    with bind_unix(path, 0o600) as sock:
        path.chmod(0o620)
        sock.listen()
        inherit(monkeypatch, sock)
        port = scene.listen(f"systemd:domain=UNIX:{how}")
        assert os.fsdecode(port.getHost().name) == str(path)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            assert talk(scene, client) is UNIXTransport
        scene.stop()
        assert mode_of(path) == 0o620
        assert path.is_socket()


def test_an_inherited_tcp_socket_answers(scene, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as sock:
        inherit(monkeypatch, sock)
        scene.listen("systemd:domain=INET:index=0")
        with socket.create_connection(sock.getsockname()) as client:
            assert talk(scene, client) is TCPTransport


def test_a_socket_that_was_not_inherited_is_named(scene, monkeypatch):
    monkeypatch.setattr(twisted_endpoints._SystemdParser, "_sddaemon", ListenFDs([], []))
    with pytest.raises(EndpointError, match="no such socket was inherited"):
        scene.listen("systemd:domain=UNIX:name=other")


@pytest.mark.parametrize(
    ("text", "private", "loopback"),
    [
        ("unix:/run/x:mode=0600", True, True),
        ("systemd:domain=UNIX:name=x", True, True),
        ("systemd:domain=INET:name=x", False, False),
        ("tcp:1:interface=127.0.0.1", False, True),
        ("tcp:1:interface=localhost", False, True),
        ("tcp6:1:interface=\\:\\:1", False, True),
        ("tcp:1", False, False),
        ("tcp:1:interface=192.0.2.1", False, False),
        ("ssl:1:interface=127.0.0.1:privateKey=k", False, True),
        ("ssl:1:privateKey=k:clientCA=ca.pem", True, False),
    ],
)
def test_who_can_connect_is_told_by_the_string(text, private, loopback):
    listener = Listener.parse(text)
    assert (listener.private, listener.loopback) == (private, loopback)


@pytest.mark.parametrize(
    "text", ["", "unix", "unix:", "group=x", "/run/x", "tcp:1:group=postfix", "unix:/x:clientCA=y", "carrier:pigeon"]
)
def test_what_is_no_endpoint_is_named(scene, text):
    with pytest.raises(EndpointError):
        scene.listen(text)


# What Twisted itself does with pyOpenSSL.
TWISTED_WARNS = pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")


def tls_echo(scene, port, certificates):
    """What a TLS client hears back, or None when it is not let in."""
    heard = []

    def client():
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if certificates:
            context.load_cert_chain(certificates)
        try:
            with (
                socket.create_connection(("127.0.0.1", port), 5) as plain,
                context.wrap_socket(plain) as connection,
            ):
                connection.sendall(b"hello")
                heard.append(connection.recv(100) or None)
        except (ssl.SSLError, OSError):
            heard.append(None)

    thread = threading.Thread(target=client)
    thread.start()
    while thread.is_alive():
        scene.turn()
    return heard[0]


@TWISTED_WARNS
def test_tls_with_client_certificates_lets_in_only_who_has_one(scene, tmp_path):
    authority, issuer = certificate(tmp_path, "authority")
    server, _ = certificate(tmp_path, "server")
    friend, _ = certificate(tmp_path, "friend", issuer)
    stranger, _ = certificate(tmp_path, "stranger")
    port = scene.listen(f"ssl:0:interface=127.0.0.1:privateKey={server}:clientCA={authority}").getHost().port
    assert tls_echo(scene, port, friend) == b"hello"
    assert tls_echo(scene, port, stranger) is None
    assert tls_echo(scene, port, None) is None


@TWISTED_WARNS
def test_tls_without_client_certificates_lets_in_everybody(scene, tmp_path):
    server, _ = certificate(tmp_path, "server")
    port = scene.listen(f"ssl:0:interface=127.0.0.1:privateKey={server}").getHost().port
    assert tls_echo(scene, port, None) == b"hello"


@TWISTED_WARNS
def test_files_of_tls_that_cannot_be_used_are_named(scene, tmp_path):
    server, _ = certificate(tmp_path, "server")
    (tmp_path / "empty").write_text("")
    with pytest.raises(EndpointError, match=r"missing\.pem"):
        scene.listen(f"ssl:0:interface=127.0.0.1:privateKey={tmp_path}/missing.pem")
    with pytest.raises(EndpointError, match="empty holds no certificates"):
        scene.listen(f"ssl:0:interface=127.0.0.1:privateKey={server}:clientCA={tmp_path}/empty")
