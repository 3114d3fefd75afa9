"""Requests as smtpd sends them (recorded, protocol README of Postfix 3.7), and the state of a store around them."""

from __future__ import annotations

from mailhooks.store import Store
from mailhooks.wire.policy import Request, parse_request

NOW = 1_800_000_000.0

WIRE = """request=smtpd_access_policy
protocol_state=RCPT
protocol_name=ESMTP
client_address=127.0.0.1
client_name=unknown
client_port=55740
reverse_client_name=unknown
server_address=127.0.0.1
server_port=2531
helo_name=client.test
sender=joe@outside.example
recipient=adam@e.example
recipient_count=0
queue_id=
instance=4dce.6b029497.a4673.0
size=0
etrn_domain=
stress=
sasl_method=
sasl_username=
sasl_sender=
ccert_subject=
ccert_issuer=
ccert_fingerprint=
ccert_pubkey_fingerprint=
encryption_protocol=
encryption_cipher=
encryption_keysize=0
policy_context="""


def make_request(**changed: str) -> Request:
    """The recorded request with some attributes changed."""
    attributes = dict(line.split("=", 1) for line in WIRE.split("\n"))
    assert set(changed) <= set(attributes)
    return parse_request("\n".join(f"{name}={value}" for name, value in {**attributes, **changed}.items()).encode())


def set_usage(store: Store, **storage: int) -> None:
    """Say what mailboxes at e.example hold."""
    with store.batch() as batch:
        for name, size in storage.items():
            batch.set_usage(f"{name}@e.example", storage=size, messages=1)
    store.renew()
