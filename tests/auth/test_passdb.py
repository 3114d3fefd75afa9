from __future__ import annotations

import subprocess
import sys
import time

import pytest

from mailhooks import passdb, passwords
from mailhooks.passdb import Accepted, Reason, Refused
from mailhooks.store import Refused as StoreRefused
from mailhooks.store import Service, State, Store, Unavailable

NOW = 1_800_000_000.0
ADAM = "adam@example1.com"
QUICK = "{PLAIN}secret"
# Cheap to check, but not quick: what runs in a worker.
SLOW = "{MD5-CRYPT}$1$abc$iCQ2D3nhptRYi27fDYv2s1"  # secret
STATES = ["active", "no-send", "no-login", "send-only", "closed"]


@pytest.fixture
def store(store):
    """The store of every test, with an account in it."""
    with store.change("test") as change:
        change.add_domain("example1.com")
        change.add_mailbox(ADAM, password=QUICK)
        change.add_mailbox("nopass@example1.com")
    store.renew()
    return store


@pytest.fixture
def adam(store):
    def set_up(**options) -> None:
        with store.change("test") as change:
            change.set_mailbox(ADAM, **options)
        store.renew()

    return set_up


@pytest.fixture
def app(store):
    def add(label, stored, services=frozenset(Service), networks=(), expires=None) -> None:
        with store.change("test") as change:
            change.add_app_password(
                ADAM, label=label, hash=stored, services=services, networks=networks, expires=expires
            )
        store.renew()

    return add


@pytest.fixture
def login(store):
    def attempt(login=ADAM, password="secret", service="imap", network="192.0.2.1", now=NOW):
        return passdb.authenticate(store, login, password, service=service, network=network, now=now)

    return attempt


def test_the_right_password_gets_in(login):
    assert login() == Accepted(ADAM, passdb.MAIN, QUICK)


@pytest.mark.parametrize("spelling", ["Adam@EXAMPLE1.com", '"adam"@example1.com'])
def test_the_user_is_the_canonical_address(login, spelling):
    assert login(spelling).user == ADAM


@pytest.mark.parametrize(
    ("user", "password"),
    [
        (ADAM, "wrong"),
        (ADAM, ""),
        (ADAM, "secret\0"),
        ("nobody@example1.com", "secret"),
        ("nopass@example1.com", "secret"),
        ("adam@example9.com", "secret"),
        ("adam", "secret"),
        ("", ""),
        ("@example1.com", "secret"),
        ("*", "secret"),
    ],
)
def test_unknown_user_and_wrong_password_are_the_same(login, user, password):
    assert login(user, password) == Refused(Reason.CREDENTIALS, "")


@pytest.mark.parametrize("user", ["nobody@example1.com", "nopass@example1.com", "adam", ADAM])
def test_every_refusal_costs_a_slow_hash(monkeypatch, store, user):
    asked = passdb.candidate(store, user, "imap", None, NOW)
    assert asked.scheme == "ARGON2ID"
    checked = []
    verify = passwords.verify

    def spy(stored, password, **options) -> bool:
        checked.append(stored)
        return verify(stored, password, **options)

    monkeypatch.setattr(passwords, "verify", spy)
    assert asked.verify("wrong") is None
    assert checked.count(passwords.DUMMY) == 1


def test_a_slow_hash_is_not_followed_by_another(monkeypatch, store):
    with store.change("test") as change:
        change.set_password(ADAM, SLOW)
    store.renew()
    monkeypatch.setattr(passwords, "DUMMY", "must not be touched")
    asked = passdb.candidate(store, ADAM, "imap", None, NOW)
    assert asked.scheme == "MD5-CRYPT"
    assert asked.quick("secret") is None  # nothing slow on the reactor thread
    assert asked.verify("wrong") is None
    assert asked.verify("secret").stored == SLOW


def test_quick_answers_only_yes(store):
    asked = passdb.candidate(store, ADAM, "imap", None, NOW)
    assert asked.quick("secret").stored == QUICK
    assert asked.quick("wrong") is None


# The interface's table of states: what is refused, and where the client hears the reason.
READING = {"no-login": "ask the treasurer", "closed": ""}
SENDING = {"no-login": "", "no-send": "ask the treasurer", "closed": ""}


@pytest.mark.parametrize("state", STATES)
def test_states(login, adam, state):
    adam(state=State(state), reason="ask the treasurer")
    for refused, services in (
        (READING, ("imap", "pop3", "sieve", "managesieve", "doveadm")),
        (SENDING, ("smtp", "submission")),
    ):
        for service in services:
            answer = login(service=service)
            assert answer == (Refused(Reason.STATE, refused[state]) if state in refused else Accepted(ADAM, "", QUICK))


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("service", ["imap", "smtp"])
def test_a_guesser_learns_nothing_of_states(login, adam, state, service):
    adam(state=State(state), reason="ask the treasurer")
    assert login(password="wrong", service=service) == Refused(Reason.CREDENTIALS, "")


def test_a_state_without_a_reason_has_a_sentence(login, adam):
    adam(state=State.NO_SEND)
    assert login(service="smtp").text == "sending mail is switched off for this account"
    adam(state=State.NO_LOGIN)
    assert login().text == "login is switched off for this account"


def test_allowed_services(login, adam):
    adam(allow=frozenset({Service.IMAP, Service.SMTP}))
    assert isinstance(login(service="imap"), Accepted)
    assert isinstance(login(service="smtp"), Accepted)
    assert login(service="pop3") == Refused(Reason.SERVICE)
    assert login(service="sieve") == Refused(Reason.SERVICE)
    assert login(service="doveadm") == Refused(Reason.SERVICE)  # no service of ours: unrestricted accounts only
    assert login(service="pop3", password="wrong") == Refused(Reason.CREDENTIALS)


def test_an_app_password_is_as_narrow_as_it_was_made(login, app):
    app("same", SLOW)
    assert login().label == passdb.MAIN  # the account's own password comes first
    app("laptop", "{PLAIN}other", services=frozenset({Service.IMAP}), networks=("192.0.2.0/24", "2001:db8::/32"))
    assert login(password="other") == Accepted(ADAM, "laptop", "{PLAIN}other")
    assert login(password="other", network="2001:db8::7").label == "laptop"
    assert login(password="other", network="::ffff:192.0.2.9").label == "laptop"
    for network in ("198.51.100.1", "2001:db9::1", "::ffff:198.51.100.1", None, "", "not an address"):
        assert login(password="other", network=network) == Refused(Reason.CREDENTIALS)
    for service in ("smtp", "pop3", "sieve", "doveadm", "xmpp"):
        assert login(password="other", service=service) == Refused(Reason.CREDENTIALS)


def test_an_app_password_ends(login, app):
    app("guest", "{PLAIN}other", expires=NOW + 10)
    assert login(password="other", now=NOW).label == "guest"
    assert login(password="other", now=NOW + 10) == Refused(Reason.CREDENTIALS)


def test_an_app_password_works_without_a_password_of_the_account(login, app, store):
    app("phone", "{PLAIN}other")
    with store.change("test") as change:
        change.set_password(ADAM, None)
    store.renew()
    assert login(password="other").label == "phone"
    assert login() == Refused(Reason.CREDENTIALS)


def test_an_app_password_does_not_widen_the_account(login, app, adam):
    app("phone", "{PLAIN}other")
    adam(allow=frozenset({Service.IMAP}))
    assert login(password="other", service="smtp") == Refused(Reason.SERVICE)
    adam(state=State.CLOSED)
    assert login(password="other") == Refused(Reason.STATE, "")


def test_the_number_of_checks_is_bounded(store, app):
    for number in range(15):
        app(f"app {number}", f"{{PLAIN}}{number:02}")
    with pytest.raises(StoreRefused, match="15 app passwords"):
        app("app 15", "{PLAIN}15")
    asked = passdb.candidate(store, ADAM, "imap", None, NOW)
    assert len(asked.credentials) == passdb.MAX_CREDENTIALS
    assert asked.verify("00").label == "app 0"
    assert asked.verify("14").label == "app 14"
    assert asked.verify("15") is None


def test_an_expired_app_password_makes_room(store_url, app):
    for number in range(15):
        app(f"app {number}", f"{{PLAIN}}{number:02}", expires=time.time() + 3600)
    later = Store(store_url, clock=lambda: time.time() + 7200)
    with later.change("test") as change:
        change.add_app_password(ADAM, label="one more", hash="{PLAIN}new")
    later.close()


def test_what_changed_while_the_worker_was_busy_counts(store):
    asked = passdb.candidate(store, ADAM, "imap", None, NOW)
    matched = asked.verify("secret")
    assert isinstance(passdb.decide(store, asked, matched, NOW), Accepted)
    with store.change("test") as change:
        change.set_password(ADAM, "{PLAIN}changed")
    store.renew()
    with pytest.raises(Unavailable):  # come again: by then it is the new password that counts
        passdb.decide(store, asked, matched, NOW)
    with store.change("test") as change:
        change.remove_mailbox(ADAM)
    store.renew()
    assert passdb.decide(store, asked, matched, NOW) == Refused(Reason.CREDENTIALS)


def test_a_revoked_app_password_is_refused_at_once(store, app):
    app("phone", "{PLAIN}other")
    asked = passdb.candidate(store, ADAM, "imap", None, NOW)
    matched = asked.verify("other")
    with store.change("test") as change:
        change.revoke_app_password(ADAM, "phone")
    store.renew()
    assert passdb.decide(store, asked, matched, NOW) == Refused(Reason.CREDENTIALS)


def test_the_cache_answers_for_what_the_store_still_holds(store):
    cache = passwords.VerifiedCache(10, 300.0)
    asked = passdb.candidate(store, ADAM, "imap", None, NOW)
    assert asked.cached(cache, "secret", NOW) is None
    matched = asked.verify("secret")
    cache.add(asked.user, "secret", matched.stored, NOW)
    assert asked.cached(cache, "secret", NOW) == matched
    assert asked.cached(cache, "wrong", NOW) is None
    with store.change("test") as change:
        change.set_password(ADAM, "{PLAIN}changed")
    store.renew()
    assert passdb.candidate(store, ADAM, "imap", None, NOW).cached(cache, "secret", NOW) is None


def test_only_weak_hashes_are_to_be_replaced(store, login):
    assert login().rehash == QUICK
    made = passwords.hash_password("secret")
    with store.change("test") as change:
        change.set_password(ADAM, made)
    store.renew()
    assert login().rehash is None


def test_a_store_that_is_away_is_no_refusal(store, login, tmp_path):
    (tmp_path / "mailhooks.db").rename(tmp_path / "aside.db")
    store.renew()
    with pytest.raises(Unavailable):
        login()


@pytest.mark.parametrize(
    ("word", "service"),
    [
        ("smtp", Service.SMTP),
        ("submission", Service.SMTP),
        ("IMAP", Service.IMAP),
        ("pop3", Service.POP3),
        ("sieve", Service.SIEVE),
        ("managesieve", Service.SIEVE),
        ("doveadm", None),
        ("lmtp", None),
        ("", None),
    ],
)
def test_service_names(word, service):
    assert passdb.service_of(word) is service


def test_no_secret_is_shown(store):
    with store.change("test") as change:
        change.set_password(ADAM, passwords.hash_password("secret"))
    store.renew()
    asked = passdb.candidate(store, ADAM, "imap", None, NOW)
    matched = asked.verify("secret")
    accepted = passdb.decide(store, asked, matched, NOW)
    assert "argon2" not in repr((asked, matched, accepted)).lower()


def test_a_login_imports_no_twisted():
    code = "import sys, mailhooks.passdb, mailhooks.userdb; sys.exit('twisted' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_hash_made_anew_by_another_login_was_called_a_wrong_password(store):
    with store.change("test") as change:
        change.add_domain("saturated.example")
        change.add_mailbox("slow@saturated.example", password="{PLAIN}secret")
    asked = passdb.candidate(store, "slow@saturated.example", "imap", None, 1.0)
    matched = asked.verify("secret")
    with store.change("test") as change:
        assert change.replace_hash("slow@saturated.example", "{PLAIN}secret", "{SSHA}rehashed")
    store.renew()
    with pytest.raises(Unavailable):
        passdb.decide(store, asked, matched, 2.0)
