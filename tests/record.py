"""Record what the real daemons say to mailhooks and hear from it, into tests/samples/: python tests/record.py

Needs root, and what the end-to-end scenarios need: Postfix and Dovecot of Debian 12 here, those of Debian 13 in the
root that scripts/debian13-root makes. Of each generation it starts the server of the scenarios, puts a proxy in the
place of each socket that writes down what passes, runs the conversations below, and stops all of it. With names of
conversations behind it, only those are recorded.

A sample is a text: ``@ socket number`` says which connection the lines behind it belong to, ``C>`` is the stock daemon
and ``S>`` mailhooks; TAB and other control characters are written as Python writes them.
"""

from __future__ import annotations

import asyncio
import contextlib
import imaplib
import poplib
import re
import smtplib
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "e2e"))

from machine import machines
from own_auth import own_auth
from server import Server, message, trusting
from sieve import ManageSieve

SAMPLES = Path(__file__).parent / "samples"
DOVECOT = {name: f"run/mailhooks/{name}" for name in ("login", "auth-master", "auth-userdb", "dict")}
POSTFIX = {name: f"var/spool/postfix/mailhooks/{name}" for name in ("socketmap", "policy", "auth")}
GENERATIONS = {"here": ("2.3", "3.7"), "debian13": ("2.4", "3.10")}
# What the conversations are about; tests/servers/test_recorded_conversations.py has the same in its store.
BO, AL, UNKNOWN, PASSWORD = "bo@ex.test", "al@ex.test", "nobody@ex.test", "secret"
STRANGER = "joe@sender.test"
SCRIPT = 'require ["fileinto", "mailbox"];\nfileinto :create "Sorted";\n'
QUIET_SECONDS = 0.5  # a conversation is over when nobody has said anything for so long
RELOAD_SECONDS = 1.0  # until the processes of before are gone, and their connections with them

BASE = {"auth": {"rehash": False}, "server": {"spam_filter": False}, "server.ports": {"reinject": 0, "spamd": 0}}
IN_DICT = {
    "auth": BASE["auth"],
    "server": {**BASE["server"], "sieve_dict": True, "metadata": True, "shared_folders": True},
    "server.ports": {**BASE["server.ports"], "sieve": 0},
    "dict": {"names": ["quota", "lastlogin", "sieve", "metadata", "acl", "passdb", "userdb"]},
}


class Recorder:
    """Everything that passes between the daemons of one server and mailhooks, in its order."""

    def __init__(self, server, versions):
        self.server = server
        self.dovecot, self.postfix = versions
        self.lines = []
        self.connections = 0
        self.last = 0.0

    async def interpose(self):
        """Take the place of each socket of mailhooks."""
        for name, place in (DOVECOT | POSTFIX).items():
            front = self.server.host(place)
            back = front.rename(front.with_name(f"{name}.back"))
            await asyncio.start_unix_server(lambda r, w, name=name, back=back: self.relay(name, back, r, w), front)
            front.chmod(0o666)

    async def relay(self, name, back, reader, writer):
        self.connections += 1
        label = f"@ {name} {self.connections}"
        read = netstring if name == "socketmap" else asyncio.StreamReader.readline
        back_reader, back_writer = await asyncio.open_unix_connection(back)
        await asyncio.gather(
            self.pass_on(label, "C>", read, reader, back_writer), self.pass_on(label, "S>", read, back_reader, writer)
        )

    async def pass_on(self, label, who, read, reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while line := await read(reader):
                self.last = time.monotonic()
                self.lines.append((label, who, line))
                writer.write(line)
                await writer.drain()
        writer.close()

    async def record(self, name, what):
        """Run one conversation, from new processes on, and write its sample."""
        version, hooks = (self.postfix, POSTFIX) if name.startswith("smtpd") else (self.dovecot, DOVECOT)
        await asyncio.to_thread(self.reload)
        self.lines, self.connections = [], 0
        await asyncio.to_thread(what)
        while time.monotonic() - self.last < QUIET_SECONDS:  # noqa: ASYNC110 - nobody could tell when it is quiet
            await asyncio.sleep(QUIET_SECONDS / 4)
        text = said = ""
        for label, who, line in self.lines:
            if label.split()[1] in hooks:
                shown = line.removesuffix(b"\n").decode("latin-1").encode("unicode_escape").decode()
                text += f"{label}\n" * (label != said) + f"{who} {shown}".rstrip(" ") + "\n"
                said = label
        path = SAMPLES / version / f"{name}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(re.sub(rf"({self.server.host_root}|{self.server.root})(?=/)", "", text))
        print(path.relative_to(SAMPLES), text.count("\n"), "lines")  # noqa: T201 - a script

    def reload(self):
        self.server.doveadm("reload")
        config = f"{self.server.root}/run/mailhooks-stack/postfix"
        self.server.machine.run("postfix", "-c", config, "reload")
        time.sleep(RELOAD_SECONDS)


async def netstring(reader):
    """Read one frame of socketmap; nothing at the end."""
    size = await reader.readuntil(b":")
    return size + await reader.readexactly(int(size[:-1]) + 1)


# --- What people and admins do


def imap(server, *, user=BO, password=PASSWORD, mechanism=""):
    """Log in; let it fail."""
    client = imaplib.IMAP4_SSL("127.0.0.1", server.port["imaps"], ssl_context=trusting(), timeout=60)
    answers = iter([user.encode(), password.encode()])
    with contextlib.suppress(imaplib.IMAP4.error):
        if mechanism == "PLAIN":
            client.authenticate("PLAIN", lambda _: f"\0{user}\0{password}".encode())
        elif mechanism == "LOGIN":
            client.authenticate("LOGIN", lambda _: next(answers))
        else:
            client.login(user, password)
    return client


def imap_append(server):
    client = imap(server)
    client.append("INBOX", None, None, b"Subject: hello\r\n\r\nhello\r\n")
    client.logout()


def imap_wrong_then_right(server):
    client = imap(server, password="wrong")
    client.login(BO, PASSWORD)
    client.logout()


def pop3(server):
    client = poplib.POP3_SSL("127.0.0.1", server.port["pop3s"], context=trusting(), timeout=60)
    client.user(BO)
    client.pass_(PASSWORD)
    client.quit()


def sieve(server):
    client = ManageSieve(server.port["sieve"])
    client.login(BO, PASSWORD)
    client.close()


def lmtp(server, user):
    client = smtplib.LMTP(str(server.host("var/spool/postfix/private/dovecot-lmtp")))
    with contextlib.suppress(smtplib.SMTPException):
        client.sendmail("", [user], b"Subject: hello\r\n\r\nhello\r\n")
    client.quit()


def metadata(server):
    client = imap(server)
    client.xatom("SETMETADATA", "INBOX", '(/private/comment "hello \\"w\\"" /shared/comment {3+}\r\na\tb)')
    client.xatom("GETMETADATA", "INBOX", "(/private/comment /shared/comment)")
    client.xatom("GETMETADATA", "(DEPTH infinity)", "INBOX", "(/private)")
    client.xatom("SETMETADATA", "INBOX", "(/private/comment NIL)")
    client.logout()


def share(server):
    client = imap(server)
    client.create("Project")
    client.setacl("Project", AL, "lr")
    client.logout()
    client = imap(server, user=AL)
    client.list('""', '"*"')
    client.logout()
    client = imap(server)
    client.deleteacl("Project", AL)
    client.logout()


def quota_dict(server, where):
    """What the quota dict driver of 2.3 does, step by step."""
    key = "priv/quota/messages"
    for command, *more in (["set", "9"], ["get"], ["inc", "2"], ["get"], ["inc", "-99"], ["get"], ["inc", "1"]):
        server.doveadm("dict", command, "-u", BO, where, key, *more)
    server.doveadm("dict", "set", "-u", BO, where, "priv/quota/storage", "100")
    for command, *path in (["iter", "priv/quota/"], ["iter", "-V", "-R", "priv/"], ["unset", key], ["get", key]):
        *flags, last = path
        server.doveadm("dict", command, *flags, "-u", BO, where, last)


def mail(client, *recipients, sender=STRANGER):
    """Send one; recipients may be refused."""
    with client, contextlib.suppress(smtplib.SMTPException):
        client.send_message(message("hello", sender=sender), sender, recipients)


def submit(server, *recipients, mechanism="PLAIN", password=PASSWORD, asked=False):
    client = server.smtp("submission")
    client.user, client.password = BO, password
    with contextlib.suppress(smtplib.SMTPException):
        client.auth(mechanism, getattr(client, f"auth_{mechanism.lower()}"), initial_response_ok=not asked)
        mail(client, *recipients, sender=BO)
    client.close()


def conversations(server, dovecot):
    """What is recorded with a server as mailhooks makes it."""
    adm = server.doveadm
    where = "quota_clone" if dovecot == "2.4" else f"proxy:{server.root}/run/mailhooks/dict:quota"
    return {
        "imap-login": lambda: imap_append(server),
        "imap-plain-asked": lambda: imap(server, mechanism="PLAIN").logout(),
        "imap-login-mechanism": lambda: imap(server, mechanism="LOGIN").logout(),
        "imap-wrong-password": lambda: imap(server, password="wrong").logout(),
        "imap-wrong-then-right": lambda: imap_wrong_then_right(server),
        "imap-unknown-user": lambda: imap(server, user=UNKNOWN).logout(),
        "pop3-login": lambda: pop3(server),
        "managesieve-login": lambda: sieve(server),
        "lmtp-delivery": lambda: lmtp(server, BO),
        "lmtp-unknown-user": lambda: lmtp(server, UNKNOWN),
        "doveadm-user": lambda: adm("user", BO),
        "doveadm-user-all": lambda: adm("user", "*"),
        "doveadm-user-unknown": lambda: adm("user", UNKNOWN),
        "doveadm-auth-test": lambda: adm("auth", "test", BO, PASSWORD),
        "doveadm-auth-test-wrong": lambda: adm("auth", "test", BO, "wrong"),
        "doveadm-auth-lookup": lambda: adm("auth", "lookup", BO),
        "doveadm-auth-login": lambda: adm("auth", "login", BO, PASSWORD),
        "doveadm-auth-cache-flush": lambda: adm("auth", "cache", "flush", BO),
        "doveadm-quota-get": lambda: adm("quota", "get", "-A"),
        "doveadm-dict": lambda: quota_dict(server, where),
        "smtpd-one-recipient": lambda: mail(server.smtp(), BO),
        "smtpd-two-recipients": lambda: mail(server.smtp(), "Bo@Ex.test", "al+Ext@ex.test"),
        "smtpd-list": lambda: mail(server.smtp(), "team@ex.test"),
        "smtpd-quoted-recipient": lambda: mail(server.smtp(), '"a b"@ex.test'),
        "smtpd-unknown-recipient": lambda: mail(server.smtp(), UNKNOWN),
        "smtpd-null-sender": lambda: mail(server.smtp(), BO, sender=""),
        "smtpd-plain": lambda: submit(server, AL),
        "smtpd-login": lambda: submit(server, AL, BO, mechanism="LOGIN", asked=True),
        "smtpd-plain-asked": lambda: submit(server, AL, asked=True),
        "smtpd-wrong-password": lambda: submit(server, password="wrong"),
    }


def dict_conversations(server, _):
    """What is recorded with all that Dovecot may keep in the dict."""
    return {
        "imap-metadata": lambda: metadata(server),
        "imap-shared-folder": lambda: share(server),
        "lmtp-sieve-dict": lambda: lmtp(server, BO),
    }


def own_auth_conversations(own):
    """What Dovecot 2.3 asks when it keeps its own auth process, and its quota in the dict."""

    def append():
        client = own.imap(BO, PASSWORD)
        client.append("INBOX", None, None, b"Subject: hello\r\n\r\nhello\r\n")
        client.logout()

    return {"auth-worker-login-and-quota-dict": append, "auth-worker-users": lambda: own.doveadm("user", "*")}


def furnish(server):
    """Make the accounts that the conversations are about."""
    server.mailhooks("domain", "add", "ex.test")
    for address in (BO, AL):
        server.mailhooks("user", "add", address, "--quota", "1000000", "--hash-stdin", given=f"{{PLAIN}}{PASSWORD}\n")
    server.mailhooks("alias", "add", "team@ex.test", BO, AL)
    server.mailhooks("sieve", "put", BO, "mine", given=SCRIPT)


async def record_all(machine, versions, only):
    for settings, listed in ((BASE, conversations), (IN_DICT, dict_conversations)):
        stack = contextlib.ExitStack()
        try:
            server = await asyncio.to_thread(stack.enter_context, Server(machine, settings, pop3=True))
            await asyncio.to_thread(furnish, server)
            recorder = Recorder(server, versions)
            await recorder.interpose()
            wanted = listed(server, recorder.dovecot)
            if settings is IN_DICT and recorder.dovecot == "2.3":
                own = await asyncio.to_thread(stack.enter_context, own_auth(server))
                wanted = own_auth_conversations(own) | wanted
            for name, what in wanted.items():
                if not only or name in only:
                    await recorder.record(name, what)
        finally:
            await asyncio.to_thread(stack.close)  # the daemons talk through us to the end


if __name__ == "__main__":
    for name, versions in GENERATIONS.items():
        asyncio.run(record_all(machines()[name], versions, sys.argv[1:]))
