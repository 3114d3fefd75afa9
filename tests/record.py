"""Record what the real Dovecot says to mailhooks and hears from it, into tests/samples/: python tests/record.py

Needs root and the Dovecot of Debian 12. Starts a private mailhooks and a private Dovecot below a temporary directory,
with a proxy between them on each socket that writes down every line, runs each conversation below, and stops both.

A sample is a text: ``@ socket number`` says which connection the lines behind it belong to, ``C>`` is Dovecot and
``S>`` mailhooks; TAB and other control characters are written as Python writes them.
"""

from __future__ import annotations

import asyncio
import contextlib
import imaplib
import os
import poplib
import shutil
import smtplib
import socket
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from pathlib import Path

from mailhooks.passwords import hash_password
from mailhooks.store import open_store

SAMPLES = Path(__file__).parent / "samples"
SOCKETS = ("login", "auth-master", "auth-userdb", "dict")
USER, PASSWORD, UNKNOWN = "bo@ex.test", "secret", "nobody@ex.test"
MAIL_UID = 5000
QUIET_SECONDS = 0.4  # a conversation is over when nobody has said anything for so long


class Recorder:
    """Everything that passes, in its order."""

    def __init__(self, root):
        self.root = root
        self.lines = []
        self.connections = 0
        self.last = 0.0

    async def listen(self):
        for name in SOCKETS:
            path = self.root / "front" / name
            await asyncio.start_unix_server(lambda r, w, name=name: self.relay(name, r, w), path)
            path.chmod(0o666)

    async def relay(self, name, reader, writer):
        self.connections += 1
        label = f"@ {name} {self.connections}"
        back_reader, back_writer = await asyncio.open_unix_connection(self.root / "back" / name)
        await asyncio.gather(
            self.pass_on(label, "C>", reader, back_writer), self.pass_on(label, "S>", back_reader, writer)
        )

    async def pass_on(self, label, who, reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            while line := await reader.readline():
                self.last = time.monotonic()
                self.lines.append((label, f"{who} {line[:-1].decode('latin-1').encode('unicode_escape').decode()}"))
                writer.write(line)
                await writer.drain()
        writer.close()

    async def record(self, name, what):
        """Run one conversation and write its sample."""
        self.lines, self.connections = [], 0
        await asyncio.to_thread(what)
        while time.monotonic() - self.last < QUIET_SECONDS:  # noqa: ASYNC110 - nobody could tell when it is quiet
            await asyncio.sleep(QUIET_SECONDS / 4)
        text, said = "", None
        for label, line in self.lines:
            text += f"{label}\n" * (label != said) + f"{line}\n"
            said = label
        text = text.replace(f"{self.root}/mail", "/var/mail")
        (SAMPLES / "2.3" / f"{name}.txt").write_text(text)
        print(name, len(self.lines), "lines")  # noqa: T201 - a script


class Dovecot:
    """A private Dovecot 2.3, topology 3.A of protocols/dovecot.md: it has no auth process."""

    def __init__(self, root):
        self.root = root
        self.ports = {name: free_port() for name in ("imap", "pop3", "sieve", "lmtp")}
        self.file = root / "dovecot.conf"
        self.file.write_text(self.configuration())
        (root / "base").mkdir()
        for link, name in (("auth-master", "auth-master"), ("auth-client", "login"), ("auth-login", "login")):
            (root / "base" / link).symlink_to(root / "front" / name)

    def configuration(self):
        root, front = self.root, self.root / "front"
        auth = ["login/login", "auth-login", "auth-client", "auth-userdb", "auth-master", "token-login/tokenlogin"]
        listeners = "".join(f"  unix_listener {name} {{\n    mode = 0\n  }}\n" for name in auth)
        logins = "".join(
            f"service {service}-login {{\n  chroot =\n  executable = {service}-login {front}/login\n"
            f"  inet_listener {protocol} {{\n    port = {self.ports[protocol]}\n  }}\n"
            f"  inet_listener {protocol}s {{\n    port = 0\n  }}\n}}\n"
            for service, protocol in (("imap", "imap"), ("pop3", "pop3"), ("managesieve", "sieve"))
        )
        return f"""
base_dir = {root}/base
state_dir = {root}/state
log_path = {root}/dovecot.log
listen = 127.0.0.1
protocols = imap pop3 sieve lmtp
ssl = no
disable_plaintext_auth = no
first_valid_uid = {MAIL_UID}
auth_socket_path = {front}/auth-userdb
service auth {{
{listeners}}}
{logins}service imap {{
  executable = imap -a {front}/auth-master
}}
service pop3 {{
  executable = pop3 -a {front}/auth-master
}}
service lmtp {{
  service_count = 1
  inet_listener lmtp {{
    port = {self.ports["lmtp"]}
  }}
}}
mail_location = maildir:~/Maildir
mail_plugins = quota quota_clone
protocol imap {{
  mail_plugins = $mail_plugins imap_quota last_login
}}
plugin {{
  quota = count:User quota
  quota_vsizes = yes
  quota_clone_dict = proxy:{front}/dict:quota
  last_login_dict = proxy:{front}/dict:lastlogin
  last_login_key = last-login/%s/%u
}}
"""

    def doveadm(self, *arguments):
        subprocess.run(["doveadm", "-c", self.file, *arguments], capture_output=True, check=False, timeout=30)

    def imap(self, *, password=PASSWORD, user=USER, mechanism=""):
        client = imaplib.IMAP4("127.0.0.1", self.ports["imap"])
        answers = iter([user.encode(), password.encode()])
        with contextlib.suppress(imaplib.IMAP4.error):
            if mechanism == "PLAIN":
                client.authenticate("PLAIN", lambda _: f"\0{user}\0{password}".encode())
            elif mechanism == "LOGIN":
                client.authenticate("LOGIN", lambda _: next(answers))
            else:
                client.login(user, password)
                client.append("INBOX", None, None, b"Subject: hello\r\n\r\nhello\r\n")
        client.logout()

    def pop3(self):
        client = poplib.POP3("127.0.0.1", self.ports["pop3"])
        client.user(USER)
        client.pass_(PASSWORD)
        client.quit()

    def sieve(self):
        with socket.create_connection(("127.0.0.1", self.ports["sieve"])) as client, client.makefile("rwb") as stream:
            while not stream.readline().startswith(b"OK"):
                pass
            stream.write(b'AUTHENTICATE "PLAIN" "%s"\r\n' % b64encode(f"\0{USER}\0{PASSWORD}".encode()))
            stream.flush()
            stream.readline()

    def lmtp(self, user):
        client = smtplib.LMTP("127.0.0.1", self.ports["lmtp"])
        with contextlib.suppress(smtplib.SMTPException):
            client.sendmail("", [user], b"Subject: hello\r\n\r\nhello\r\n")
        client.quit()


def quota_dict(adm, where):
    """What the 2.3 quota dict driver does, step by step."""
    key = "priv/quota/messages"
    for command, *more in (["set", "9"], ["get"], ["inc", "2"], ["get"], ["inc", "-99"], ["get"], ["inc", "1"]):
        adm("dict", command, "-u", USER, where, key, *more)
    adm("dict", "set", "-u", USER, where, "priv/quota/storage", "100")
    for command, *path in (["iter", "priv/quota/"], ["iter", "-V", "-R", "priv/"], ["unset", key], ["get", key]):
        *flags, key = path
        adm("dict", command, *flags, "-u", USER, where, key)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_mailhooks(root):
    """A store with one user, and ``mailhooks serve`` behind the proxy."""
    url, key = f"sqlite:///{root}/mailhooks.db", root / "key"
    store = open_store(url, key_file=key, create=True)
    with store.change("record") as change:
        change.add_domain("ex.test")
        change.add_mailbox(USER, password=hash_password(PASSWORD), quota=1_000_000)
    store.close()
    listen = "".join(f'{name.replace("-", "_")} = ["unix:{root}/back/{name}:mode=0600"]\n' for name in SOCKETS)
    off = "".join(f"{name} = []\n" for name in ("socketmap", "policy", "postfix_auth", "http"))
    config = root / "mailhooks.toml"
    config.write_text(
        f'[store]\nurl = "{url}"\nkey_file = "{key}"\nsnapshot = "{root}/snapshot.db"\n'
        f'[mail]\nhome = "{root}/mail/%d/%n"\n[spam]\npreferences = "{root}/spam/preferences.db"\n'
        f"[listen]\n{listen}{off}"
    )
    return subprocess.Popen([sys.executable, "-m", "mailhooks", "--config", config, "serve"])


async def record_all(root, dovecot):
    recorder = Recorder(root)
    await recorder.listen()
    daemon = await asyncio.create_subprocess_exec("dovecot", "-F", "-c", dovecot.file)
    adm = dovecot.doveadm
    try:
        while not (root / "base" / "master").exists():  # noqa: ASYNC110 - Dovecot's own sign that it is up
            await asyncio.sleep(0.1)
        for name, what in {
            "imap-login": dovecot.imap,
            "imap-plain-asked": lambda: dovecot.imap(mechanism="PLAIN"),
            "imap-login-mechanism": lambda: dovecot.imap(mechanism="LOGIN"),
            "imap-wrong-password": lambda: dovecot.imap(password="wrong"),
            "imap-unknown-user": lambda: dovecot.imap(user=UNKNOWN),
            "pop3-login": dovecot.pop3,
            "managesieve-login": dovecot.sieve,
            "lmtp-delivery": lambda: dovecot.lmtp(USER),
            "lmtp-unknown-user": lambda: dovecot.lmtp(UNKNOWN),
            "doveadm-user": lambda: adm("user", USER),
            "doveadm-user-all": lambda: adm("user", "*"),
            "doveadm-user-unknown": lambda: adm("user", UNKNOWN),
            "doveadm-auth-test": lambda: adm("auth", "test", USER, PASSWORD),
            "doveadm-auth-test-wrong": lambda: adm("auth", "test", USER, "wrong"),
            "doveadm-auth-lookup": lambda: adm("auth", "lookup", USER),
            "doveadm-auth-login": lambda: adm("auth", "login", USER, PASSWORD),
            "doveadm-auth-cache-flush": lambda: adm("auth", "cache", "flush", USER),
            "doveadm-quota-get": lambda: adm("quota", "get", "-A"),
            "doveadm-dict": lambda: quota_dict(adm, f"proxy:{root}/front/dict:quota"),
        }.items():
            await recorder.record(name, what)
    finally:
        daemon.terminate()
        await daemon.wait()


def main():
    root = Path(tempfile.mkdtemp(prefix="mailhooks-record-"))
    root.chmod(0o755)
    for name in ("front", "back", "mail", "state"):
        (root / name).mkdir()
    os.chown(root / "mail", MAIL_UID, MAIL_UID)
    (SAMPLES / "2.3").mkdir(parents=True, exist_ok=True)
    mailhooks = start_mailhooks(root)
    try:
        while not (root / "back" / "dict").exists():
            time.sleep(0.1)
        asyncio.run(record_all(root, Dovecot(root)))
    finally:
        mailhooks.terminate()
        mailhooks.wait()
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
