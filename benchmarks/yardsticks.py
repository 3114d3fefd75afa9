"""What mailhooks is measured against: R, C, Postfix's own tables, Dovecot's own auth."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path

from .load import HERE, compile_program

START_SECONDS = 30

DOVECOT = """\
base_dir = {base}
log_path = {base}/log
ssl = no
protocols =
default_internal_user = dovecot
auth_mechanisms = plain
auth_cache_size = 0
auth_failure_delay = 0
service auth {{
  unix_listener {base}/auth {{
    mode = 0666
  }}
  client_limit = 2000
}}
service anvil {{
  client_limit = 2000
}}
passdb {{
  driver = {driver}
  args = {arguments}
}}
userdb {{
  driver = static
  args = uid=5000 gid=5000 home=/nonexistent
}}
"""
SQL = """\
driver = sqlite
connect = {path}
password_query = SELECT password FROM users WHERE userid = '%u'
"""


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until somebody listens on a unix socket."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(str(path))
            except OSError:
                time.sleep(0.02)
            else:
                return
    raise TimeoutError(f"nobody listens on {path}")


@contextmanager
def started(command: list[object], path: Path):
    """Run a server until the block ends."""
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(path, process)
        yield process.pid
    finally:
        process.terminate()
        process.wait(20)


def naive(directory: Path, pairs: Path):
    """R: stock Twisted over a dict."""
    path = directory / "naive"
    return started([sys.executable, HERE / "naive.py", path, pairs], path)


def smallest(directory: Path, pairs: Path):
    """C: epoll over a hash table."""
    path = directory / "yardstick.socket"
    return started([compile_program("yardstick", directory), path, pairs], path)


@contextmanager
def dovecot(directory: Path, users: Iterable[tuple[str, str]], *, sql: bool):
    """Dovecot 2.3's own auth process with SQLite or a passwd-file, without its cache. Yields socket and pid."""
    base = directory / ("dovecot-sql" if sql else "dovecot-file")
    base.mkdir(mode=0o755)
    if sql:
        database = base / "users.db"
        with sqlite3.connect(database) as connection:
            connection.execute("CREATE TABLE users (userid TEXT PRIMARY KEY, password TEXT) WITHOUT ROWID")
            connection.executemany("INSERT INTO users VALUES (?, ?)", users)
        connection.close()
        database.chmod(0o644)
        arguments = base / "sql.conf"
        arguments.write_text(SQL.format(path=database))
    else:
        arguments = base / "users"
        arguments.write_text("".join(f"{name}:{stored}::::::\n" for name, stored in users))
    for path in (arguments, base):
        shutil.chown(path, "dovecot", "dovecot")
    config = directory / f"{base.name}.conf"  # not in its base_dir, where Dovecot makes a link of that name
    config.write_text(DOVECOT.format(base=base, driver="sql" if sql else "passwd-file", arguments=arguments))
    with started(["dovecot", "-F", "-c", config], base / "auth") as pid:
        yield base / "auth", pid


@contextmanager
def postgresql(directory: Path, rows: Iterable[tuple[str, str]]):
    """A PostgreSQL server on a unix socket, pinned to CPU 0, with one table. Yields its socket directory."""
    account = pwd.getpwnam("postgres")
    base = directory / "postgresql"
    base.mkdir()
    os.chown(base, account.pw_uid, account.pw_gid)
    binaries = max(Path("/usr/lib/postgresql").glob("*/bin"))
    become = ["runuser", "-u", "postgres", "--"]
    subprocess.run(
        [*become, binaries / "initdb", "-D", base / "data", "-A", "trust"],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    command = [
        "taskset",
        "-c",
        "0",
        *become,
        binaries / "postgres",
        "-D",
        base / "data",
        "-k",
        base,
        "-c",
        "listen_addresses=",
    ]
    with started(command, base / ".s.PGSQL.5432"):
        psql = [*become, "psql", "-q", "-h", base, "-U", "postgres", "-v", "ON_ERROR_STOP=1"]
        for _ in range(100):
            if subprocess.run([*psql, "-c", "SELECT 1"], check=False, capture_output=True).returncode == 0:
                break
            time.sleep(0.1)
        lines = "".join(f"{key}\t{value}\n" for key, value in rows)
        table = "CREATE TABLE mailbox (address text PRIMARY KEY, value text);"
        script = f"{table}\nCOPY mailbox FROM STDIN;\n{lines}\\.\nANALYZE;\n"
        subprocess.run([*map(str, psql)], input=script, text=True, check=True)
        yield base
