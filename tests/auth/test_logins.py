from __future__ import annotations

import pytest

from mailhooks import passdb
from mailhooks.logins import LoginRules, Who, who
from mailhooks.passdb import Accepted, Reason, Refused
from mailhooks.store import Service, State

NOW = 1_800_000_000.0
ADAM, BOB, ADMIN = "adam@example1.com", "bob@example1.com", "admin@example1.com"
ALIASES = LoginRules(alias_login=True)
MASTERS = LoginRules(masters=frozenset({ADMIN}))


@pytest.fixture
def store(store):
    with store.change("test") as change:
        change.add_domain("example1.com")
        change.add_domain("example2.com")
        change.add_domain("other.example", alias_of="example1.com")
        for user in (ADAM, BOB, ADMIN, "carol@example2.com"):
            change.add_mailbox(user, password=f"{{PLAIN}}{user.partition('@')[0]}")
        change.add_alias("office@example1.com", [ADAM])
        change.add_alias("boss@example1.com", ["office@example1.com"])
        change.add_alias("team@example1.com", [ADAM, BOB])
        change.add_alias("away@example1.com", ["adam@elsewhere.example"])
        change.add_alias(BOB, [BOB, ADAM])
        change.add_alias("@example2.com", ["carol@example2.com"])
    store.renew()
    return store


@pytest.fixture
def login(store):
    def attempt(login, password, rules, service="imap", authzid=""):
        asked = passdb.candidate(store, login, service, "192.0.2.1", NOW, authzid=authzid, rules=rules)
        return passdb.decide(store, asked, asked.verify(password), NOW)

    return attempt


@pytest.mark.parametrize(
    ("given", "user"),
    [
        (ADAM, ADAM),
        ("Adam@EXAMPLE1.com", ADAM),
        ("adam+work@example1.com", ADAM),
        ("adam@other.example", ADAM),
        ("adam+x@other.example", ADAM),
        ("office@example1.com", ADAM),
        ("office+x@example1.com", ADAM),
        ("office@other.example", ADAM),
        (BOB, BOB),  # an account first, whatever alias bears its address
        ("bob+x@example1.com", BOB),
    ],
)
def test_other_addresses_of_an_account(store, given, user):
    assert who(store, given, rules=ALIASES).user == user


@pytest.mark.parametrize(
    "given",
    [
        "team@example1.com",
        "boss@example1.com",
        "away@example1.com",
        "whoever@example2.com",
        "nobody@example1.com",
        "x@unknown.example",
    ],
)
def test_what_is_nobodys_own_address(store, given):
    assert who(store, given, rules=ALIASES) == Who(given, given)


def test_without_the_setting_a_login_is_the_address_of_the_account(store, login):
    for given in ("office@example1.com", "adam+work@example1.com", "adam@other.example"):
        assert who(store, given) == Who(given, given)
        assert login(given, "adam", LoginRules()) == Refused(Reason.CREDENTIALS)


def test_an_accepted_login_says_by_which_name(login):
    assert login("Office@example1.com", "adam", ALIASES) == Accepted(ADAM, "", "{PLAIN}adam", "office@example1.com")
    assert login("ADAM@example1.com", "adam", ALIASES) == Accepted(ADAM, "", "{PLAIN}adam")


@pytest.mark.parametrize("given", ["adam", "", "@example1.com", "a b@c@d", "*", "adam*", "*adam@example1.com"])
@pytest.mark.parametrize("rules", [ALIASES, MASTERS, LoginRules()])
def test_names_that_are_no_address(store, given, rules):
    meant = who(store, given, rules=rules)
    assert store.mailbox(meant.user) is None
    assert meant.master == ""


def test_a_master_logs_in_as_another(login):
    accepted = login(f"{ADAM}*{ADMIN}", "admin", MASTERS)
    assert accepted == Accepted(ADAM, "", "{PLAIN}admin", "", ADMIN)
    assert accepted.owner == ADMIN
    assert login("Adam@EXAMPLE1.com*Admin@Example1.COM", "admin", MASTERS) == accepted
    assert login(ADMIN, "admin", MASTERS, authzid=ADAM) == accepted
    assert login(ADMIN, "admin", MASTERS) == login(ADMIN, "admin", MASTERS, authzid=ADMIN)
    assert login(ADMIN, "admin", MASTERS).master == ""


@pytest.mark.parametrize(
    ("given", "password"),
    [
        (f"{ADAM}*{ADMIN}", "adam"),
        (f"{ADAM}*{BOB}", "bob"),
        (f"{ADAM}*{BOB}", "adam"),
        (f"{ADAM}*nobody@example1.com", "admin"),
        (f"nobody@example1.com*{ADMIN}", "admin"),
        (f"*{ADMIN}", "admin"),
        (f"{ADAM}*", "adam"),
        (f"{ADAM}*{ADAM}*{ADMIN}", "admin"),
    ],
)
def test_what_no_master_can(login, given, password):
    assert login(given, password, MASTERS) == Refused(Reason.CREDENTIALS)


def test_without_masters_nobody_acts_as_another(login):
    assert login(f"{ADAM}*{ADMIN}", "admin", LoginRules()) == Refused(Reason.CREDENTIALS)
    assert login(ADMIN, "admin", LoginRules(), authzid=ADAM) == Refused(Reason.CREDENTIALS)
    assert login(BOB, "bob", MASTERS, authzid=ADAM) == Refused(Reason.CREDENTIALS)


def test_a_master_sends_as_nobody_unless_that_is_configured(login):
    assert login(f"{ADAM}*{ADMIN}", "admin", MASTERS, "smtp") == Refused(Reason.SERVICE)
    may = LoginRules(masters=frozenset({ADMIN}), master_smtp=True)
    assert login(f"{ADAM}*{ADMIN}", "admin", may, "smtp").user == ADAM
    assert login(ADMIN, "admin", MASTERS, "smtp").user == ADMIN


def test_a_master_gets_in_where_both_could(store, login):
    with store.change("test") as change:
        change.set_mailbox(ADAM, allow={Service.IMAP})
        change.set_mailbox(BOB, state=State.CLOSED)
        change.set_mailbox(ADMIN, networks=["192.0.2.0/24"])
    store.renew()
    assert login(f"{ADAM}*{ADMIN}", "admin", MASTERS).user == ADAM
    assert login(f"{ADAM}*{ADMIN}", "admin", MASTERS, "pop3") == Refused(Reason.SERVICE)
    assert login(f"{BOB}*{ADMIN}", "admin", MASTERS) == Refused(Reason.STATE)
    with store.change("test") as change:
        change.set_mailbox(ADMIN, networks=["198.51.100.0/24"])
    store.renew()
    assert login(f"{ADAM}*{ADMIN}", "admin", MASTERS) == Refused(Reason.CREDENTIALS)


def test_another_separator(login):
    rules = LoginRules(masters=frozenset({ADMIN}), separator="%")
    assert login(f"{ADAM}%{ADMIN}", "admin", rules).user == ADAM
    assert login(f"{ADAM}*{ADMIN}", "admin", rules) == Refused(Reason.CREDENTIALS)


def test_an_alias_that_was_taken_away_while_the_worker_was_busy(store):
    asked = passdb.candidate(store, "office@example1.com", "imap", None, NOW, rules=ALIASES)
    matched = asked.verify("adam")
    with store.change("test") as change:
        change.set_alias("office@example1.com", targets=[BOB])
    store.renew()
    assert passdb.decide(store, asked, matched, NOW) == Refused(Reason.CREDENTIALS)


# Networks of an account


@pytest.mark.parametrize(
    ("network", "gets_in"),
    [("192.0.2.9", True), ("::ffff:192.0.2.9", True), ("198.51.100.1", False), ("2001:db8::1", True), (None, False)],
)
def test_an_account_logs_in_from_its_networks_only(store, network, gets_in):
    with store.change("test") as change:
        change.set_mailbox(ADAM, networks=["192.0.2.0/24", "2001:db8::/32"])
        change.add_app_password(ADAM, label="phone", hash="{PLAIN}phone")
        change.set_scram(ADAM, {"SCRAM-SHA-1": "keys"})
    store.renew()
    for password in ("adam", "phone"):
        outcome = passdb.authenticate(store, ADAM, password, service="imap", network=network, now=NOW)
        assert isinstance(outcome, Accepted) is gets_in
        assert gets_in or outcome == Refused(Reason.CREDENTIALS)
    asked = passdb.candidate(store, ADAM, "imap", network, NOW, mechanism="SCRAM-SHA-1")
    assert bool(asked.credentials) is gets_in


# SCRAM keys


def test_keys_are_those_of_the_account_and_made_up_for_all_others(store):
    with store.change("test") as change:
        change.set_scram(ADAM, {"SCRAM-SHA-1": "1", "SCRAM-SHA-256": "256"})
    store.renew()
    assert passdb.scram_keys(store, "Adam@example1.COM", "SCRAM-SHA-256") == "256"
    assert passdb.scram_keys(store, "office@example1.com", "SCRAM-SHA-1", ALIASES) != "1"
    assert passdb.scram_keys(store, f"{BOB}*{ADAM}", "SCRAM-SHA-1", LoginRules(masters=frozenset({ADAM}))) == "1"
    for nobody in (BOB, "nobody@example1.com", "no address", ""):
        keys = passdb.scram_keys(store, nobody, "SCRAM-SHA-1")
        assert keys.startswith("65536,")
        assert keys == passdb.scram_keys(store, nobody.upper() if "@" in nobody else nobody, "SCRAM-SHA-1")


def test_keys_go_with_the_password_and_stay_with_a_rehash(store):
    def keys():
        store.renew()
        return store.scram_keys(ADAM, "SCRAM-SHA-1")

    with store.change("test") as change:
        change.set_scram(ADAM, {"SCRAM-SHA-1": "one"})
    assert keys() == "one"
    with store.change("test") as change:
        assert change.replace_hash(ADAM, "{PLAIN}adam", "{PLAIN}the same")
    assert keys() == "one"
    with store.change("test") as change:
        change.set_password(ADAM, "{PLAIN}new")
    assert keys() is None
    with store.change("test") as change:
        change.set_password(ADAM, "{PLAIN}newer")
        change.set_scram(ADAM, {"SCRAM-SHA-1": "two"})
    assert keys() == "two"
    assert not any("two" in f"{entry.action} {entry.subject} {entry.detail}" for entry in store.audit(100))
    with store.change("test") as change:
        change.remove_mailbox(ADAM)
    assert keys() is None
