"""What users keep in the dict besides usage and logins: whose it is, how much of it, and that it goes with them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhooks.dicts import NAMESPACES, acl, metadata
from mailhooks.store import Refused
from mailhooks.wire.dict import Increment, Set, Unset

AL, BO, CY = "al@example1.com", "bo@example1.com", "cy@example1.com"
SHARED = "shared/shared-boxes/"


@pytest.fixture
def people(store):
    with store.change("test") as change:
        change.add_domain("example1.com")
        for address in (AL, BO, CY):
            change.add_mailbox(address)
    store.renew()
    return store


@pytest.fixture
def write(people):
    def write(namespace, *operations, user=BO):
        with people.batch() as batch:
            done = NAMESPACES[namespace].prepare(operations, user)(batch)
        people.renew()
        return done

    return write


def rows(store, namespace, path, user=BO):
    return {key: value for key, value in NAMESPACES[namespace].rows(store, path, user) if key.startswith(path)}


# Sieve


def test_a_script_is_found_by_its_name_and_as_the_active_one(people):
    sieve = NAMESPACES["sieve"]
    with people.change("test") as change:
        first = change.put_sieve(BO, "mine", "keep;\n")
        change.put_sieve(BO, "spare", "discard;\n")
    assert sieve.lookup(people, "priv/sieve/name/mine", BO) == str(first.id)
    assert sieve.lookup(people, "priv/sieve/name/active", "BO@Example1.com") == str(first.id)
    assert sieve.lookup(people, f"priv/sieve/data/{first.id}", BO) == "keep;\n"
    assert rows(people, "sieve", "priv/sieve/name/").keys() == {
        f"priv/sieve/name/{name}" for name in ("active", "mine", "spare")
    }


@pytest.mark.parametrize("key", ["name/no", "name/", "data/", "data/x", "data/-1", "data/1_0", "data/" + "9" * 40, ""])
def test_a_script_that_is_none(people, key):
    with people.change("test") as change:
        change.put_sieve(BO, "mine", "keep;\n")
    assert NAMESPACES["sieve"].lookup(people, f"priv/sieve/{key}", BO) is None


def test_the_script_of_one_is_not_reached_with_the_name_of_another(people):
    with people.change("test") as change:
        number = change.put_sieve(BO, "mine", "keep;\n").id
    for user in (AL, "nobody@example1.com", "no address"):
        assert NAMESPACES["sieve"].lookup(people, f"priv/sieve/data/{number}", user) is None
        assert NAMESPACES["sieve"].lookup(people, "priv/sieve/name/active", user) is None


def test_scripts_are_not_written_by_the_dict():
    with pytest.raises(Refused):
        NAMESPACES["sieve"].prepare([Set(1, "priv/sieve/name/mine", "1")], BO)


# Metadata


def test_attributes_belong_to_the_user_of_the_command(people, write):
    key = "priv/0123/comment"
    assert write("metadata", Set(1, key, "hello\n"), Set(1, "shared/0123/comment", "all")) is True
    assert NAMESPACES["metadata"].lookup(people, key, "BO@example1.com") == "hello\n"
    assert NAMESPACES["metadata"].lookup(people, key, AL) is None
    assert rows(people, "metadata", "priv/0123/") == {key: "hello\n"}
    assert rows(people, "metadata", "priv/0123/", AL) == {}
    assert write("metadata", Unset(1, key)) is True
    assert NAMESPACES["metadata"].lookup(people, key, BO) is None


@given(st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20))
def test_a_path_finds_what_begins_with_it_and_nothing_else(text):
    assert f"priv/{text}" <= f"priv/{text}x" < f"priv/{text}\U0010ffff"


def test_how_many_attributes_an_account_has(people, write, monkeypatch):
    monkeypatch.setattr(metadata, "MAX_KEYS", 2)
    assert write("metadata", Set(1, "priv/a", "1"), Set(1, "priv/b", "2")) is True
    refused = write("metadata", Set(1, "priv/a", "9"), Set(1, "priv/c", "3"))
    assert isinstance(refused, Refused)
    assert rows(people, "metadata", "priv/") == {"priv/a": "1", "priv/b": "2"}
    assert write("metadata", Unset(1, "priv/a"), Set(1, "priv/c", "3")) is True
    monkeypatch.setattr(metadata, "MAX_KEYS", 1)
    assert write("metadata", Set(1, "priv/c", "4")) is True  # what is there may change
    assert write("metadata", Set(1, "priv/a", "1"), user=AL) is True


def test_how_much_the_attributes_of_an_account_hold(write, monkeypatch):
    monkeypatch.setattr(metadata, "MAX_CHARACTERS", 20)
    assert write("metadata", Set(1, "priv/a", "x" * 14)) is True
    assert isinstance(write("metadata", Set(1, "priv/b", "")), Refused)
    assert isinstance(write("metadata", Set(1, "priv/a", "y" * 15)), Refused)
    assert write("metadata", Set(1, "priv/a", "y" * 3)) is True
    assert "y" not in str(write("metadata", Set(1, "priv/b", "y" * 99)))


@pytest.mark.parametrize(
    "operation", [Increment(1, "priv/a", 1), Set(1, "other/a", "1"), Set(1, "priv/" + "x" * 999, "1")]
)
def test_an_attribute_that_is_none(operation):
    with pytest.raises(Refused):
        NAMESPACES["metadata"].prepare([operation], BO)


def test_a_shared_attribute_is_reached_by_whom_folders_are_shared_with(people, write):
    shared, private = "shared/0123/comment", "priv/0123/comment"
    write("metadata", Set(1, shared, "all"), Set(1, private, "mine"))
    assert NAMESPACES["metadata"].lookup(people, shared, AL) is None
    write("acl", Set(1, f"{SHARED}user/{AL}/{BO}", "1"))
    assert NAMESPACES["metadata"].lookup(people, shared, AL) == "all"
    assert NAMESPACES["metadata"].lookup(people, private, AL) is None
    assert rows(people, "metadata", "shared/0123/", AL) == {shared: "all"}
    assert NAMESPACES["metadata"].lookup(people, shared, CY) is None
    assert write("metadata", Set(1, shared, "by al"), user=AL) is True
    assert NAMESPACES["metadata"].lookup(people, shared, BO) == "by al"
    assert write("metadata", Unset(1, shared), user=AL) is True
    assert NAMESPACES["metadata"].lookup(people, shared, BO) is None


@pytest.mark.parametrize("namespace", ["metadata", "acl"])
def test_who_has_no_mailbox_keeps_nothing(write, namespace):
    gone = "gone@example1.com"
    key = {"metadata": "priv/a", "acl": f"{SHARED}anyone/{gone}"}[namespace]
    assert isinstance(write(namespace, Set(1, key, "1"), user=gone), Refused)
    with pytest.raises(Refused):
        NAMESPACES[namespace].prepare([Set(1, key, "1")], "no address")


# Shares


def test_a_share_is_listed_for_its_owner_and_its_reader(people, write):
    key = f"{SHARED}user/{AL}/{BO}"
    assert write("acl", Set(1, key, "1")) is True
    assert rows(people, "acl", f"{SHARED}user/{AL}/", AL) == {key: "1"}
    assert rows(people, "acl", SHARED, BO) == {key: "1"}  # all that Dovecot needs to bring its map up to date
    assert rows(people, "acl", SHARED, CY) == {}
    assert rows(people, "acl", f"{SHARED}user/{AL}/", CY) == {}
    assert NAMESPACES["acl"].lookup(people, key, AL) == "1"
    assert NAMESPACES["acl"].lookup(people, key, CY) is None
    assert write("acl", Unset(1, key)) is True
    assert rows(people, "acl", f"{SHARED}user/{AL}/", AL) == {}


def test_what_is_shared_with_anyone_and_with_groups(people, write):
    anyone, group = f"{SHARED}anyone/{BO}", f"{SHARED}group/staff/{BO}"
    assert write("acl", Set(1, anyone, "1"), Set(1, group, "1")) is True
    assert rows(people, "acl", f"{SHARED}anyone/", CY) == {anyone: "1"}
    assert rows(people, "acl", f"{SHARED}group/staff/", CY) == {group: "1"}
    assert rows(people, "acl", SHARED, BO) == {anyone: "1", group: "1"}


@pytest.mark.parametrize(
    "key",
    [
        f"{SHARED}user/{AL}/{CY}",  # the share of another
        f"{SHARED}user/{BO}",
        f"{SHARED}user//{BO}",
        f"{SHARED}somebody/{BO}",
        f"{SHARED}user/{'x' * 400}/{BO}",
        f"shared/other/anyone/{BO}",
        f"priv/shared-boxes/anyone/{BO}",
    ],
)
def test_a_share_that_is_none_or_anothers(key):
    for operation in (Set(1, key, "1"), Unset(1, key), Increment(1, key, 1)):
        with pytest.raises(Refused):
            NAMESPACES["acl"].prepare([operation], BO)


def test_with_how_many_others_an_account_shares(people, write, monkeypatch):
    monkeypatch.setattr(acl, "MAX_READERS", 1)
    assert write("acl", Set(1, f"{SHARED}user/{AL}/{BO}", "1")) is True
    assert isinstance(write("acl", Set(1, f"{SHARED}user/{CY}/{BO}", "1")), Refused)
    assert write("acl", Unset(1, f"{SHARED}user/{AL}/{BO}"), Set(1, f"{SHARED}user/{CY}/{BO}", "1")) is True
    assert rows(people, "acl", SHARED, BO) == {f"{SHARED}user/{CY}/{BO}": "1"}


# The end of an account


def test_everything_goes_with_the_account(people, write):
    write("metadata", Set(1, "priv/a", "1"))
    write("acl", Set(1, f"{SHARED}user/{AL}/{BO}", "1"))
    write("acl", Set(1, f"{SHARED}user/{BO}/{CY}", "1"), user=CY)
    with people.change("test") as change:
        change.put_sieve(BO, "mine", "keep;\n")
        change.remove_mailbox(BO)
        change.add_mailbox(BO)
    people.renew()
    assert NAMESPACES["sieve"].lookup(people, "priv/sieve/name/active", BO) is None
    assert rows(people, "metadata", "priv/") == {}
    assert rows(people, "acl", SHARED, BO) == rows(people, "acl", SHARED, AL) == rows(people, "acl", SHARED, CY) == {}
