"""What can be wrong with the listeners of mailhooks, as their clients meet them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailhooks.doctor.finding import Problem, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailhooks.doctor.facts import Facts, Socket
    from mailhooks.doctor.finding import Finding

AREA = "mailhooks: listeners"

CONNECT = 2  # connecting to a unix socket needs write permission, unix(7)
PASS = 1

PERMISSION = Problem(
    "socket-permission",
    Severity.ERROR,
    "Somebody who has to reach a socket may not",
    "Permission denied, which is 451 for all mail (Postfix), no login (Dovecot), or a feature that fails quietly"
    " (dict, which is asked as the mail user).",
    "{cure}",
)
MISSING = Problem(
    "socket-missing",
    Severity.ERROR,
    "A socket of mailhooks is not there",
    "The daemon does not run, or with another configuration: everybody who needs it hears a temporary error.",
    "systemctl start mailhooks (or mailhooks serve, mailhooks up), and look at what it logs",
)
SILENT = Problem(
    "socket-silent",
    Severity.ERROR,
    "A hook does not answer as it should",
    "Its clients hear a temporary error: 451 at RCPT, 454 at AUTH, unavailable at IMAP.",
    "look at what the daemon logs, and at http://.../readyz; then: systemctl restart mailhooks",
)
TWO_DAEMONS = Problem(
    "socket-two-daemons",
    Severity.ERROR,
    "The auth sockets belong to different processes",
    "Dovecot compares their SPID: Auth server restarted, and nobody logs in.",
    "let one process serve login, postfix_auth, auth_master and auth_userdb; end the other: {sockets}",
)
IN_PRIVATE = Problem(
    "socket-in-directory-of-postfix",
    Severity.WARNING,
    "mailhooks listens in a directory that belongs to Postfix",
    "Only root and postfix can make a socket there, and postfix set-permissions takes it away.",
    'in mailhooks.toml: [listen] {hook} = ["unix:{queue}/mailhooks/{name}:mode=0660"]',
)


def permission(facts: Facts) -> Iterator[Finding]:
    """Find sockets and directories whose modes shut their client out."""
    for socket in facts.sockets:
        if socket.client is None or socket.entry is None:
            continue
        shut = [each for each in socket.above if not socket.client.may(each, PASS)]
        if not socket.client.may(socket.entry, CONNECT):
            yield PERMISSION.found(
                f"{socket.client.name} may not connect to {socket.entry.path} (mode {socket.entry.mode:04o},"
                f" owner {socket.entry.uid}:{socket.entry.gid})",
                cure=f"in mailhooks.toml: [listen] {socket.hook} = "
                f'["unix:{socket.entry.path}:mode=0660:group={_group(socket)}"]',
            )
        for entry in shut:
            owner = f"{entry.uid}:{entry.gid}"
            yield PERMISSION.found(
                f"{socket.client.name} may not pass {entry.path} (mode {entry.mode:04o}, owner {owner})",
                cure=f"chgrp {_group(socket)} {entry.path} && chmod g+x {entry.path}",
            )


def missing(facts: Facts) -> Iterator[Finding]:
    """Find listeners that are configured and not there."""
    for socket in facts.sockets:
        if socket.missing:
            yield MISSING.found(f"{socket.hook}: {socket.address.path} {socket.missing}")


def silent(facts: Facts) -> Iterator[Finding]:
    """Find hooks that do not give the answer that a ready one gives."""
    for socket in facts.sockets:
        if socket.silent:
            where = socket.address.path or f"{socket.address.host}:{socket.address.port}"
            yield SILENT.found(f"{socket.hook}: {where} {socket.silent}")


def two_daemons(facts: Facts) -> Iterator[Finding]:
    """Find auth sockets that tell different SPIDs."""
    spids: dict[str, list[str]] = {}
    for socket in facts.sockets:
        if socket.spid:
            spids.setdefault(socket.spid, []).append(socket.address.path or str(socket.address.port))
    if len(spids) > 1:
        sockets = "; ".join(", ".join(each) for each in spids.values())
        yield TWO_DAEMONS.found(f"the auth sockets are of {len(spids)} processes: {sockets}", sockets=sockets)


def in_private(facts: Facts) -> Iterator[Finding]:
    """Find listeners in private/ or public/ of a queue directory."""
    for postfix in facts.postfix:
        queue = postfix["queue_directory"]
        for hook, addresses in facts.hooks.items():
            for address in addresses:
                if queue and address.path.startswith((f"{queue}/private/", f"{queue}/public/")):
                    name = address.path.rpartition("/")[2]
                    yield IN_PRIVATE.found(f"[listen] {hook} is {address.path}", hook=hook, queue=queue, name=name)


CHECKS = (permission, missing, silent, two_daemons, in_private)


def _group(socket: Socket) -> str:
    return {"login": "dovenull", "dict": "(the group of [mail] gid)"}.get(socket.hook, "postfix")
