"""The filter between the two passes of Postfix: what goes over the wire, and that no failure loses mail."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhooks.stack.programs import spamfilter


def unwire(data: bytes) -> bytes:
    """What an SMTP server takes from DATA (RFC 5321 section 4.5.2)."""
    assert data.endswith(b"\r\n.\r\n") or data == b".\r\n"
    lines = data[:-3].split(b"\r\n")[:-1]
    return b"".join((line[1:] if line.startswith(b".") else line) + b"\n" for line in lines)


# What pipe(8) writes: lines that end in LF; a CR can stand anywhere within them.
@given(st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"")), min_size=1))
def test_the_message_arrives_as_it_was_and_ends_once(lines):
    message = b"".join(line + b"\n" for line in lines)
    data = spamfilter.wire(message)
    # no bare LF, and only one end, whatever stands in the message: nothing to smuggle with
    assert not re.search(rb"(?<!\r)\n", data)
    assert re.search(rb"(\A|\r\n)\.\r\n", data).end() == len(data)
    assert unwire(data) == message


def test_a_message_without_a_last_line_end_gets_one():
    assert spamfilter.wire(b"x") == b"x\r\n.\r\n"


@pytest.mark.parametrize(
    ("user", "domain", "key"),
    [("Adam", "EXAMPLE1.com", "adam@example1.com"), ("jörg", "exämple.com", "jörg@xn--exmple-cua.com")],
)
def test_preferences_are_asked_by_the_stored_spelling(user, domain, key):
    assert spamfilter.preference_user(user, domain) == key


def test_the_envelope_names_the_extensions_it_needs():
    assert spamfilter.envelope("FROM", "", b"x") == "FROM:<>"
    assert spamfilter.envelope("FROM", '"a b"@x.test', "ü".encode()) == 'FROM:<"a b"@x.test> BODY=8BITMIME'
    assert spamfilter.envelope("FROM", "jörg@x.test", b"x") == "FROM:<jörg@x.test>"  # Dovecot's LMTP has no SMTPUTF8
    assert spamfilter.envelope("TO", "a@x.test") == "TO:<a@x.test>"


class SmtpServer:
    """Takes one connection and answers each command by its first word."""

    def __init__(self, **replies: str) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.replies = {
            "EHLO": "250 here",
            "MAIL": "250 ok",
            "RCPT": "250 ok",
            "DATA": "354 go",
            ".": "250 ok",
        } | replies
        self.heard: list[str] = []
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self) -> None:
        connection, _ = self.listener.accept()
        with connection, self.listener, connection.makefile("rwb", buffering=0) as stream:
            stream.write(b"220 here\r\n")
            data = False
            for line in stream:
                text = line.decode().rstrip("\r\n")
                self.heard.append(text)
                word = text.split(" ")[0].upper()
                if word == "QUIT":
                    return
                if data and text != ".":
                    continue
                data = word == "DATA" and self.replies["DATA"].startswith("354")
                stream.write(self.replies.get(word, "250 ok").encode() + b"\r\n")


def run(bin_directory: Path, port: int, spamc: str) -> subprocess.CompletedProcess[str]:
    """Run the program with a shell script in the place of spamc."""
    bin_directory.joinpath("spamc").write_text(f"#!/bin/sh\n{spamc}\n")
    bin_directory.joinpath("spamc").chmod(0o755)
    return subprocess.run(
        [
            sys.executable,
            "-I",
            spamfilter.__file__,
            "783",
            str(port),
            "",
            "adam+x@example1.com",
            "Adam",
            "example1.com",
        ],
        input="Subject: hi\n\n.dot\n",
        env={"PATH": f"{bin_directory}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_scanned_message_goes_back(tmp_path):
    server = SmtpServer()
    done = run(tmp_path, server.port, 'echo "X-Args: $*"; cat')
    server.thread.join(10)
    assert (done.returncode, done.stdout) == (0, "")
    assert "MAIL FROM:<>" in server.heard
    assert "RCPT TO:<adam+x@example1.com>" in server.heard
    arguments = next(line for line in server.heard if line.startswith("X-Args:"))
    assert arguments.endswith("-u adam@example1.com")
    assert " -x " in arguments
    assert "..dot" in server.heard


@pytest.mark.parametrize("spamc", ["exit 69", "exit 74", "cat; exit 1", "true", "kill -9 $$"])
def test_no_verdict_means_later_and_nothing_goes_back(tmp_path, spamc):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        done = run(tmp_path, listener.getsockname()[1], spamc)
        assert done.returncode == spamfilter.EX_TEMPFAIL
        assert "spamd does not answer" in done.stdout
        with pytest.raises(TimeoutError):
            listener.accept()


@pytest.mark.parametrize(
    "replies",
    [{"MAIL": "550 no"}, {"RCPT": "550 no"}, {"DATA": "554 no"}, {".": "552 too large"}, {"EHLO": "421 bye"}],
)
def test_whatever_the_way_back_says_means_later(tmp_path, replies):
    server = SmtpServer(**replies)
    done = run(tmp_path, server.port, "cat")
    server.thread.join(10)
    assert done.returncode == spamfilter.EX_TEMPFAIL
    assert "not taken back" in done.stdout


def test_nobody_there_to_take_it_back_means_later(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert run(tmp_path, port, "cat").returncode == spamfilter.EX_TEMPFAIL
