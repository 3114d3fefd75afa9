"""The rows of the table: what is measured, against what, and what it must reach."""

from __future__ import annotations

import itertools
import random
import socket
import sqlite3
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from . import yardsticks
from .load import Load, Result, resident_bytes, write_pairs
from .subject import Subject

ADDRESSES = 100_000
MISSES = 10_000
DOMAINS = 50
ROUNDS = 7  # in turns; medians of ratios
SECONDS = 1.0  # of each turn


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    unit: str
    value: float
    must: float
    aim: float
    detail: str
    at_most: bool = False

    @property
    def reached(self) -> bool:
        """Whether the "must" was reached."""
        return self.value <= self.must if self.at_most else self.value >= self.must


def addresses(count: int = ADDRESSES) -> list[str]:
    """Return the mailboxes of the benchmark's store."""
    return [f"user{number}@example{number % DOMAINS}.test" for number in range(count)]


def domains() -> list[str]:
    """Return the domains they live in."""
    return [f"example{number}.test" for number in range(DOMAINS)]


def netstring(payload: bytes) -> bytes:
    """Frame a payload."""
    return b"%d:%s," % (len(payload), payload)


def lookups() -> list[tuple[bytes, bytes]]:
    """Return 100,000 hits and 10 % misses in an order that no cache likes."""
    hits = [(each, b"OK " + each.encode()) for each in addresses()]
    misses = [(f"nobody{number}@example{number % DOMAINS}.test", b"NOTFOUND ") for number in range(MISSES)]
    everything = hits + misses
    random.Random(1).shuffle(everything)
    return [(netstring(b"virtual_mailbox_maps " + key.encode()), netstring(reply)) for key, reply in everything]


def in_turns(*runs: Callable[[], Result]) -> list[list[Result]]:
    """Run each in turn, ROUNDS times after a warm-up; return the results by run."""
    for run in runs:
        run()
    rounds = [[run() for run in runs] for _ in range(ROUNDS)]
    return [list(results) for results in zip(*rounds, strict=True)]


def ratio(ours: list[Result], theirs: list[Result], figure: str) -> float:
    """Return the median of the ratios, round by round."""
    return statistics.median(getattr(a, figure) / getattr(b, figure) for a, b in zip(ours, theirs, strict=True))


def spoken(results: list[Result]) -> str:
    """Say a median rate and cost."""
    rate = statistics.median(each.rate for each in results)
    cpu = statistics.median(each.cpu for each in results)
    return f"{rate:,.0f}/s {cpu * 1e6:.1f} µs"


def socketmap(directory: Path, load: Load) -> Iterator[Row]:
    """Lookups with hot keys, with each key once, and over 1,000 connections."""
    everything = lookups()
    pairs = write_pairs(directory / "pairs", everything)
    hot = write_pairs(directory / "hot", everything[:2_000])
    share = len(everything) // (ROUNDS + 1)
    once = [
        write_pairs(directory / f"once{number}", everything[number * share : (number + 1) * share])
        for number in range(ROUNDS + 1)
    ]
    subject = Subject(directory / "socketmap")
    subject.fill((f"{each}:{{PLAIN}}x::::::" for each in addresses()), domains())
    with ExitStack() as stack:
        subject.start()
        stack.callback(subject.stop)
        naive = stack.enter_context(yardsticks.naive(directory, pairs))
        smallest = stack.enter_context(yardsticks.smallest(directory, pairs))
        ours, c, r = subject.socket("socketmap"), directory / "yardstick.socket", directory / "naive"
        a, b, d = in_turns(
            lambda: load.run(ours, hot, pid=subject.pid, seconds=SECONDS),
            lambda: load.run(r, hot, pid=naive, seconds=SECONDS),
            lambda: load.run(c, hot, pid=smallest, seconds=SECONDS),
        )
        detail = f"mailhooks {spoken(a)}; R {spoken(b)}; C {spoken(d)}"
        yield Row("socketmap, 16 connections, hot keys: rate vs R", "×", ratio(a, b, "rate"), 1.6, 2.0, detail)
        yield Row("… CPU per request vs R", "×", ratio(a, b, "cpu"), 0.60, 0.50, detail, at_most=True)
        yield Row("… CPU per request vs C", "×", ratio(a, d, "cpu"), 3.0, 2.3, detail, at_most=True)
        cold, cold_r = itertools.cycle(once), itertools.cycle(once)
        a, b = in_turns(
            lambda: load.run(ours, next(cold), "once", pid=subject.pid, seconds=30),
            lambda: load.run(r, next(cold_r), "once", pid=naive, seconds=30),
        )
        detail = f"mailhooks {spoken(a)}; R {spoken(b)}"
        yield Row("socketmap, each key once: rate vs R", "×", ratio(a, b, "rate"), 1.2, 1.6, detail)
        a, b = in_turns(
            lambda: load.run(ours, hot, pid=subject.pid, connections=1000, seconds=SECONDS),
            lambda: load.run(ours, hot, pid=subject.pid, seconds=SECONDS),
        )
        yield Row("1,000 connections vs own 16", "×", ratio(a, b, "rate"), 0.6, 0.8, f"{spoken(a)}; {spoken(b)}")


def postmap(directory: Path, _load: Load) -> Iterator[Row]:
    """Postfix's own client of lookup tables, all processes on one CPU."""
    keys = [each for each in addresses()] + [f"nobody{n}@example{n % DOMAINS}.test" for n in range(MISSES)]
    random.Random(2).shuffle(keys)
    keys = keys[:40_000]
    known = set(addresses())
    expected = sorted(f"{key}\t{key}" for key in keys if key in known)
    asked = "\n".join(keys) + "\n"
    subject = Subject(directory / "postmap", pinned=True)
    subject.fill((f"{each}:{{PLAIN}}x::::::" for each in addresses()), domains())
    database = directory / "postmap.db"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE mailbox (address TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID")
        connection.executemany("INSERT INTO mailbox VALUES (?, ?)", ((each, each) for each in addresses()))
    connection.close()
    with ExitStack() as stack:
        subject.start()
        stack.callback(subject.stop)
        base = stack.enter_context(yardsticks.postgresql(directory, ((each, each) for each in addresses())))
        query = "query = SELECT value FROM mailbox WHERE address = '%s'\n"
        (directory / "sqlite.cf").write_text(f"dbpath = {database}\n{query}")
        (directory / "pgsql.cf").write_text(f"hosts = unix:{base}\nuser = postgres\ndbname = postgres\n{query}")
        main = directory / "postfix"
        main.mkdir()
        (main / "main.cf").write_text("compatibility_level = 3.6\n")
        (main / "master.cf").write_text("")

        def run(table: str) -> Result:
            begin = time.perf_counter()
            done = subprocess.run(
                ["taskset", "-c", "0", "postmap", "-c", main, "-q", "-", table],
                input=asked,
                text=True,
                capture_output=True,
                check=False,
                timeout=300,
            )
            elapsed = time.perf_counter() - begin
            if sorted(done.stdout.splitlines()) != expected:
                raise RuntimeError(f"{table}: wrong answers: {done.stderr[:500]}")
            return Result(len(keys) / elapsed, 1, 0, 0)

        a, b, c = in_turns(
            lambda: run(f"socketmap:unix:{subject.socket('socketmap')}:virtual_mailbox_maps"),
            lambda: run(f"sqlite:{directory}/sqlite.cf"),
            lambda: run(f"pgsql:{directory}/pgsql.cf"),
        )
        medians = [statistics.median(each.rate for each in results) for results in (a, b, c)]
        detail = "mailhooks {:,.0f}/s; sqlite: {:,.0f}/s; pgsql: {:,.0f}/s".format(*medians)
        yield Row("postmap -q - on one CPU vs sqlite:", "×", ratio(a, b, "rate"), 0.5, 0.7, detail)
        yield Row("… vs pgsql:", "×", ratio(a, c, "rate"), 1.5, 2.0, detail)


def policy_request(login: str, recipient: str) -> bytes:
    """Make what smtpd asks at RCPT of a submission."""
    attributes = {
        "request": "smtpd_access_policy", "protocol_state": "RCPT", "protocol_name": "ESMTP",
        "client_address": "127.0.0.1", "client_name": "unknown", "client_port": "55740",
        "reverse_client_name": "unknown", "server_address": "127.0.0.1", "server_port": "587",
        "helo_name": "client.test", "sender": login, "recipient": recipient, "recipient_count": "0",
        "queue_id": "", "instance": "4dce.6b029497.a4673.0", "size": "1234", "etrn_domain": "", "stress": "",
        "sasl_method": "PLAIN", "sasl_username": login, "sasl_sender": "", "ccert_subject": "", "ccert_issuer": "",
        "ccert_fingerprint": "", "ccert_pubkey_fingerprint": "", "encryption_protocol": "TLSv1.3",
        "encryption_cipher": "TLS_AES_256_GCM_SHA384", "encryption_keysize": "256", "policy_context": "submission",
    }  # fmt: skip
    return "".join(f"{name}={value}\n" for name, value in attributes.items()).encode() + b"\n"


def policy(directory: Path, load: Load) -> Iterator[Row]:
    """Policy answers with the quota and ownership rules, beside R's lookups."""
    users = addresses()
    order = random.Random(3)
    asked = [policy_request(order.choice(users), order.choice(users)) for _ in range(20_000)]
    pairs = write_pairs(directory / "policy-pairs", ((each, b"action=DUNNO\n\n") for each in asked))
    names = write_pairs(directory / "policy-names", lookups())
    subject = Subject(directory / "policy-store")
    subject.fill((f"{each}:{{PLAIN}}x::::::userdb_quota_rule=*:storage=1G" for each in users), domains())
    with ExitStack() as stack:
        subject.start()
        stack.callback(subject.stop)
        naive = stack.enter_context(yardsticks.naive(directory, names))
        a, b = in_turns(
            lambda: load.run(subject.socket("policy"), pairs, pid=subject.pid, seconds=SECONDS),
            lambda: load.run(directory / "naive", names, pid=naive, seconds=SECONDS),
        )
        detail = f"mailhooks {spoken(a)}; R {spoken(b)}"
        yield Row("policy, 16 connections: rate vs R", "×", ratio(a, b, "rate"), 0.6, 1.0, detail)


HANDSHAKE = ("line", r"hello=VERSION\t1\t1\nCPID\t%d\n".encode().decode("unicode_escape"), "ready=DONE\n")


def credentials(users: list[str]) -> list[tuple[bytes, bytes]]:
    """Return AUTH PLAIN requests as Postfix makes them, and how the reply must begin."""
    from base64 import b64encode

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
        ("SHA512-CRYPT", (), 4.0),
        ("BLF-CRYPT", ("-r", "10"), 4.0),
        ("ARGON2ID", (), 4.0),
    ):
        stored = hashed(scheme, *options)
        place = directory / f"auth-{scheme}"
        place.mkdir(mode=0o755)
        place.parent.chmod(0o755)
        pairs = write_pairs(place / "pairs", credentials(users))
        subject = Subject(place / "mailhooks", auth={"cache_entries": 0, "rehash": False})
        subject.fill((f"{each}:{stored}::::::" for each in users), domains())
        with ExitStack() as stack:
            subject.start()
            stack.callback(subject.stop)
            accounts = [(each, stored) for each in users]
            sql, sql_pid = stack.enter_context(yardsticks.dovecot(place, accounts, sql=True))
            flat, flat_pid = stack.enter_context(yardsticks.dovecot(place, accounts, sql=False))

            def run(path: Path, pid: int, pairs: Path = pairs, seconds: float = seconds) -> Result:
                return load.run(path, pairs, *HANDSHAKE, pid=pid, seconds=seconds)

            runs = [
                lambda: run(subject.socket("postfix_auth"), subject.pid),
                lambda: run(sql, sql_pid),
                lambda: run(flat, flat_pid),
            ]
            if scheme != "SSHA512":
                a, b = in_turns(*runs[:2])
                detail = f"mailhooks {spoken(a)}; sql {spoken(b)}"
                yield Row(f"AUTH {{{scheme}}}: vs Dovecot sql", "×", ratio(a, b, "rate"), 0.85, 1.0, detail)
                continue
            a, b, c = in_turns(*runs)
            detail = f"mailhooks {spoken(a)}; sql {spoken(b)}; passwd-file {spoken(c)}"
            yield Row("AUTH PLAIN {SSHA512}: vs Dovecot sql without cache", "×", ratio(a, b, "rate"), 3, 5, detail)
            yield Row("… vs Dovecot passwd-file", "×", ratio(a, c, "rate"), 0.9, 1.3, detail)


def tails(directory: Path, load: Load) -> Iterator[Row]:
    """The slowest lookups while two password checks always run."""
    users = addresses(5_000)
    stored = hashed("SHA512-CRYPT", "-r", "200000")
    subject = Subject(directory / "tails", auth={"cache_entries": 0, "rehash": False, "workers": 2})
    subject.fill((f"{each}:{stored}::::::" for each in users), domains())
    pairs = write_pairs(
        directory / "tail-pairs",
        ((netstring(b"virtual_mailbox_maps " + e.encode()), netstring(b"OK " + e.encode())) for e in users),
    )
    checks = write_pairs(directory / "tail-checks", credentials(users))
    with ExitStack() as stack:
        subject.start()
        stack.callback(subject.stop)

        def quiet() -> Result:
            return load.run(subject.socket("socketmap"), pairs, "rate=2000", pid=subject.pid, seconds=3)

        def busy() -> Result:
            hashing = threading.Thread(
                target=load.run,
                args=(subject.socket("postfix_auth"), checks, *HANDSHAKE),
                kwargs={"pid": subject.pid, "connections": 2, "seconds": 4},
            )
            hashing.start()
            time.sleep(0.5)  # let both checks begin
            result = quiet()
            hashing.join()
            return result

        a, b = in_turns(busy, quiet)
        detail = "p99 {:.2f} ms busy; {:.2f} ms quiet".format(
            *(statistics.median(each.p99 for each in results) * 1e3 for results in (a, b))
        )
        yield Row(
            "lookup p99, 2,000/s, two password checks running vs none",
            "×",
            ratio(a, b, "p99"),
            2,
            1.2,
            detail,
            at_most=True,
        )


def dict_commits(directory: Path, load: Load) -> Iterator[Row]:
    """quota_clone commits, a connection for each, acknowledged after their group's commit."""
    users = addresses(5_000)
    subject = Subject(directory / "dict-store")
    subject.fill((f"{each}:{{PLAIN}}x::::::" for each in users), domains())
    pairs = write_pairs(
        directory / "dict-pairs",
        (
            (
                f"H3\t2\t0\t\tquota\nB1\t{each}\nS1\tpriv/quota/storage\t{number}\nS1\tpriv/quota/messages\t3\nC1\n".encode(),
                b"O1\n",
            )
            for number, each in enumerate(users)
        ),
    )
    with ExitStack() as stack:
        subject.start()
        stack.callback(subject.stop)
        (a,) = in_turns(
            lambda: load.run(subject.socket("dict"), pairs, "reconnect", pid=subject.pid, seconds=2 * SECONDS)
        )
        rate = statistics.median(each.rate for each in a)
        yield Row("dict commits, one connection each, 16 clients", "/s", rate, 3000, 6000, spoken(a))


def size(directory: Path, _load: Load) -> Iterator[Row]:
    """Memory and start with a million mailboxes."""
    big, small = Subject(directory / "big"), Subject(directory / "small")
    seconds = big.fill((f"{each}:{{PLAIN}}x::::::" for each in addresses(1_000_000)), domains())
    small.fill(["user0@example0.test:{PLAIN}x::::::"], domains())
    starts: list[list[float]] = [[], []]
    for _ in range(ROUNDS):
        for subject, kept in zip((big, small), starts, strict=True):
            kept.append(subject.start())
            subject.stop()
    big.start()
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(big.socket("socketmap")))
            for each in random.Random(4).sample(addresses(1_000_000), 50_000):
                connection.sendall(netstring(b"virtual_mailbox_maps " + each.encode()))
                connection.recv(1000)
        memory = resident_bytes(big.pid) / 1e6
    finally:
        big.stop()
    detail = f"import took {seconds:.1f} s; start {statistics.median(starts[0]):.2f} s vs {statistics.median(starts[1]):.2f} s"
    yield Row("resident memory with 1,000,000 mailboxes", " MB", memory, 120, 100, detail, at_most=True)
    share = statistics.median(a / b for a, b in zip(*starts, strict=True))
    yield Row("start to first answer vs 1 mailbox", "×", share, 1.5, 1.1, detail, at_most=True)


def imports(directory: Path, _load: Load) -> Iterator[Row]:
    """The flat files of 100,000 mailboxes."""
    rates = []
    for number in range(3):
        subject = Subject(directory / f"import{number}")
        seconds = subject.fill(
            (f"{each}:{{PLAIN}}x::::::userdb_quota_rule=*:storage=1G" for each in addresses()), domains()
        )
        rates.append(ADDRESSES / seconds)
    rate = statistics.median(rates)
    yield Row("import of 100,000 mailboxes", "/s", rate, 20_000, 50_000, f"{ADDRESSES / rate:.1f} s")


GROUPS: dict[str, Callable[[Path, Load], Iterator[Row]]] = {
    "socketmap": socketmap,
    "postmap": postmap,
    "policy": policy,
    "auth": auth,
    "tails": tails,
    "dict": dict_commits,
    "size": size,
    "import": imports,
}
