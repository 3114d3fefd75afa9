"""Scenario 60: what the image promises beside the scenarios of the main job: ports, rights, lives and deaths."""

from __future__ import annotations

import contextlib
import imaplib
import json
import os
import signal
import smtplib
import socket
import subprocess
import threading
import time
from base64 import b64encode
from pathlib import Path

import pytest
from certificates import shown, write_pair
from container import PODMAN, hardening
from server import Q, Server, message, until
from traffic import CLIENTS, Traffic, everything_arrives

MACHINES = ("container",)

ADAM = "adam@example1.com"
SESSION_SECONDS = 90
CHILDREN = (" -m mailhooks", "dovecot -F", "spamd -x", "sbin/master")


@pytest.fixture(scope="module")
def server(machine):
    running = Server(machine)
    running.host("tls").mkdir()
    write_pair(running.host("tls"), "mail.example1.com")
    with running:
        running.furnish()
        yield running


# --- the image ----------------------------------------------------------------------------------------------------


def test_the_image_says_what_it_is(machine):
    shown = subprocess.run(
        [*PODMAN, "image", "inspect", machine.image], capture_output=True, check=True, timeout=60, text=True
    )
    inspected = json.loads(shown.stdout)[0]
    config = inspected["Config"]
    assert config["Entrypoint"] == ["tini", "--", "mailhooks"]
    assert config["Cmd"] == ["up"]
    assert config["StopSignal"] == "SIGTERM"
    assert inspected["Healthcheck"]["Test"] == ["CMD", "mailhooks", "ready"]
    assert set(config["Volumes"]) == {"/var/lib/mailhooks", "/var/mail", "/var/spool/postfix"}
    assert {int(port.removesuffix("/tcp")) for port in config["ExposedPorts"]} == {25, 143, 465, 587, 993, 4190}
    assert {"org.opencontainers.image.title", "org.opencontainers.image.revision"} <= set(config["Labels"])


def test_the_image_holds_no_compiler_no_installer_and_no_private_key(server: Server):
    for program in ("gcc", "cc", "make", "pip", "pip3", "git"):
        assert server.run("sh", "-c", f"command -v {program}").returncode != 0, program
    assert server.run("python", "-m", "pip").returncode != 0
    keys = server.run(
        *("find", "/", "-xdev", "-path", "/proc", "-prune", "-o", "-type", "f", "-size", "-100k"),
        *("-exec", "grep", "-lIE", "-e", "^-----BEGIN .*PRIVATE KEY-----", "{}", "+"),
    )
    mounted = ("/scenario/", "/run/", "/etc/ssl/key.pem")
    assert [line for line in keys.stdout.splitlines() if not line.startswith(mounted)] == []


# --- what is open to the world ------------------------------------------------------------------------------------


def test_no_service_takes_a_password_without_tls(server: Server):
    with server.smtp("smtp") as client:
        assert "auth" not in client.esmtp_features
    for service in ("smtp", "submission"):
        with smtplib.SMTP("127.0.0.1", server.port[service], "client.test", timeout=60) as client:
            client.ehlo()
            assert "auth" not in client.esmtp_features
            assert client.docmd("AUTH", "PLAIN AGFkYW0AeA==")[0] >= 500
    # Dovecot itself holds a client that bears the container's own address for one of the same machine.
    client = imaplib.IMAP4("127.0.0.1", server.port["imap"], timeout=60)
    with pytest.raises(imaplib.IMAP4.error, match="over TLS only"):
        client.login(ADAM, Q)
    client.shutdown()
    with socket.create_connection(("127.0.0.1", server.port["sieve"]), 60) as sieve, sieve.makefile("rwb") as lines:
        lines.write(b'AUTHENTICATE "PLAIN" "' + b64encode(f"\0{ADAM}\0{Q}".encode()) + b'"\r\n')
        lines.flush()
        greeted = iter(lines.readline, b"")
        next(line for line in greeted if line.startswith(b"OK"))
        assert next(greeted).startswith(b"NO")


def test_nobody_relays_through_a_published_port(server: Server):
    for sender in ("joe@sender.test", ADAM, ""):
        with server.smtp() as client:
            client.mail(sender)
            code, text = client.rcpt("someone@elsewhere.test")
            assert (code, b"Relay access denied" in text) == (554, True)
    # The address that every client behind the published port bears is the container's own.
    refused = next(line for line in server.log.splitlines() if "someone@elsewhere.test" in line)
    assert "[10.0.2.100]" in refused


def openssl_session(server: Server, service: str) -> list[str]:
    """The session of the old manual, with its spaces after the colon and without its typo; returns the replies."""
    lines = [
        "EHLO example.com",
        "MAIL FROM: <joe@example.com>",
        f"RCPT TO: <{ADAM}>",
        "DATA",
        "Subject: by hand\n\nHello Adam\n.",
        "QUIT",
    ]
    where = ("-starttls", "smtp", "-connect", f"127.0.0.1:{server.port[service]}")
    client = subprocess.Popen(
        ["openssl", "s_client", "-quiet", "-crlf", *where],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    late = threading.Timer(SESSION_SECONDS, client.kill)
    late.start()
    assert client.stdin is not None
    assert client.stdout is not None
    replies: list[str] = []
    with client, contextlib.suppress(BrokenPipeError):
        while lines:
            client.stdin.write(lines.pop(0) + "\n")
            client.stdin.flush()
            while (reply := client.stdout.readline()) and reply[3:4] != " ":
                pass
            replies.append(reply.strip())
            if reply.startswith("5"):
                lines = lines[-1:]
    late.cancel()
    return replies


def test_the_old_manuals_session_delivers_on_port_25(server: Server):
    replies = openssl_session(server, "smtp")
    assert [reply[:3] for reply in replies] == ["250", "250", "250", "354", "250", "221"], replies
    assert b"Hello Adam" in server.arrives("by hand", ADAM)


def test_the_same_session_is_refused_on_port_587(server: Server):
    replies = openssl_session(server, "submission")
    assert [reply[:3] for reply in replies] == ["250", "250", "554", "221"], replies
    assert "Access denied" in replies[2]


# --- rights -------------------------------------------------------------------------------------------------------


def test_the_container_has_the_rights_of_compose_yaml_and_no_other(server: Server):
    """Every scenario of this job runs with them: they are enough."""
    command = server.run("cat", "/proc/1/status").stdout
    status = dict(line.split(":\t", 1) for line in command.splitlines())
    numbers = {"CHOWN": 0, "DAC_OVERRIDE": 1, "FOWNER": 3, "KILL": 5, "SETGID": 6, "SETUID": 7}
    numbers |= {"NET_BIND_SERVICE": 10, "SYS_CHROOT": 18}  # capability.h
    assert int(status["CapBnd"], 16) == sum(1 << number for number in numbers.values())
    options = hardening()
    assert {options[at + 1] for at, option in enumerate(options) if option == "--cap-add"} == set(numbers)
    for place in ("/var/tmp", "/etc", "/opt/mailhooks"):
        assert server.run("touch", f"{place}/new").returncode != 0, place


def test_mailhooks_runs_as_its_own_user_with_no_capability(server: Server):
    (pid,) = server.pids(" -m mailhooks")
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    assert status["Uid"].split() == ["900"] * 4
    assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {0}
    assert status["NoNewPrivs"] == "1"


def test_a_user_made_by_exec_logs_in_at_once(server: Server):
    server.add_user("zoe@example1.com")
    server.imap("zoe@example1.com").logout()
    server.submit("zoe@example1.com").quit()


def test_the_health_check_is_content_and_says_why_when_it_is_not(server: Server):
    until("the server is ready", lambda: server.run("mailhooks", "ready").returncode == 0)
    aside = server.store.with_name("aside.db")
    server.store.rename(aside)
    try:
        until("the outage is seen", lambda: server.run("mailhooks", "ready").returncode == 1)
        assert "socketmap" in server.run("mailhooks", "ready").stderr
    finally:
        aside.rename(server.store)
    until("the server is ready again", lambda: server.run("mailhooks", "ready").returncode == 0)


def test_a_certificate_replaced_on_disk_is_shown_without_a_restart(server: Server):
    until("logins work", lambda: shown(server, "imaps"))
    (pid,) = server.pids(" -m mailhooks")
    write_pair(server.host("tls"), "other.example1.com")
    wanted = (server.host("tls") / "cert.pem").read_text()
    for service in ("smtp", "submissions", "imaps"):
        until(f"{service} shows the new one", lambda service=service: shown(server, service) == wanted)
    assert server.pids(" -m mailhooks") == [pid]


# --- lives and deaths ---------------------------------------------------------------------------------------------


def accepted(server: Server, subject: str) -> bool:
    """Offer a mail; a real sender tries again when this fails."""
    with contextlib.suppress(smtplib.SMTPException, OSError), server.smtp() as client:
        return client.send_message(message(subject), "joe@sender.test", [ADAM]) == {}
    return False


@pytest.mark.parametrize("child", CHILDREN)
def test_a_killed_child_comes_back_and_mail_flows(server: Server, child: str):
    old = server.pids(child)
    os.kill(old[0], signal.SIGKILL)
    until("another one runs", lambda: [pid for pid in server.pids(child) if pid not in old])
    subject = f"after the death of {child.rsplit(maxsplit=1)[-1]}"
    until("mail is taken", lambda: accepted(server, subject))
    until("it arrives", lambda: server.flush() or subject in quiet(server))


def quiet(server: Server) -> list[str]:
    """Return what is in the INBOX; nothing while logins are not possible."""
    with contextlib.suppress(OSError, imaplib.IMAP4.error):
        return server.subjects(ADAM)
    return []


def test_stopped_in_the_middle_of_deliveries_nothing_is_lost(server: Server):
    with Traffic(server) as traffic:
        traffic.goes_on(3 * CLIENTS)
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started < 30
        server.start()
        traffic.goes_on(CLIENTS)
    everything_arrives(server, traffic.accepted)


def test_a_child_that_cannot_live_ends_the_container(server: Server):
    assert server.process is not None

    def ended() -> bool:
        with contextlib.suppress(OSError, subprocess.CalledProcessError, ValueError, IndexError):
            for pid in server.pids("dovecot -F"):
                os.kill(pid, signal.SIGKILL)
        return server.process.poll() is not None

    until("the container has ended", ended)
    assert server.process.returncode == 1
    assert "dovecot ended 5 times" in server.log


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("MAIL_HOSTNAME=mail example", "MAIL_HOSTNAME='mail example'"),
        ("RELAY_PASSWORD_FILE=/run/secrets/none", "RELAY_PASSWORD_FILE='/run/secrets/none'"),
        ("MAIL_PROTOCOLS=smtp gopher", "MAIL_PROTOCOLS='smtp gopher'"),
    ],
)
def test_a_wrong_variable_stops_the_container_with_one_line(machine, given, names):
    command = machine.command("mailhooks", "up")
    command[command.index("--entrypoint") : command.index("--entrypoint")] = ["-e", given]
    done = subprocess.run(command, capture_output=True, timeout=90, text=True, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert names in line
