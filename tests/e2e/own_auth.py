"""A small Dovecot 2.3 that keeps its own auth process and asks mailhooks' dict for accounts and for its quota."""

from __future__ import annotations

import contextlib
import imaplib
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from server import Q, Server, free_ports, until

CONFIGURATION = """
instance_name = {instance}
base_dir = {root}/run
state_dir = {root}/state
log_path = {root}/log
protocols = imap
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
mail_location = maildir:~/Maildir-own
mail_plugins = quota
protocol imap {{
  mail_plugins = $mail_plugins imap_quota
}}
plugin {{
  quota = dict:User quota::proxy:{dict}:quota
  quota_grace = 0
  quota_vsizes = yes
}}
service imap-login {{
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
passdb {{
  driver = dict
  args = {root}/dict.conf
}}
userdb {{
  driver = dict
  args = {root}/dict.conf
}}
"""

DICT = """
uri = proxy:{dict}:passdb
iterate_prefix = userdb/
key passdb {{
  key = passdb/%s/%u
  format = json
}}
key userdb {{
  key = userdb/%u
  format = json
}}
passdb_objects = passdb
userdb_objects = userdb
"""


@dataclass
class OwnAuth:
    """That Dovecot, running."""

    server: Server
    root: Path
    port: int

    def imap(self, login: str, password: str = Q) -> imaplib.IMAP4:
        """Log in."""
        client = imaplib.IMAP4("127.0.0.1", self.port, timeout=60)
        try:
            client.login(login, password)
        except BaseException:
            client.shutdown()
            raise
        return client

    def doveadm(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run doveadm against it."""
        return self.server.machine.run("doveadm", "-c", str(self.root / "dovecot.conf"), *arguments)

    @property
    def log(self) -> str:
        """What it wrote."""
        return (self.root / "log").read_text(errors="replace")

    def greets(self) -> bool:
        """Whether it is up."""
        with contextlib.suppress(OSError, imaplib.IMAP4.error):
            imaplib.IMAP4("127.0.0.1", self.port, timeout=5).logout()
            return True
        return False


@contextlib.contextmanager
def own_auth(server: Server) -> Iterator[OwnAuth]:
    """Start it beside the server, and stop it."""
    running = OwnAuth(server, server.host("own"), free_ports(1)[0])
    running.root.mkdir()
    values = {
        "instance": running.root.parent.name,
        "root": str(running.root),
        "dict": f"{server.root}/run/mailhooks/dict",
        "port": running.port,
    }
    (running.root / "dovecot.conf").write_text(CONFIGURATION.format(**values))
    (running.root / "dict.conf").write_text(DICT.format(**values))
    process = subprocess.Popen(
        server.machine.command("dovecot", "-F", "-c", str(running.root / "dovecot.conf")), start_new_session=True
    )
    try:
        until("the second Dovecot is up", running.greets, 30)
        yield running
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        shutil.rmtree(running.root, ignore_errors=True)
