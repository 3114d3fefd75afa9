"""Every hook behind TLS, spoken to by a stock TLS client."""

from __future__ import annotations

import socket
import ssl

import pytest
from certificate import certificate
from live_daemon import ADAM, FOUND, LIMIT, Daemon

HELLO = b"VERSION\t1\t1\nCPID\t1\n"
LOGIN = HELLO + b"AUTH\t1\tPLAIN\tservice=smtp\tsecured\tresp=AGFkYW1AZXhhbXBsZTEuY29tAHJpZ2h0\n"
USER = b"VERSION\t1\t1\nUSER\t7\tadam@example1.com\tservice=lmtp\n"
TALKS = {  # what is said, and how the last line of the answer begins
    "login": (LOGIN, b"OK\t1\tuser=adam@example1.com"),
    "postfix_auth": (LOGIN, b"OK\t1\tuser=adam@example1.com"),
    "auth_master": (USER, b"USER\t7\tadam@example1.com"),
    "auth_userdb": (USER, b"USER\t7\tadam@example1.com"),
    "dict": (b"H3\t2\t0\t\tquota\nLpriv/quota/storage\tadam@example1.com\n", b"N"),
    "socketmap": (ADAM, FOUND),
    "policy": (b"request=smtpd_access_policy\nprotocol_state=RCPT\n\n", b"action=DUNNO\n\n"),
}


@pytest.fixture
def behind_tls(tmp_path):
    """A daemon with all its hooks behind TLS that asks for a certificate, and a client with one."""
    authority, issuer = certificate(tmp_path, "authority")
    server, _ = certificate(tmp_path, "server")
    friend, _ = certificate(tmp_path, "friend", issuer)
    free = [socket.create_server(("127.0.0.1", 0)) for _ in TALKS]
    ports = dict(zip(TALKS, (each.getsockname()[1] for each in free), strict=True))
    for each in free:
        each.close()
    tail = f":interface=127.0.0.1:privateKey={server}:clientCA={authority}"
    daemon = Daemon(tmp_path, **{hook: f"ssl:{port}{tail}" for hook, port in ports.items()})
    daemon.fill()
    daemon.start()
    yield daemon, ports, friend
    daemon.process.terminate()
    daemon.process.wait(LIMIT)
    daemon.process.stdout.close()
    daemon.told.close()


def connect(port, certificates):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if certificates:
        context.load_cert_chain(certificates)
    plain = socket.create_connection(("127.0.0.1", port), LIMIT)
    plain.settimeout(LIMIT)
    return context.wrap_socket(plain)


def is_turned_away(stranger, said):
    with stranger:
        try:
            stranger.sendall(said)
            return stranger.recv(4096) == b""
        except (ssl.SSLError, ConnectionError):
            return True


def test_hooks_that_greet_first_never_finished_the_handshake(behind_tls):
    daemon, ports, friend = behind_tls
    for hook, (said, heard) in TALKS.items():
        with connect(ports[hook], friend) as connection:
            connection.sendall(said)
            answer = b""
            while heard not in answer:
                more = connection.recv(4096)
                assert more, (hook, answer)
                answer += more
        assert is_turned_away(connect(ports[hook], None), said)
    status, text = daemon.get("/readyz")
    assert (status, text.count("ready")) == (200, len(TALKS)), text
