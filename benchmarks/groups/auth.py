"""AUTH PLAIN beside Dovecot's own auth process; no cache of verified credentials on either side."""

from __future__ import annotations

import subprocess
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks import yardsticks
from benchmarks.load import Load, write_pairs
from benchmarks.measure import SECONDS, Row, addresses, domains, in_turns, spoken
from benchmarks.subject import Subject

HANDSHAKE = ("line", "hello=VERSION\t1\t1\nCPID\t%d\n", "ready=DONE\n")


def credentials(users: list[str]) -> list[tuple[bytes, bytes]]:
    """Return AUTH PLAIN requests as Postfix makes them, and how the reply must begin."""
    return [
        (
            b"AUTH\t1\tPLAIN\tservice=smtp\tnologin\tlip=127.0.0.1\trip=127.0.0.1\tsecured\tresp=%s\n"
            % b64encode(f"\0{user}\0secret".encode()),
            f"OK\t1\tuser={user}".encode(),
        )
        for user in users
    ]


def hashed(scheme: str, *options: str) -> str:
    """Let Dovecot's own tool make a hash of the benchmark's password."""
    done = subprocess.run(
        ["doveadm", "pw", "-s", scheme, *options, "-p", "secret"], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def auth(directory: Path, load: Load) -> Iterator[Row]:
    """AUTH PLAIN beside Dovecot's own auth process; no cache of verified credentials on either side."""
    users = addresses(20_000)
    for scheme, options, seconds in (
        ("SSHA512", (), SECONDS),
        ("SHA512-CRYPT", (), 1.5),
        ("BLF-CRYPT", ("-r", "10"), 1.5),
        ("ARGON2ID", (), 1.5),
    ):
        stored = hashed(scheme, *options)
        place = directory / f"auth-{scheme}"
        place.mkdir(mode=0o755)
        place.parent.chmod(0o755)
        pairs = write_pairs(place / "pairs", credentials(users))
        subject = Subject(place / "mailhooks", settings={"auth": {"cache_entries": 0, "rehash": False}})
        subject.fill((f"{each}:{stored}::::::" for each in users), domains())
        with ExitStack() as stack:
            subject.start()
            stack.callback(subject.stop)
            accounts = [(each, stored) for each in users]
            sql, sql_pid = stack.enter_context(yardsticks.dovecot(place, accounts, sql=True))
            flat, flat_pid = stack.enter_context(yardsticks.dovecot(place, accounts, sql=False))

            run = partial(load.run, options=HANDSHAKE, seconds=seconds)
            runs = [
                partial(run, subject.socket("postfix_auth"), pairs, pid=subject.pid),
                partial(run, sql, pairs, pid=sql_pid),
                partial(run, flat, pairs, pid=flat_pid),
            ]
            if scheme != "SSHA512":
                a, b = in_turns(*runs[:2])
                detail = f"mailhooks {spoken(a)}; sql {spoken(b)}"
                yield Row.compared(
                    f"AUTH {{{scheme}}}: vs Dovecot sql", a, b, "rate", must=0.85, aim=1.0, detail=detail
                )
                continue
            a, b, c = in_turns(*runs)
            detail = f"mailhooks {spoken(a)}; sql {spoken(b)}; passwd-file {spoken(c)}"
            yield Row.compared(
                "AUTH PLAIN {SSHA512}: vs Dovecot sql without cache", a, b, "rate", must=3, aim=5, detail=detail
            )
            yield Row.compared("… vs Dovecot passwd-file", a, c, "rate", must=0.9, aim=1.3, detail=detail)
