from __future__ import annotations

import fnmatch
import posixpath

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from mailhooks import userdb
from mailhooks.store import State, Unavailable
from mailhooks.userdb import MailSettings

ADAM = "adam@example1.com"
MAIL = MailSettings(5000, 5001, "/var/mail/%d/%n")
SPECIALS = st.text(st.sampled_from("ab./=%~ :\\@*\u00e9\u0301-"), min_size=1, max_size=12)


@pytest.fixture
def accounts(store):
    with store.change("test") as change:
        change.add_domain("example1.com")
        change.add_domain("example2.com")
        change.add_mailbox(ADAM, quota=1 << 30)
        change.add_mailbox("bob@example1.com")
        change.add_mailbox("adam@example2.com")
    store.renew()
    return store


def test_the_fields_of_each_generation(accounts):
    common = {"uid": "5000", "gid": "5001", "home": "/var/mail/example1.com/adam"}
    assert userdb.fields(accounts, ADAM, MAIL, "2.3") == common | {"quota_rule": "*:storage=1073741824B"}
    assert userdb.fields(accounts, "Adam@EXAMPLE1.com", MAIL, "2.4") == common | {"quota_storage_size": "1073741824B"}


def test_an_account_without_a_limit_has_no_quota_field(accounts):
    assert list(userdb.fields(accounts, "bob@example1.com", MAIL, "2.3")) == ["uid", "gid", "home"]


@pytest.mark.parametrize("user", ["nobody@example1.com", "adam", "", "@example1.com", "../adam@example1.com"])
def test_nobody_else_exists(accounts, user):
    assert userdb.fields(accounts, user, MAIL, "2.3") is None


@pytest.mark.parametrize("service", ["lmtp", "lda", "quota-status"])
@pytest.mark.parametrize("state", list(State))
def test_what_receives_no_mail_does_not_exist_for_delivery(accounts, service, state):
    with accounts.change("test") as change:
        change.set_mailbox(ADAM, state=state)
    accounts.renew()
    assert (userdb.fields(accounts, ADAM, MAIL, "2.3", service=service) is not None) is state.receives
    for other in ("imap", "pop3", "sieve", "doveadm", ""):
        assert userdb.fields(accounts, ADAM, MAIL, "2.3", service=other) is not None


def test_masks(accounts):
    assert sorted(userdb.users(accounts)) == [ADAM, "adam@example2.com", "bob@example1.com"]
    assert sorted(userdb.users(accounts, "ADAM@*")) == [ADAM, "adam@example2.com"]
    assert list(userdb.users(accounts, "?ob@*")) == ["bob@example1.com"]
    assert list(userdb.users(accounts, "nobody")) == []


def test_a_store_that_is_away_is_not_nobody(accounts, tmp_path):
    (tmp_path / "mailhooks.db").rename(tmp_path / "aside.db")
    accounts.renew()
    with pytest.raises(Unavailable):
        userdb.fields(accounts, "nobody@example1.com", MAIL, "2.3")
    with pytest.raises(Unavailable):
        list(userdb.users(accounts))


@given(st.text("ab*?", max_size=12), st.text("ab", max_size=12))
def test_a_mask_is_what_the_shell_makes_of_it(mask, text):
    assert userdb.matches(mask, text) == fnmatch.fnmatchcase(text, mask)


def test_a_hostile_mask_ends():
    assert not userdb.matches("*a" * 200 + "b", "a" * 250)


def test_brackets_mean_themselves():
    assert userdb.matches("[ab]*", "[ab]c")
    assert not userdb.matches("[ab]", "a")


@pytest.mark.parametrize(
    ("local", "component"),
    [
        ("adam", "adam"),
        ("adam.b", "adam.b"),
        ("o'brien+x_y-z", "o'brien+x_y-z"),
        ("jörg", "jörg"),
        ("..", "=2E."),
        (".", "=2E"),
        (".hidden", "=2Ehidden"),
        ("a/../../b", "a=2F..=2F..=2Fb"),
        ("a=b", "a=3Db"),
        ("100%d", "100=25d"),
        ("a b:c", "a=20b=3Ac"),
    ],
)
def test_a_local_part_becomes_one_component(local, component):
    assert userdb.home(f"{local}@e.com", MAIL) == f"/var/mail/e.com/{component}"


@given(SPECIALS)
@example("..")
@example("../../etc")
def test_a_home_stays_in_its_directory(local):
    for template in ("/var/mail/%d/%n", "/var/mail/%u", "/%n"):
        made = userdb.home(f"{local}@e.com", MailSettings(1, 1, template))
        assert posixpath.normpath(made) == made
        assert made.count("/") == template.count("/")
        assert "%" not in made


@given(SPECIALS, SPECIALS)
def test_no_two_users_share_a_home(one, other):
    assume(one != other)
    for template in ("/m/%d/%n", "/m/%u"):
        mail = MailSettings(1, 1, template)
        assert userdb.home(f"{one}@e.com", mail) != userdb.home(f"{other}@e.com", mail)


def test_the_whole_address_as_a_directory():
    assert userdb.home(ADAM, MailSettings(1, 1, "/srv/%u/mail")) == "/srv/adam@example1.com/mail"


@pytest.mark.parametrize(
    ("uid", "gid", "home", "says"),
    [
        (0, 5000, "/m/%n", "root"),
        (5000, 0, "/m/%n", "root"),
        (1, 1, "m/%n", "absolute"),
        (1, 1, "/m/%h", "%d"),
        (1, 1, "/m/%u/%", "%d"),
        (1, 1, "/m/%d", "share"),
    ],
)
def test_settings_that_dovecot_would_refuse(uid, gid, home, says):
    with pytest.raises(ValueError, match=says):
        MailSettings(uid, gid, home)
