"""What a hostile client may send to the real daemon: it hears an error or the end, and nobody else notices.

Every attack runs against one and the same process while a bystander asks every hook and checks every answer. (That a
half request ends after a time is tested with a clock set by hand, in test_server_base.)
"""

from __future__ import annotations

import contextlib
import re
import resource
import socket
import threading
import time
from base64 import b64encode
from pathlib import Path

import pytest
from live_daemon import LIMIT, Daemon

GROWTH = 10 * 1024  # KB that the process may ever be larger by: less than one of the huge lines
SILENT = 1000  # connections that send nothing
FLOOD = 2000  # login attempts at once
HUGE = b"A" * 10 * 2**20  # a line, and nothing that ends it


def plain(login, password):
    return b64encode(f"\0{login}\0{password}".encode())


def auth(parameters, mechanism=b"PLAIN", service=b"imap"):
    return b"AUTH\t1\t" + mechanism + b"\tservice=" + service + b"\tsecured" + parameters + b"\n"


NETSTRING = b"38:virtual_mailbox_maps adam@example1.com,"
POLICY = b"request=smtpd_access_policy\nprotocol_state=RCPT\nrecipient=adam@example1.com\n"
VERSION = b"VERSION\t1\t2\nCPID\t4711\n"
MASTER = b"VERSION\t1\t1\n"
HELLO = b"H4\t0\t0\t\tquota\n"
RIGHT = b"\tresp=" + plain("adam@example1.com", "right")

# What a well-behaved client asks each hook, and what it must hear whatever others do meanwhile.
BYSTANDER = {
    "socketmap": (NETSTRING, rb"\A20:OK adam@example1\.com,\Z"),
    "tcp_table": (b"get adam@example1.com\n", rb"\A200 adam@example1\.com\n\Z"),
    "policy": (POLICY + b"\n", rb"\Aaction=DUNNO\n\n\Z"),
    "postfix_auth": (VERSION + auth(RIGHT, service=b"smtp"), rb"DONE\nOK\t1\tuser=adam@example1\.com\b.*\n\Z"),
    "login": (VERSION + auth(RIGHT), rb"DONE\nOK\t1\tuser=adam@example1\.com\b.*\n\Z"),
    "auth_master": (MASTER + b"USER\t1\tno@example1.com\tservice=imap\n", rb"\nNOTFOUND\t1\n\Z"),
    "auth_userdb": (MASTER + b"USER\t1\tadam@example1.com\tservice=lmtp\n", rb"\nUSER\t1\tadam@example1\.com\t.*\n\Z"),
    "dict": (HELLO + b"Lpriv/quota/storage\tadam@example1.com\n", rb"\A(N|O[0-9]+)\n\Z"),
}

TEMP = rb"\A22:TEMP malformed request,\Z"
NO_TABLE = rb"\A44:TEMP there is no such table on this listener,\Z"
MALFORMED = rb"\A400 malformed%20request\n\Z"
NOTHING = rb"\A\Z"
GREETING = rb"\nDONE\n\Z"
BASE64 = rb"DONE\nFAIL\t1\tcode=invalid_base64\t[^\n]*\n\Z"
REFUSED = rb"DONE\nFAIL\t1(\tuser=[^\n\t]*)?\n\Z"
MASTER_GREETING = rb"\AVERSION\t1\t1\nSPID\t[0-9]+\n\Z"

CLOSED = [  # hook, what is sent, what is heard before the server closes
    ("socketmap", b"5:virtual_mailbox_maps adam@example1.com,", TEMP),
    ("socketmap", NETSTRING.replace(b"38", b"37"), TEMP),
    ("socketmap", b"99999999999999999999:virtual", TEMP),
    ("socketmap", b"16385:virtual", TEMP),
    ("socketmap", b"-1:virtual,", TEMP),
    ("socketmap", b"038" + NETSTRING[2:], TEMP),
    ("socketmap", b"0:,", TEMP),
    ("socketmap", b"7:nospace,", TEMP),
    ("socketmap", b"25:virtual_mailbox_maps a\xff@b,", TEMP),
    ("socketmap", b"\r\n", TEMP),
    ("socketmap", b"\0\0\0", TEMP),
    ("socketmap", HUGE, TEMP),
    ("tcp_table", b"put adam@example1.com x\n", MALFORMED),
    ("tcp_table", b"GET / HTTP/1.1\r\n\r\n", MALFORMED),
    ("tcp_table", b"get\n", MALFORMED),
    ("tcp_table", b"get %\n", MALFORMED),
    ("tcp_table", b"get %FF@example1.com\n", MALFORMED),
    ("tcp_table", b"get \xff@example1.com\n", MALFORMED),
    ("tcp_table", HUGE, MALFORMED),
    ("policy", b"request=other\n\n", NOTHING),
    ("policy", b"\n\n", NOTHING),
    ("policy", POLICY + b"no equals sign\n\n", NOTHING),
    ("policy", POLICY + b"size=-1\n\n", NOTHING),
    ("policy", POLICY + b"size=" + b"9" * 5000 + b"\n\n", NOTHING),
    ("policy", HUGE, NOTHING),
    *(
        (hook, sent, GREETING)
        for hook in ("postfix_auth", "login")
        for sent in (
            b"VERSION\t2\t0\n",
            b"VERSION\tone\ttwo\n",
            auth(RIGHT),  # before VERSION and CPID
            b"CPID\t1\r\n",
            b"\0\n",
            VERSION + b"NOPE\t1\n",
            VERSION + auth(RIGHT, mechanism=b"NOPE"),
            VERSION + b"AUTH\n",
            VERSION + b"AUTH\tone\tPLAIN\tservice=imap\n",
            VERSION + b"AUTH\t99999999999\tPLAIN\tservice=imap\n",
            VERSION + b"AUTH\t1\tPLAIN\tsecured\n",  # no service
            VERSION + auth(b"\tresp=" + b"A" * 20_000),
            HUGE,
        )
    ),
    *(
        (hook, sent, MASTER_GREETING)
        for hook in ("auth_master", "auth_userdb")
        for sent in (
            b"VERSION\t2\t0\n",
            b"USER\t1\tadam@example1.com\tservice=x\n",  # before VERSION
            MASTER + b"NOPE\t1\n",
            MASTER + b"USER\tone\tadam@example1.com\tservice=x\n",
            MASTER + b"USER\t1\t\xff\tservice=x\n",
            HUGE,
        )
    ),
    ("dict", b"H9\t0\t0\t\tquota\n", NOTHING),
    ("dict", b"H4\t0\t0\t\tnope\n", NOTHING),
    ("dict", b"Lpriv/quota/storage\tadam@example1.com\n", NOTHING),  # before the hello
    ("dict", HELLO + b"Xnope\n", NOTHING),
    ("dict", HELLO + b"C1\n", NOTHING),  # nothing was begun
    ("dict", HELLO + b"B1\tadam@example1.com\nB1\tadam@example1.com\n", NOTHING),
    ("dict", HELLO + b"L\xff\tadam@example1.com\n", NOTHING),
    ("dict", b"\0\r\n", NOTHING),
    ("dict", HUGE, NOTHING),
]

ANSWERED = [  # strange, and in good order: an answer, never a wrong one
    ("socketmap", b"9:nope adam,", NO_TABLE),
    ("socketmap", b"39:virtual_mailbox_maps adam@example1.com\0,", rb"\A9:NOTFOUND ,\Z"),
    ("socketmap", b"40:virtual_mailbox_maps adam@example1.com\r\n,", rb"\A9:NOTFOUND ,\Z"),
    ("socketmap", b"39:virtual_mailbox_maps adam\t@example1.com,", rb"\A9:NOTFOUND ,\Z"),
    ("socketmap", "39:virtual_mailbox_maps ädam@example1.com,".encode(), rb"\A9:NOTFOUND ,\Z"),
    ("tcp_table", b"get adam@example1.com%00\n", rb"\A500 [^\n]*\n\Z"),
    ("tcp_table", b"get adam@example1.com%0A\n", rb"\A500 [^\n]*\n\Z"),
    ("tcp_table", b"get adam@example1.com\r\n", rb"\A200 adam@example1\.com\n\Z"),
    ("policy", POLICY + b"sender=\0\t\xff\n\n", rb"\Aaction=DUNNO\n\n\Z"),
    *(
        (hook, VERSION + sent, heard)
        for hook in ("postfix_auth", "login")
        for sent, heard in (
            (auth(b"\tresp=!!!"), BASE64),
            (auth(b"\tresp=AAA"), BASE64),
            (
                auth(b"", mechanism=b"LOGIN") + b"CONT\t1\t!!!\n",
                rb"DONE\nCONT\t1\t\w+\nFAIL\t1\tcode=invalid_base64\t",
            ),
            (auth(b"\tresp=" + b64encode(b"\xff\xfe")), REFUSED),
            (auth(b"\tresp=" + b64encode(b"\0adam@example1.com\xff\0right")), REFUSED),
            (auth(b"\tresp=" + b64encode(b"\0adam@example1.com\0right\0")), REFUSED),
            (auth(b"\tresp=" + b64encode(b"\0adam@example1.com\n\0right")), REFUSED),
            (auth(b"\tresp=" + b64encode(b"\0adam@example1.com\0")), REFUSED),
            (b"CONT\t7\tAA==\n", rb"DONE\nFAIL\t7\t[^\n]*\n\Z"),
        )
    ),
    ("auth_userdb", MASTER + b"USER\t1\ta\x01tb@example1.com\tservice=x\n", rb"\nNOTFOUND\t1\n\Z"),
    ("auth_master", MASTER + b"REQUEST\t1\t2\t3\t" + b"0" * 32 + b"\tsession_pid=1\n", rb"\nFAIL\t1\n\Z"),
    ("dict", HELLO + b"B1\tadam@example1.com\nS1\tshared/nope\tx\nC1\n", rb"\AF1\t[^\n]*\n\Z"),
]


def attack_id(value):
    if isinstance(value, bytes):
        return f"{value[:24]!r}" if len(value) < 100_000 else "huge"
    return None


class Target(Daemon):
    """The daemon with a tcp_table, and its memory."""

    def __init__(self, directory):
        super().__init__(directory)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.table_port = free.getsockname()[1]
        self.write(f"[listen.tcp_table]\nvirtual_mailbox_maps = ['tcp:{self.table_port}:interface=127.0.0.1']\n")
        # The flood is to reach its end within moments, and the memory of more argon2 at once is not what is measured.
        self.config.write_text(self.config.read_text().replace("[auth]\n", "[auth]\nworkers = 1\nqueue = 20\n"))

    def connect(self, hook):
        if hook != "tcp_table":
            return super().connect(hook)
        return socket.create_connection(("127.0.0.1", self.table_port), timeout=LIMIT)

    def peak(self):
        """Return the KB of memory that the process had in use at most (proc_pid_status(5))."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+([0-9]+) kB", status)[1])


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    daemon = Target(tmp_path_factory.mktemp("target"))
    daemon.fill()
    daemon.start()
    log = threading.Thread(target=lambda: daemon.log.extend(daemon.process.stdout))
    daemon.log = []
    log.start()
    for hook in BYSTANDER:  # adam's password is checked once; what the flood fills is not what he waits in
        ask(daemon, hook)
    before = daemon.peak()
    yield daemon
    grown = daemon.peak() - before
    daemon.process.terminate()
    log.join(LIMIT)
    daemon.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert daemon.process.returncode == 0
    assert grown < GROWTH, f"{grown} KB more than before"
    said = "".join(daemon.log)
    assert "Traceback" not in said
    assert "right" not in said  # the password
    assert len(daemon.log) < 500  # nobody fills the disk


@pytest.fixture(autouse=True)
def bystander(target):
    """Ask every hook again and again while the test runs; at least once while it does, whatever it does."""
    wrong, rounds, over = [], [], threading.Event()

    def run():
        while not rounds or not over.is_set():
            for hook in BYSTANDER:
                try:
                    ask(target, hook)
                except (AssertionError, OSError) as error:
                    wrong.append((hook, repr(error)))
            rounds.append(time.monotonic())

    thread = threading.Thread(target=run)
    thread.start()
    yield
    over.set()
    thread.join(3 * LIMIT)
    assert not thread.is_alive()
    assert wrong == []


def ask(target, hook):
    """Ask as a well-behaved client does, and check the answer."""
    request, expected = BYSTANDER[hook]
    with target.connect(hook) as client:
        client.sendall(request)
        hear(client, expected)


def hear(client, expected):
    """Read until that was heard."""
    heard = b""
    while not re.search(expected, heard):
        piece = client.recv(65_536)
        assert piece, heard
        heard += piece


def hear_end(client):
    """Read until the other side closes; a reset is an end, too: it does not read what it does not want."""
    heard = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := client.recv(65_536):
            heard += piece
    return heard


@pytest.mark.parametrize(("hook", "sent", "expected"), CLOSED, ids=attack_id)
def test_it_hears_an_error_where_there_is_one_and_then_the_end(target, hook, sent, expected):
    with target.connect(hook) as client:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # closed before all was sent
            client.sendall(sent)
        assert re.search(expected, hear_end(client))


@pytest.mark.parametrize(("hook", "sent", "expected"), ANSWERED, ids=attack_id)
def test_it_hears_an_answer_and_may_go_on(target, hook, sent, expected):
    with target.connect(hook) as client:
        client.sendall(sent)
        hear(client, expected)


@pytest.mark.parametrize("hook", BYSTANDER)
def test_half_a_request_and_silence_hold_up_nobody(target, hook):
    request, expected = BYSTANDER[hook]
    with target.connect(hook) as client:
        client.sendall(request[:-5])
        for _ in range(3):
            ask(target, hook)
        client.sendall(request[-5:])
        hear(client, expected)


@pytest.mark.parametrize("hook", BYSTANDER)
def test_a_thousand_connections_that_send_nothing_hold_up_nobody(target, hook):
    with contextlib.ExitStack() as stack:
        for _ in range(SILENT):
            stack.enter_context(target.connect(hook))
        for _ in range(3):
            ask(target, hook)


def test_a_client_that_asks_and_never_reads_holds_up_nobody(target):
    with target.connect("socketmap") as client:
        client.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            for _ in range(200):
                client.sendall(NETSTRING * 1000)
        for _ in range(3):
            ask(target, "socketmap")


def test_in_a_flood_of_logins_each_is_answered_once_and_none_is_let_in(target):
    wrong = plain("adam@example1.com", "wrong").decode()
    flood = "".join(f"AUTH\t{n}\tPLAIN\tservice=smtp\tsecured\tresp={wrong}\n" for n in range(1, FLOOD + 1))
    with target.connect("login") as client:
        sender = threading.Thread(target=client.sendall, args=(VERSION + flood.encode(),))
        sender.start()
        answers = []
        with client.makefile() as heard:
            while heard.readline() != "DONE\n":
                pass
            while len(answers) < FLOOD:
                answers.append(heard.readline().rstrip("\n").split("\t"))
        sender.join(LIMIT)
    assert {word for word, *_ in answers} == {"FAIL"}
    assert sorted(int(number) for _, number, *_ in answers) == list(range(1, FLOOD + 1))
    # Too much at once is temporary, for that is not the user's fault; a closed door would be a wrong answer.
    assert any("code=temp_fail" in answer for answer in answers)
