"""What can be changed, what is refused with which reason, and that nothing is changed then."""

from __future__ import annotations

import sqlite3

import pytest

from mailhooks.store import NotFound, Refused, Service, State, open_store


@pytest.fixture
def hosted(store):
    with store.change("test") as change:
        change.add_domain("example1.com")
        change.add_domain("example2.com")
        for name in ("adam", "bob", "eve"):
            change.add_mailbox(f"{name}@example1.com")
    return store


def everything(store):
    store.renew()
    return (
        store.change_number,
        list(store.domains()),
        list(store.mailboxes()),
        list(store.aliases()),
        list(store.grants()),
        list(store.relays()),
        list(store.preferences()),
        store.audit(1000),
        store.counts(),
    )


REFUSED = [
    ("is no address", lambda c: c.add_mailbox("adam")),
    ("not hosted", lambda c: c.add_mailbox("adam@example.net")),
    ("there already", lambda c: c.add_mailbox("ADAM@example1.com")),
    ("from 0 to", lambda c: c.add_mailbox("new@example1.com", quota=-1)),
    ("from 0 to", lambda c: c.set_mailbox("adam@example1.com", quota=-1)),
    ("from 0 to", lambda c: c.add_domain("example3.com", quota=-1)),
    ("from 0 to", lambda c: c.set_domain("example1.com", quota=-1)),
    ("control characters", lambda c: c.add_mailbox("new@example1.com", name="a\nb")),
    ("control characters", lambda c: c.set_password("adam@example1.com", "{PLAIN}a\nb")),
    ("past", lambda c: c.set_mailbox("adam@example1.com", state=State.CLOSED, until=1.0)),
    ("is active", lambda c: c.set_mailbox("adam@example1.com", reason="because")),
    ("there already", lambda c: c.add_domain("EXAMPLE1.com")),
    ("alias of itself", lambda c: c.add_domain("example3.com", alias_of="Example3.com")),
    ("not hosted", lambda c: c.add_domain("example3.com", alias_of="example4.com")),
    (
        "is one itself",
        lambda c: (c.add_domain("a.example", alias_of="example1.com"), c.add_domain("b.example", alias_of="a.example")),
    ),
    ("there already", lambda c: c.add_domain("example1.com", alias_of="example2.com")),
    ("set the quota there", lambda c: c.add_domain("a.example", alias_of="example1.com", quota=5)),
    (
        "no addresses of its own",
        lambda c: (c.add_domain("a.example", alias_of="example1.com"), c.add_mailbox("x@a.example")),
    ),
    (
        "no addresses of its own",
        lambda c: (
            c.add_domain("a.example", alias_of="example1.com"),
            c.add_alias("x@a.example", ["adam@example1.com"]),
        ),
    ),
    ("live in", lambda c: c.remove_domain("example1.com")),
    ("live in example1.com", lambda c: c.set_domain("example1.com", alias_of="example2.com")),
    (
        "live in",
        lambda c: (
            c.add_domain("a.example"),
            c.add_domain("b.example", alias_of="a.example"),
            c.set_domain("a.example", alias_of="b.example"),
        ),
    ),
    ("alias of itself", lambda c: (c.add_domain("a.example"), c.set_domain("a.example", alias_of="A.example"))),
    ("not hosted", lambda c: (c.add_domain("a.example"), c.set_domain("a.example", alias_of="b.example"))),
    (
        "is one itself",
        lambda c: (
            c.add_domain("a.example", alias_of="example1.com"),
            c.add_domain("b.example"),
            c.set_domain("b.example", alias_of="a.example"),
        ),
    ),
    (
        "has limits",
        lambda c: (
            c.add_domain("a.example"),
            c.set_send_limit("@a.example", ()),
            c.set_domain("a.example", alias_of="example1.com"),
        ),
    ),
    (
        "set the quota there",
        lambda c: (c.add_domain("a.example"), c.set_domain("a.example", alias_of="example1.com", quota=5)),
    ),
    (
        "does not exist",
        lambda c: (
            c.add_domain("a.example", alias_of="example1.com"),
            c.add_alias("x@example2.com", ["adam@a.example"]),
            c.set_domain("a.example", alias_of="example2.com"),
        ),
    ),
    (
        "does not exist",
        lambda c: (
            c.add_domain("a.example", alias_of="example1.com"),
            c.add_alias("x@example2.com", ["adam@a.example"]),
            c.set_domain("a.example", alias_of=None),
        ),
    ),
    (
        "would be a loop",
        lambda c: (
            c.add_domain("a.example", alias_of="example1.com"),
            c.add_alias("x@example2.com", ["y@example2.com"]),
            c.add_alias("y@example2.com", ["x@a.example"], keep_dangling=True),
            c.set_domain("a.example", alias_of="example2.com"),
        ),
    ),
    ("not hosted", lambda c: c.add_alias("x@example.net", ["adam@example1.com"])),
    ("no targets", lambda c: c.add_alias("x@example1.com", [])),
    ("is no address", lambda c: c.add_alias("x@example1.com", ["adam"])),
    ("does not exist", lambda c: c.add_alias("x@example1.com", ["nobody@example1.com"])),
    ("at most 1000", lambda c: c.add_alias("x@example1.com", [f"u{n}@example.net" for n in range(1001)])),
    ("bytes", lambda c: c.add_alias("x@example1.com", [f"{'u' * 40}{n}@example.net" for n in range(999)])),
    ("label", lambda c: c.add_app_password("adam@example1.com", label=" ", hash="{PLAIN}x")),
    ("no network", lambda c: c.add_app_password("adam@example1.com", label="x", hash="{PLAIN}x", networks=["x"])),
    ("needs a service", lambda c: c.add_app_password("adam@example1.com", label="x", hash="{PLAIN}x", services=[])),
    ("past|expired", lambda c: c.add_app_password("adam@example1.com", label="x", hash="{PLAIN}x", expires=1.0)),
    ("no next hop", lambda c: c.add_relay("a b", username="u", password="p")),
    ("colon", lambda c: c.add_relay("relay.example", username="u:v", password="p")),
    ("empty", lambda c: c.add_relay("relay.example", username="u", password="")),
    ("control characters", lambda c: c.set_preference("@GLOBAL", "required_score", "3\nscore GTUBE 0.2")),
    ("#", lambda c: c.set_preference("@GLOBAL", "required_score", "3 # no")),
    ("no preference", lambda c: c.set_preference("@GLOBAL", "score\nx", "3")),
    ("no name", lambda c: c.set_setting("A B", "x")),
]


@pytest.mark.parametrize(("reason", "write"), REFUSED, ids=range(len(REFUSED)))
def test_refused_with_the_reason_and_nothing_is_changed(hosted, reason, write):
    before = everything(hosted)

    def attempt():
        with hosted.change("test") as change:
            change.add_mailbox("other@example1.com")
            write(change)

    with pytest.raises(Refused, match=reason):
        attempt()
    assert everything(hosted) == before


def test_any_error_within_a_change_undoes_it(hosted):
    before = everything(hosted)

    def attempt():
        with hosted.change("test") as change:
            change.remove_domain("example1.com", force=True)
            1 / 0  # noqa: B018

    with pytest.raises(ZeroDivisionError):
        attempt()
    assert everything(hosted) == before


def test_a_change_that_changes_nothing_moves_nothing(hosted):
    before = everything(hosted)
    with hosted.change("test"):
        pass
    assert everything(hosted) == before


def test_the_change_number_moves_with_each_change(hosted):
    hosted.renew()
    before = hosted.change_number
    with hosted.change("test") as change:
        change.set_mailbox("adam@example1.com", quota=5)
    hosted.renew()
    assert hosted.change_number == before + 1


def test_removing_a_user_takes_its_address_out_of_the_aliases(hosted):
    with hosted.change("test") as change:
        change.add_domain("other.example", alias_of="example1.com")
        change.add_alias("list@example1.com", ["adam@example1.com", "bob@example1.com"])
        change.add_alias("ext@example1.com", ["adam+work@example1.com", "eve@example1.com"])
        change.add_alias("spelt@example1.com", ["adam@other.example", "eve@example1.com"])
        change.add_alias("only@example1.com", ["adam@example1.com"])
        change.add_alias("chain@example1.com", ["only@example1.com"])
        change.add_alias("@example1.com", ["adam@example1.com", "bob@example1.com"])
        change.allow_sender("bob@example1.com", "adam@example1.com")
        change.set_preference("adam@example1.com", "required_score", "3")
        change.add_app_password("adam@example1.com", label="x", hash="{PLAIN}x")
    with hosted.batch() as batch:
        batch.set_usage("adam@example1.com", storage=5)
    with hosted.change("test") as change:
        removal = change.remove_mailbox("Adam@example1.com")
    assert removal.changed == ("@example1.com", "ext@example1.com", "list@example1.com", "spelt@example1.com")
    assert removal.removed == ("chain@example1.com", "only@example1.com")
    assert {each.source: each.targets for each in hosted.aliases()} == {
        "@example1.com": ("bob@example1.com",),
        "ext@example1.com": ("eve@example1.com",),
        "list@example1.com": ("bob@example1.com",),
        "spelt@example1.com": ("eve@example1.com",),
    }
    assert hosted.usage("adam@example1.com") is None
    assert list(hosted.preferences()) == []
    assert list(hosted.grants()) == []
    assert hosted.app_passwords("adam@example1.com") == ()
    assert hosted.counts()["mailbox", "active"] == 2
    assert hosted.counts()["alias", "single"] == 3
    assert ("grant", "") not in hosted.counts()


def test_a_forward_outlives_its_mailbox_without_the_copy(hosted):
    with hosted.change("test") as change:
        change.add_alias("adam@example1.com", ["adam@example1.com", "far@example.net"])
        change.add_alias("list@example1.com", ["adam@example1.com", "bob@example1.com"])
    with hosted.change("test") as change:
        assert change.remove_mailbox("adam@example1.com").changed == ("adam@example1.com",)
    assert hosted.alias_targets("adam@example1.com") == ("far@example.net",)
    assert hosted.alias_targets("list@example1.com") == ("adam@example1.com", "bob@example1.com")


def test_removing_a_domain_with_force_says_what_lived_in_it(hosted):
    with hosted.change("test") as change:
        change.add_domain("other.example", alias_of="example1.com")
        change.add_mailbox("far@example2.com")
        change.add_alias("all@example1.com", ["adam@example1.com"])
        change.add_alias("x@example2.com", ["adam@other.example", "far@example2.com"])
        change.add_alias("y@example2.com", ["all@example1.com"])
        change.add_alias("z@example2.com", ["y@example2.com", "far@example2.com"])
    with hosted.change("test") as change:
        removal = change.remove_domain("example1.com", force=True)
    assert removal.mailboxes == ("adam@example1.com", "bob@example1.com", "eve@example1.com")
    assert removal.changed == ("x@example2.com", "z@example2.com")
    assert removal.removed == ("y@example2.com",)
    assert set(removal.lived) == {
        "other.example",
        "all@example1.com",
        "adam@example1.com",
        "bob@example1.com",
        "eve@example1.com",
    }
    assert {each.source: each.targets for each in hosted.aliases()} == {
        "x@example2.com": ("far@example2.com",),
        "z@example2.com": ("far@example2.com",),
    }
    assert [each.name for each in hosted.domains()] == ["example2.com"]


def test_removing_an_alias_that_others_name_is_refused_unless_they_change_too(hosted):
    with hosted.change("test") as change:
        change.add_alias("inner@example1.com", ["adam@example1.com"])
        change.add_alias("outer@example1.com", ["inner@example1.com", "bob@example1.com"])
    with pytest.raises(Refused, match=r"outer@example1.com"), hosted.change("test") as change:
        change.remove_alias("inner@example1.com")
    with hosted.change("test") as change:
        change.remove_alias("inner@example1.com")
        change.set_alias("outer@example1.com", targets=["bob@example1.com"])
    assert [each.source for each in hosted.aliases()] == ["outer@example1.com"]


def test_the_audit_log_spells_out_services_and_dates(hosted):
    with hosted.change("test") as change:
        change.set_mailbox("adam@example1.com", allow=Service)
        change.set_mailbox("bob@example1.com", allow=[])
        change.set_mailbox("eve@example1.com", state=State.NO_SEND, until=4_102_444_800.0)
    assert [entry.detail for entry in hosted.audit(3)] == [
        "state no-send, reason , until 2100-01-01T00:00:00+00:00",
        "allow none",
        "allow all",
    ]


def test_the_audit_log_says_who_when_what_and_no_secret(store_url, key_file):
    store = open_store(store_url, key_file=key_file, create=True, clock=lambda: 1234.0)
    with store.change("root") as change:
        change.add_domain("example1.com")
        change.add_mailbox("adam@example1.com", password="{PLAIN}sesame")
        change.set_password("adam@example1.com", "{PLAIN}sesame2")
        change.add_app_password("adam@example1.com", label="phone", hash="{PLAIN}sesame3")
        change.add_relay("[relay.example]:587", username="u", password="sesame4")
        assert change.replace_hash("adam@example1.com", "{PLAIN}sesame2", "{PLAIN}sesame5")
        assert not change.replace_hash("adam@example1.com", "{PLAIN}sesame2", "{PLAIN}sesame6")
        assert change.replace_hash("adam@example1.com", "{PLAIN}sesame3", "{PLAIN}sesame7")
    assert store.mailbox("adam@example1.com").password == "{PLAIN}sesame5"
    assert store.app_passwords("adam@example1.com")[0].hash == "{PLAIN}sesame7"
    entries = store.audit(100)
    assert {entry.who for entry in entries} == {"root"}
    assert {entry.at for entry in entries} == {1234.0}
    assert entries[-1].action == "domain add"
    assert "sesame" not in repr(entries)
    store.close()
    raw = sqlite3.connect(store_url.removeprefix("sqlite:///"))
    for sql in ("UPDATE audit SET who = 'x'", "DELETE FROM audit"):
        with pytest.raises(sqlite3.IntegrityError, match="only added to"):
            raw.execute(sql)
    raw.close()


def test_relay_passwords_are_sealed_and_found_exactly(hosted, store_url):
    with hosted.change("test") as change:
        change.add_relay("[Relay.example]:587", username="u", password="open sesame")
        change.add_relay("[relay.example]:587", username="v", password="other", sender="adam@example1.com")
        change.add_relay("second.example", username="w", password="third", sender="@example1.com")
    assert hosted.relay_credentials("[relay.example]:587") == ("u", "open sesame")
    assert hosted.relay_credentials("[relay.example]:587", "adam@example1.com") == ("v", "other")
    assert hosted.relay_credentials("[relay.example]:587", "bob@example1.com") is None
    assert hosted.relay_nexthop("@example1.com") == "second.example"
    assert hosted.relay_nexthop("adam@example1.com") == "[relay.example]:587"
    assert hosted.relay_nexthop("") is None
    with hosted.change("test") as change:
        change.add_relay("[relay.example]:587", username="u", password="changed")
    assert hosted.relay_credentials("[relay.example]:587") == ("u", "changed")
    with pytest.raises(Refused, match=r"second.example"), hosted.change("test") as change:
        change.add_relay("third.example", username="w", password="x", sender="@example1.com")
    with hosted.change("test") as change:
        change.remove_relay("[relay.example]:587")
    with pytest.raises(NotFound), hosted.change("test") as change:
        change.remove_relay("[relay.example]:587")
    raw = sqlite3.connect(store_url.removeprefix("sqlite:///"))
    assert all(b"third" not in secret for (secret,) in raw.execute("SELECT secret FROM relay"))
    raw.close()


def test_settings_and_preferences(hosted):
    with hosted.change("test") as change:
        change.set_setting("relayhost", "[relay.example]")
        change.set_preference("@GLOBAL", "required_score", "3")
        change.set_preference("@example1.com", "required_score", "4")
        change.set_preference("@GLOBAL", "required_score", "5")
    assert hosted.setting("relayhost") == "[relay.example]"
    assert dict(hosted.settings()) == {"relayhost": "[relay.example]"}
    assert [each.value for each in hosted.preferences("@GLOBAL")] == ["5"]
    with hosted.change("test") as change:
        change.unset_preference("@GLOBAL", "required_score")
    assert [each.scope for each in hosted.preferences()] == ["@example1.com"]
