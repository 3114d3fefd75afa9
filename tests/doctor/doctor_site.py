"""A whole healthy server but for its Postfix and Dovecot processes: rendered files, real daemon, real spamd.

A test spoils one line of a copy of the files, and the stock tools read it.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mailhooks import config as configuration
from mailhooks.cli.session import Session
from mailhooks.config import Config
from mailhooks.doctor import examine
from mailhooks.doctor.collect import Asked, collect
from mailhooks.doctor.facts import Facts
from mailhooks.doctor.finding import Finding, Severity
from mailhooks.stack import children, directories, holding, paths, up
from mailhooks.store import open_store

READY_SECONDS = 60  # a noisy machine compiles SpamAssassin's rules slowly
HOST = "mail.example1.com"


@dataclass
class Site:
    """One configuration with its rendered files; ``spoiled`` judges a copy of them."""

    root: Path
    config: Config
    session: Session
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def layout(self) -> paths.Layout:
        return paths.layout(self.config)

    def facts(self, postfix: Path | None = None, dovecot: Path | None = None, *, dns: bool = False) -> Facts:
        asked = Asked(postfix or self.layout.postfix_config, dovecot or self.dovecot_conf, dns)
        return collect(self.config, self.session.reading, asked)

    @property
    def dovecot_conf(self) -> Path:
        return self.layout.dovecot_config / "dovecot.conf"

    def spoiled(self, directory: Path, name: str, spoil: Callable[[str], str]) -> Facts:
        """Collect the facts with one file changed: main.cf, master.cf or dovecot.conf."""
        postfix, dovecot = directory / "postfix", directory / "dovecot"
        shutil.copytree(self.layout.postfix_config, postfix)
        shutil.copytree(self.layout.dovecot_config, dovecot)
        file = (dovecot if name == "dovecot.conf" else postfix) / name
        before = file.read_text()
        after = spoil(before)
        assert after != before, "nothing was spoiled"
        file.write_text(after)
        age(file)
        return self.facts(postfix, dovecot / "dovecot.conf")


def age(file: Path) -> None:
    """Make a file look old: postconf waits until nobody can still be writing to it."""
    os.utime(file, (file.stat().st_mtime - 60,) * 2)


def said(facts: Facts) -> list[Finding]:
    """What is wrong; notes are not (a self-signed certificate, a clock without a time server)."""
    return [each for area in examine(facts) for each in area.findings if each.severity is not Severity.NOTE]


def ids(facts: Facts) -> set[str]:
    return {each.id for each in said(facts)}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def make_site(root: Path) -> Site:
    """Render everything for a configuration below ``root``, with a store that hosts example1.com."""
    root.chmod(0o755)
    file = root / "mailhooks.toml"
    file.write_text(
        f'[server]\nroot = "{root}"\nhostname = "{HOST}"\n'
        f"[server.ports]\nspamd = {free_port()}\nsmtp = 25\n"
        f'[listen]\nhttp = ["tcp:{free_port()}:interface=127.0.0.1"]\n'
    )
    config = configuration.load(file)
    up.prepare(config)
    directories.link_auth_sockets(config)
    session = Session(config_path=file)
    with session.owner():
        store = open_store(config.store.url, key_file=config.store.key_file, create=True)
        with store.change("test") as change:
            change.add_domain("example1.com")
        store.close()
    return Site(root, config, session)


def start(site: Site) -> None:
    serve = children.serve(site.config, site.root / "mailhooks.toml", {}, holding.NOTHING)
    for child in (serve, children.spamd(site.config)):
        child.before()
        log = (site.root / f"{child.name}.log").open("w")
        with log:
            site.processes.append(
                subprocess.Popen(
                    child.command,
                    env={**os.environ, **child.environment},
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL,
                    text=True,
                )
            )
    deadline = time.monotonic() + READY_SECONDS
    while found := said(site.facts()):
        if time.monotonic() > deadline:
            logs = "\n".join(each.read_text()[-3000:] for each in site.root.glob("*.log"))
            pytest.fail(f"a healthy site has findings: {found}\n{logs}")
        time.sleep(0.1)


def stop(site: Site) -> None:
    for process in site.processes:
        process.send_signal(signal.SIGTERM)
    for process in site.processes:
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
