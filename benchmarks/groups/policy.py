"""Policy answers with the quota and ownership rules, beside R's lookups."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from benchmarks import yardsticks
from benchmarks.load import Load, write_pairs
from benchmarks.measure import SECONDS, Row, addresses, domains, in_turns, lookups, spoken
from benchmarks.subject import Subject


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
    """Policy answers with the quota and ownership rules, beside R's lookups; also with all rules of submission."""
    users = addresses()
    order = random.Random(3)
    asked = [policy_request(order.choice(users), order.choice(users)) for _ in range(20_000)]
    pairs = write_pairs(directory / "policy-pairs", ((each, b"action=DUNNO\n\n") for each in asked))
    names = write_pairs(directory / "policy-names", lookups())
    lines = [f"{each}:{{PLAIN}}x::::::userdb_quota_rule=*:storage=1G" for each in users]
    two = Subject(directory / "policy-two", settings={"policy": {"submission": ["sender_ownership", "quota"]}})
    every = Subject(directory / "policy-every")
    with ExitStack() as stack:
        for subject in (two, every):
            subject.fill(lines, domains())
            subject.start()
            stack.callback(subject.stop)
        naive = stack.enter_context(yardsticks.naive(directory, names))
        a, b, c = in_turns(
            lambda: load.run(two.socket("policy"), pairs, pid=two.pid, seconds=SECONDS),
            lambda: load.run(directory / "naive", names, pid=naive, seconds=SECONDS),
            lambda: load.run(every.socket("policy"), pairs, pid=every.pid, seconds=SECONDS),
        )
        detail = f"mailhooks {spoken(a)}; R {spoken(b)}; with all rules of submission {spoken(c)}"
        yield Row.compared("policy, 16 connections: rate vs R", a, b, "rate", must=0.6, aim=1.0, detail=detail)
