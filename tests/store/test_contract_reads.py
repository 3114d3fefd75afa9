"""What every engine's store answers: written once, for the ``store`` fixture."""

from __future__ import annotations

import pytest

from mailhooks.store import ALL_SERVICES, NotFound, Posting, Refused, Service, State, Store


@pytest.fixture
def small(store):
    with store.change("test") as change:
        change.add_domain("Example1.com", quota=1000)
        change.add_domain("example.org", alias_of="example1.com")
        change.add_mailbox("Adam@Example1.com", name="Adam", password="{PLAIN}x")
        change.add_mailbox("bob@example1.com", quota=0)
        change.add_alias("list@example1.com", ["bob@example1.com", "adam@example1.com", "far@example.net"])
        change.add_alias("@example1.com", ["bob@example1.com"], posting=Posting.AUTHENTICATED)
        change.allow_sender("adam@example1.com", "boss@example.net")
        change.allow_sender("adam@example1.com", "@example1.com")
    return store


def test_a_mailbox_takes_its_domains_quota_unless_it_has_its_own(small):
    adam, bob = small.mailbox("adam@example1.com"), small.mailbox("bob@example1.com")
    assert (adam.quota, adam.own_quota, adam.name, adam.password) == (1000, None, "Adam", "{PLAIN}x")
    assert (bob.quota, bob.own_quota) == (None, 0)
    assert small.has_mailbox("bob@example1.com")
    assert not small.has_mailbox("list@example1.com")
    assert small.mailbox("nobody@example1.com") is None


def test_aliases_keep_the_order_of_their_targets(small):
    assert small.alias_targets("list@example1.com") == ("bob@example1.com", "adam@example1.com", "far@example.net")
    assert small.alias_targets("@example1.com") == ("bob@example1.com",)
    assert small.alias_targets("nobody@example1.com") == ()
    assert small.alias("@example1.com").posting is Posting.AUTHENTICATED
    assert small.alias("adam@example1.com") is None
    assert small.aliases_naming("bob@example1.com") == ("@example1.com", "list@example1.com")


def test_grants_are_found_from_both_sides(small):
    assert small.senders_granted("adam@example1.com") == ("@example1.com", "boss@example.net")
    assert small.logins_granted("boss@example.net") == ("adam@example1.com",)
    assert small.logins_granted("other@example.net") == ()


def test_domains_in_both_kinds(small):
    assert small.domain("example.org").alias_of == "example1.com"
    assert small.domain("example1.com").quota == 1000
    assert small.domain("example.net") is None
    assert [each.name for each in small.domains()] == ["example.org", "example1.com"]


@pytest.mark.usefixtures("store")
def test_a_state_runs_out_by_itself(store_url, key_file):
    now = [1000.0]
    handle = Store(store_url, key_file=key_file, clock=lambda: now[0])
    with handle.change("test") as change:
        change.add_domain("example1.com")
        change.add_mailbox("adam@example1.com")
        change.set_mailbox("adam@example1.com", state=State.NO_LOGIN, reason="unpaid", until=2000.0)
        change.add_app_password("adam@example1.com", label="phone", hash="{PLAIN}y", expires=3000.0)
    handle.renew()
    assert handle.mailbox("adam@example1.com").state is State.NO_LOGIN
    assert handle.mailbox("adam@example1.com").reason == "unpaid"
    assert handle.next_change_at == 2000.0
    now[0] = 2000.0
    handle.renew()
    assert handle.mailbox("adam@example1.com").state is State.ACTIVE
    assert handle.mailbox("adam@example1.com").reason == ""
    assert handle.next_change_at == 3000.0
    assert len(handle.app_passwords("adam@example1.com")) == 1
    now[0] = 3000.0
    handle.renew()
    assert handle.app_passwords("adam@example1.com") == ()
    assert handle.next_change_at is None
    handle.close()


def test_services_survive_the_round_trip(small):
    with small.change("test") as change:
        change.set_mailbox("adam@example1.com", allow=[Service.IMAP])
        made = change.add_app_password(
            "adam@example1.com", label="phone", hash="{PLAIN}y", services=[Service.SMTP], networks=["192.0.2.0/24"]
        )
    assert small.mailbox("adam@example1.com").allow == {Service.IMAP}
    assert small.mailbox("bob@example1.com").allow == ALL_SERVICES
    assert small.app_passwords("adam@example1.com") == (made,)
    with small.change("test") as change:
        change.revoke_app_password("ADAM@example1.com", "phone")
    assert small.app_passwords("adam@example1.com") == ()


def test_listings_go_on_behind_the_last_page(store, monkeypatch):
    monkeypatch.setattr("mailhooks.store.listings.PAGE", 3)
    with store.change("test") as change:
        for domain in ("a.example", "b.example"):
            change.add_domain(domain)
            for number in range(7):
                change.add_mailbox(f"u{number}@{domain}")
                change.add_alias(f"a{number}@{domain}", [f"u{number}@{domain}", "u0@a.example"])
                change.set_preference(f"u{number}@{domain}", "required_score", "3")
    assert len(list(store.mailboxes())) == 14
    assert [each.address for each in store.mailboxes("b.example")] == [f"u{number}@b.example" for number in range(7)]
    assert len(list(store.aliases())) == len({each.source for each in store.aliases()}) == 14
    assert len(list(store.aliases("a.example"))) == 7
    assert len(list(store.preferences())) == 14
    listing = store.mailboxes()
    first = next(listing)
    store.renew()  # in the middle
    assert len([first, *listing]) == 14


def test_usage_and_last_login_move_nothing_else(small):
    small.renew()
    before = small.change_number
    audited = small.audit(1000)
    with small.batch() as batch:
        assert batch.set_usage("adam@example1.com", storage=10, messages=2)
        assert batch.set_usage("adam@example1.com", storage=11)
        assert batch.usage("adam@example1.com").storage == 11
        assert not batch.set_usage("nobody@example1.com", storage=1)
        assert batch.set_last_login("adam@example1.com", "imap", 50)
        assert batch.set_last_login("adam@example1.com", "imap", 40)
    small.renew()
    assert small.change_number == before
    assert small.audit(1000) == audited
    usage = small.usage("adam@example1.com")
    assert (usage.storage, usage.messages) == (11, 2)
    assert small.usage("nobody@example1.com") is None
    assert [(each.service, each.at) for each in small.last_logins("adam@example1.com")] == [("imap", 50)]
    with small.batch() as batch:
        batch.clear_usage("adam@example1.com")
    assert list(small.usages()) == []


def test_counts_follow_every_change(small):
    with small.change("test") as change:
        change.set_mailbox("bob@example1.com", state=State.CLOSED)
    assert small.counts() == {
        ("alias", "catch-all"): 1,
        ("alias", "list"): 1,
        ("domain", "alias"): 1,
        ("domain", "hosted"): 1,
        ("grant", ""): 2,
        ("mailbox", "active"): 1,
        ("mailbox", "closed"): 1,
    }
    with small.change("test") as change:
        change.remove_domain("example1.com", force=True)
    assert small.counts() == {}


def test_an_unknown_thing_is_named(small):
    with pytest.raises(NotFound, match=r"no mailbox nobody@example1.com"), small.change("test") as change:
        change.set_password("nobody@example1.com", None)
    with pytest.raises(Refused, match="no store"):
        type(small)("mysql://x")
