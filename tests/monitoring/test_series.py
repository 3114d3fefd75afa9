"""The number of series: bounded by what the program knows, whatever it serves."""

from __future__ import annotations

import re
import subprocess
import time
from itertools import product

from live_daemon import LIMIT
from twisted.internet.task import Clock

from mailhooks import passwords
from mailhooks.counters import SCOPES, Counters
from mailhooks.hooks import HOOKS
from mailhooks.metrics import Metrics, Sources
from mailhooks.policy import RULES
from mailhooks.renewal import Renewal
from mailhooks.stack import logtap, queue
from mailhooks.store import Service, State
from mailhooks.tables import TABLES
from mailhooks.wire import policy, socketmap
from mailhooks.workers.hash_pool import Timing

MOST = 700

# Everything that the servers count, by the words they use.
LOOKED_UP = ("found", "notfound", "temporary")
DICTS = ("quota", "lastlogin", "sieve", "metadata", "acl", "passdb")
LOGINS = ("accepted", "refused", "temporary", "throttled", "invalid")
MECHANISMS = ("PLAIN", "LOGIN", "SCRAM-SHA-1", "SCRAM-SHA-256")
ACTIONS = ("reject", "deferifpermit")
ERRORS = ("encoding", "field", "framing", "order", "oversized")


def series(page):
    return [line.rpartition(" ")[0] for line in page.splitlines() if not line.startswith("#")]


class Pool:
    """What a HashPool has timed on a site with every scheme that there is."""

    depth = 0

    def __init__(self):
        self.timings = {name: Timing() for name in ("", *sorted(passwords.schemes.SCHEMES))}


def crowded():
    """Return counters in which everything has happened."""
    counters = Counters()
    hooks = counters.hooks
    for name, result in product(TABLES, LOOKED_UP):
        hooks["socketmap"].answered(name, result, 0.1)
        hooks["tcp_table"].answered(name, result, 0.1)
    hooks["socketmap"].answered("unknown", "temporary", 0.1)
    for name, result in product(DICTS, (*LOOKED_UP, "ok", "permanent")):
        hooks["dict"].answered(name, result, 0.1)
    for command, result in product(("request", "user", "pass", "list"), (*LOOKED_UP, "refused")):
        hooks["auth_master"].answered(command, result, 0.1)
        hooks["auth_userdb"].answered(command, result, 0.1)
    for hook, result in product(("login", "postfix_auth"), LOGINS):
        hooks[hook].answered("", result, 0.1)
    for result in ("decided", "temporary"):
        hooks["policy"].answered("", result, 0.1)
    for hook, kind in product(HOOKS, ERRORS):
        hooks[hook].protocol_errors[kind] += 1
    for labels in product([*Service, "other"], MECHANISMS, LOGINS):
        counters.auth[labels] += 1
    counters.policy["none", "dunno", "enforce"] += 1
    for labels in product(RULES, ACTIONS, ("enforce", "shadow")):
        counters.policy[labels] += 1
    return counters


def test_all_that_can_happen_stays_below_the_bound(store, tmp_path):
    numbers, counts = tmp_path / "queue", tmp_path / "log"
    numbers.write_text('{"messages": {}, "oldest": {}}')
    logtap.save(counts, logtap.Counter())
    metrics = Metrics(
        Sources(
            crowded(),
            Renewal(store, Clock()),
            objects=lambda: dict.fromkeys(product(("domain", "mailbox", "alias", "relay"), State), 1),
            pool=Pool(),
            extra=(lambda: queue.metrics(numbers), lambda: logtap.metrics(counts)),
        )
    )
    found = series(metrics.page().decode())
    assert len(found) == len(set(found))
    assert 500 < len(found) <= MOST


def test_every_limit_is_told_before_it_is_reached(store):
    found = series(Metrics(Sources(Counters(), Renewal(store, Clock()))).page().decode())
    assert {each for each in found if "limit_trips" in each} == {
        f'mailhooks_limit_trips_total{{scope="{scope}"}}' for scope in SCOPES
    }


def fill(daemon, users):
    def work(change):
        for number in range(users):
            change.add_mailbox(f"user{number}@example1.com")
            change.add_alias(f"alias{number}@example1.com", [f"user{number}@example1.com"])

    daemon.change(work)


def exercise(daemon, users):
    """Ask about everybody over every table, and let the policy judge mail from everybody."""
    with daemon.connect("socketmap") as client:
        for number, table in product(range(users), TABLES):
            client.sendall(socketmap.request(table, f"user{number}@example1.com"))
            assert client.recv(4096)
    with daemon.connect("policy") as client:
        for number in range(users):
            asked = {"protocol_state": "RCPT", "sasl_username": f"user{number}@example1.com", "client_address": "::1"}
            asked |= {"sender": f"user{number}@example1.com", "recipient": f"alias{number}@example1.com"}
            client.sendall(policy.render_request(policy.Request.of({"request": "smtpd_access_policy", **asked})))
            assert client.recv(4096)


def test_a_thousand_users_have_no_more_series_than_one(daemon):
    fill(daemon, 1000)
    daemon.start()
    exercise(daemon, 1)
    end = time.monotonic() + LIMIT
    while 'mailhooks_objects{kind="mailbox"' not in daemon.get("/metrics")[1]:  # counted by a worker
        assert time.monotonic() < end
    few = set(series(daemon.get("/metrics")[1]))
    exercise(daemon, 1000)
    page = daemon.get("/metrics")[1]
    assert set(series(page)) == few
    assert len(few) <= MOST
    assert not re.search(r"user\d|alias\d|@|::1", page)
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=page, capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
