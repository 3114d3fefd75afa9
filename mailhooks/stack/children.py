"""The four programs that make up a server: how each is started, when it is ready, how it is stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mailhooks.config import Config, ConfigError
from mailhooks.lifecycle import END_SECONDS
from mailhooks.stack import directories, holding, paths, render, sockets
from mailhooks.stack.generation import binary

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# How long each may take to end before it is killed. Docker kills everything after 10 seconds.
POSTFIX_GRACE = 2.0
NEIGHBOUR_GRACE = 1.5
SERVE_GRACE = END_SECONDS + 0.5  # it answers what is pending, which takes moments

# How long each may take to become ready.
SERVE_READY = 30.0
NEIGHBOUR_READY = 30.0  # spamd compiles its rules on start

PING, PONG = b"PING SPAMC/1.5\r\n\r\n", b" PONG\r\n"  # spamd's protocol (spamd/PROTOCOL)


@dataclass(frozen=True)
class Probe:
    """What tells that a program is ready: it listens, and answers ``sends`` with something that ends in ``ends``."""

    address: sockets.Address
    sends: bytes = b""
    ends: bytes = b""
    seconds: float = NEIGHBOUR_READY
    required: bool = False


@dataclass(frozen=True)
class Child:
    """One program below the supervisor."""

    name: str
    command: tuple[str, ...]
    grace: float
    environment: Mapping[str, str] = field(default_factory=dict)
    probes: tuple[Probe, ...] = ()
    before: Callable[[], None] = lambda: None  # run at each start
    leader: Callable[[], int | None] = lambda: None  # who gets the signals, if not the program itself
    reloads: bool = True  # SIGHUP means: read your configuration again
    stdin: int | None = None  # a descriptor of ours; None: nothing to read
    inherits: tuple[int, ...] = ()  # descriptors of ours that it gets, from 3 on
    stdout: int = 1  # a descriptor of ours, for its standard error, too
    vital: bool = True  # the server ends when it cannot live


# sd_listen_fds(3) wants the process to be named, which is known only in it.
LISTENING = ("/bin/sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh")


def serve(config: Config, config_path: Path | None, environment: Mapping[str, str], held: holding.Held) -> Child:
    """``mailhooks serve`` as its own user, with the groups of those who use its sockets, and no way back to root.

    It is served on the sockets that are ``held``, and makes the others itself.
    """
    user, groups = directories.service_account(config), directories.service_groups(config)
    options = ("--config", str(config_path)) if config_path else ()
    return Child(
        name="serve",
        command=(
            *detached(*as_user(user, groups)),
            *(LISTENING if held.sockets else ()),
            *(sys.executable, "-P", "-m", "mailhooks", *options, "serve"),
        ),
        environment={**environment, **python_path(), **held.environment},
        inherits=held.descriptors,
        grace=SERVE_GRACE,
        # The greeting of the auth protocol ends in DONE. An smtpd that starts before it is there does not come back
        # for a minute ("no SASL authentication mechanisms").
        probes=tuple(
            Probe(sockets.find(getattr(config.listen, key), key), ends=b"DONE\n", seconds=SERVE_READY, required=True)
            for key in ("postfix_auth", "login")
        ),
    )


def dovecot(config: Config) -> Child:
    """Dovecot's master in the foreground."""
    where = paths.layout(config)
    return Child(
        name="dovecot",
        command=(
            *detached(),
            binary("dovecot", "dovecot-core"),
            "-F",
            "-c",
            str(where.dovecot_config / "dovecot.conf"),
        ),
        grace=NEIGHBOUR_GRACE,
        probes=(Probe(sockets.Address(path=str(where.lmtp))),),
        before=lambda: directories.link_auth_sockets(config),
    )


def spamd(config: Config) -> Child:
    """Spamd on loopback: no preference files of users (-x), preferences by SQL (-q), no network tests (-L)."""
    where, port = paths.layout(config), config.server.ports.spamd
    return Child(
        name="spamd",
        command=(
            *detached(),
            *(binary("spamd", "spamd"), "-x", "-q", "-L", "-u", render.SPAM_USER, "-s", "stderr"),
            *("-i", "127.0.0.1", "-p", str(port), "-A", "127.0.0.1"),
            "--allow-tell",  # learning (spamc -L); only this machine reaches it
            *("--max-children", str(render.SPAM_CHILDREN), f"--siteconfigpath={where.spamassassin_config}"),
            f"--configpath={where.rules}",
        ),
        environment={"HOME": str(where.bayes)},
        grace=NEIGHBOUR_GRACE,
        before=lambda: directories.link_rules(config),
        # Its parent listens long before the rules are compiled.
        probes=(Probe(sockets.Address(host="127.0.0.1", port=port), PING, PONG),),
        reloads=False,  # it would start itself anew and refuse mail meanwhile; its preferences are read live
    )


def postfix(config: Config) -> Child:
    """Postfix in the foreground; the script that ``start-fg`` is waits for the master, which gets the signals."""
    where = paths.layout(config)
    ports, host = config.server.ports, config.server.interface or "127.0.0.1"
    port = ports.smtp or ports.submission or ports.submissions
    return Child(
        name="postfix",
        command=(*detached(), binary("postfix", "postfix"), "-c", str(where.postfix_config), "start-fg"),
        grace=POSTFIX_GRACE,
        probes=(Probe(sockets.Address(host=host, port=port)),) if port else (),
        before=lambda: _clear_stray_master(where),
        leader=lambda: _master_pid(where),
    )


def detached(*options: str) -> tuple[str, ...]:
    """Return the prefix of every command: a session of its own, so that Ctrl-C reaches only us; it ends with us."""
    return (binary("setsid", "util-linux"), binary("setpriv", "util-linux"), "--pdeathsig=TERM", *options)


def as_user(user: directories.Account, groups: tuple[int, ...]) -> tuple[str, ...]:
    """Return the options of setpriv(1) that give up root for good."""
    return (
        f"--reuid={user.uid}",
        f"--regid={user.gid}",
        f"--groups={','.join(map(str, sorted({user.gid, *groups})))}",
        "--inh-caps=-all",
        "--no-new-privs",
    )


def python_path() -> dict[str, str]:
    """Return the environment in which a child finds this very mailhooks, installed or not."""
    return {"PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONUNBUFFERED": "1"}


def _master_pid(where: paths.Layout) -> int | None:
    """Return the pid of this instance's running Postfix master."""
    try:
        pid = int((where.queue / "pid/master.pid").read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if b"master" in command.split(b"\0", 1)[0] else None


def refuse_running(config: Config) -> None:
    """Raise ConfigError when the queue is in use by a Postfix that is not ours; end what an earlier ``up`` left."""
    where = paths.layout(config)
    pid = _master_pid(where)
    if pid is not None and where.root == Path("/"):
        raise ConfigError(f"Postfix runs already on {where.queue} (pid {pid}): systemctl disable --now postfix")
    _clear_stray_master(where)


def _clear_stray_master(where: paths.Layout) -> None:
    """End a master whose script was killed: it holds the lock, and its children the ports."""
    pid = _master_pid(where)
    if pid is not None:
        with contextlib.suppress(OSError):
            os.killpg(pid, signal.SIGKILL)
