"""Accounts for a Dovecot that keeps its own auth process."""

from __future__ import annotations

import json

import pytest

from mailhooks.dicts import NAMESPACES, chosen
from mailhooks.store import Refused, Service, State, Unavailable
from mailhooks.userdb import MailSettings
from mailhooks.wire.dict import Set

BO, CY = "bo@example1.com", "imapx/cy@example1.com"
MAIL = MailSettings(5000, 5001, "/var/mail/%d/%n")
HASH = "{PLAIN}secret"


@pytest.fixture
def served():
    return chosen(["passdb", "userdb"], MAIL)


@pytest.fixture
def ask(store, served):
    with store.change("test") as change:
        change.add_domain("example1.com", quota=20480)
        change.add_mailbox(BO, password=HASH)
        change.add_mailbox(CY)
    store.renew()

    def ask(key, name="passdb"):
        found = served[name].lookup(store, key, BO)
        return found and json.loads(found)

    return ask


def test_password_and_user(ask):
    assert ask(f"shared/passdb/{BO}") == {"user": BO, "password": HASH}
    assert ask("shared/passdb/imap/BO@EXAMPLE1.com") == {"user": BO, "password": HASH}
    fields = {"uid": 5000, "gid": 5001, "home": "/var/mail/example1.com/bo", "quota_rule": "*:storage=20480B"}
    assert ask(f"shared/userdb/{BO}") == ask(f"shared/userdb/lmtp/{BO}", "userdb") == fields


def test_userdb_knows_no_passwords(ask):
    assert ask(f"shared/passdb/{BO}", "userdb") is None


def test_who_is_not_found(ask):
    assert ask(f"shared/passdb/{CY}") is None  # has no password
    assert ask(f"shared/userdb/{CY}")  # whose local part is no service
    for key in ("shared/passdb/nobody@example1.com", "shared/userdb/nobody@example1.com", "shared/userdb/", "priv/x"):
        assert ask(key) is None


def test_state_and_services_count_by_service(ask, store):
    def account(**fields):
        with store.change("test") as change:
            change.set_mailbox(BO, **fields)
        store.renew()

    account(allow=[Service.IMAP])
    assert ask(f"shared/passdb/imap/{BO}")
    assert ask(f"shared/passdb/pop3/{BO}") is None
    assert ask(f"shared/passdb/{BO}") is None  # which may be about any service
    account(allow=list(Service), state=State.SEND_ONLY)
    assert ask(f"shared/userdb/lmtp/{BO}") is None
    assert ask(f"shared/userdb/doveadm/{BO}")
    account(state=State.NO_LOGIN)
    assert ask(f"shared/passdb/imap/{BO}") is None


def test_dovecot_is_told_the_networks_of_an_account(ask, store):
    with store.change("test") as change:
        change.set_mailbox(BO, networks=["192.0.2.0/24", "2001:db8::/32"])
    store.renew()
    assert ask(f"shared/passdb/{BO}")["allow_nets"] == "192.0.2.0/24,2001:db8::/32"


@pytest.mark.usefixtures("ask")
def test_everybody_is_listed_without_a_hash(store, served):
    rows = dict(served["passdb"].rows(store, "shared/userdb/", "*"))
    assert rows.keys() == {f"shared/userdb/{BO}", f"shared/userdb/{CY}"}
    assert HASH not in repr(rows)
    assert list(served["passdb"].rows(store, "shared/passdb/", "*")) == []


def test_nothing_is_written(served):
    with pytest.raises(Refused):
        served["userdb"].prepare([Set(1, f"shared/userdb/{BO}", "{}")], BO)


def test_a_store_that_is_gone_is_no_missing_user(ask, store, tmp_path):
    (tmp_path / "mailhooks.db").rename(tmp_path / "away.db")
    store.renew()
    with pytest.raises(Unavailable):
        ask(f"shared/passdb/{BO}")


def test_which_names_are_served():
    assert not {"passdb", "userdb"} & NAMESPACES.keys()
    assert list(chosen(["quota", "passdb", "userdb"], MAIL)) == ["quota", "passdb", "userdb"]
    with pytest.raises(ValueError, match="lastlogin"):
        chosen(["lastlogins"], MAIL)
