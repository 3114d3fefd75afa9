"""Scenario 42: a certificate that is replaced on disk is presented to new connections, and nobody is cut off."""

from __future__ import annotations

import os
import re
import signal
import socket
import ssl
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from server import Server, trusting, until

from mailhooks.stack import certificate

SERVICES = ("smtp", "submission", "submissions", "imap", "imaps", "sieve")
OPENING = {  # what a client says before TLS, and the end of the answer to it
    "smtp": (b"EHLO client.test\r\nSTARTTLS\r\n", b"Ready to start TLS\r\n"),
    "submission": (b"EHLO client.test\r\nSTARTTLS\r\n", b"Ready to start TLS\r\n"),
    "imap": (b"a STARTTLS\r\n", b"a OK Begin TLS negotiation now.\r\n"),
    "sieve": (b"STARTTLS\r\n", b'OK "Begin TLS negotiation now."\r\n'),
}


@pytest.fixture(scope="module")
def server(machine) -> Iterator[Server]:
    with Server(machine, environment={"LOG_LEVEL": "error"}) as running:
        running.furnish()
        yield running


def handshake(server: Server, service: str, context: ssl.SSLContext) -> ssl.SSLSocket:
    connection = socket.create_connection(("127.0.0.1", server.port[service]), 30)
    try:
        if service in OPENING:
            says, ends = OPENING[service]
            for line in says.splitlines(keepends=True):
                if "smtp" not in service and service != "submission":
                    connection.sendall(line)
                    continue
                _until(connection, b"\r\n")
                connection.sendall(line)
            _until(connection, ends)
        return context.wrap_socket(connection, server_hostname="mail.example1.com")
    except BaseException:
        connection.close()
        raise


def _until(connection: socket.socket, end: bytes) -> bytes:
    read = b""
    while not (re.search(rb"(?m)^\d\d\d .*\r\n\Z", read) if end == b"\r\n" else read.endswith(end)):
        data = connection.recv(4096)
        assert data, read
        read += data
    return read


def presented(server: Server, service: str) -> str:
    with handshake(server, service, trusting()) as connection:
        found = x509.load_der_x509_certificate(connection.getpeercert(binary_form=True))
    return str(found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def all_present(server: Server, name: str) -> bool:
    """Whether every service shows this certificate; who comes while a daemon reloads may have to come again."""
    try:
        return {presented(server, service) for service in SERVICES} == {name}
    except (OSError, AssertionError):
        return False


def replace(server: Server, name: str) -> None:
    """Put a new pair there as a renewal does: two files, each by renaming."""
    text, key = certificate.make(name, datetime.now(UTC))
    for file, data in (("cert.pem", text), ("key.pem", key)):
        put(server, file, data)


def put(server: Server, file: str, data: bytes) -> None:
    path = server.host(f"etc/ssl/{file}")
    fresh = path.with_suffix(".new")
    fresh.write_bytes(data)
    fresh.replace(path)


def test_without_one_a_self_signed_pair_is_made_and_said_so(server: Server):
    assert {presented(server, service) for service in SERVICES} == {"mail.example1.com"}
    assert "=====> no TLS certificate at" in server.log  # whatever LOG_LEVEL says


def test_it_is_said_at_every_start_until_another_one_comes(server: Server):
    assert server.stop() == 0
    server.start()
    assert server.log.count("=====> no TLS certificate at") == 2


def test_a_new_one_is_presented_everywhere_without_restart_and_sessions_stay(server: Server):
    imap = server.imap("adam@example1.com")
    smtp = server.smtp()
    pids = {name: server.pids(name) for name in ("serve", "postfix/sbin/master")}
    replace(server, "second.test")
    until("all present it", lambda: all_present(server, "second.test"))
    assert smtp.mail("joe@sender.test")[0] == 250
    assert smtp.rcpt("adam@example1.com")[0] == 250
    assert smtp.data(b"Subject: through it\r\n\r\nHello.\r\n")[0] == 250
    smtp.quit()
    assert imap.noop()[0] == "OK"
    imap.logout()
    assert pids == {name: server.pids(name) for name in pids}
    server.arrives("through it", "adam@example1.com")


def test_what_is_no_pair_keeps_the_old_one_and_is_said_once(server: Server):
    other, _ = certificate.make("other.test", datetime.now(UTC))
    put(server, "cert.pem", other)  # its key has not come
    until("it is told", lambda: "TLS GOES ON WITH THE OLD CERTIFICATE" in server.log)
    assert "KEY_VALUES_MISMATCH" in server.log
    assert {presented(server, service) for service in SERVICES} == {"second.test"}
    put(server, "key.pem", b"-----BEGIN PRIVATE KEY-----\nhalf")
    until("it is told", lambda: "holds no private key in PEM" in server.log)
    replace(server, "third.test")
    until("all present it", lambda: all_present(server, "third.test"))


def test_sighup_looks_at_once(server: Server):
    assert server.process is not None
    replace(server, "fourth.test")
    os.kill(server.process.pid, signal.SIGHUP)
    until("all present it", lambda: all_present(server, "fourth.test"))


@pytest.mark.parametrize("service", SERVICES)
def test_nothing_older_than_tls_1_2(server: Server, service):
    old = trusting()
    old.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        handshake(server, service, old)
    new = trusting()
    new.maximum_version = ssl.TLSVersion.TLSv1_2
    handshake(server, service, new).close()


def test_no_password_is_taken_in_clear(server: Server):
    with socket.create_connection(("127.0.0.1", server.port["submission"]), 30) as connection:
        _until(connection, b"\r\n")
        connection.sendall(b"EHLO client.test\r\n")
        assert b"AUTH" not in _until(connection, b"\r\n")
        connection.sendall(b"AUTH PLAIN AGFkYW0AcGFzcw==\r\n")
        assert _until(connection, b"\r\n")[:1] == b"5"
    with socket.create_connection(("127.0.0.1", server.port["smtp"]), 30) as connection:
        _until(connection, b"\r\n")
        connection.sendall(b"EHLO client.test\r\n")
        assert b"AUTH" not in _until(connection, b"\r\n")


def test_half_a_pair_at_the_start_is_refused(server: Server):
    assert server.stop() == 0
    put(server, "key.pem", b"nonsense")
    done = server.machine.run(*server.machine.program, "--config", str(server.config), "up")
    assert done.returncode == 2
    assert "server.certificate and server.key" in done.stderr
