"""The namespaces alone, on the real store; what Dovecot sees of them is tested with the server."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhooks.dicts import NAMESPACES
from mailhooks.dicts.namespace import number
from mailhooks.store import Refused
from mailhooks.wire.dict import Increment, Set, Unset

BO = "bo@example1.com"
STORAGE, MESSAGES = "priv/quota/storage", "priv/quota/messages"


@pytest.fixture
def write(store):
    with store.change("test") as change:
        change.add_domain("example1.com")
        change.add_mailbox(BO)

    def write(namespace, *operations, user=BO):
        with store.batch() as batch:
            done = NAMESPACES[namespace].prepare(operations, user)(batch)
        store.renew()
        return done

    return write


def test_values_add_up_within_one_transaction(store, write):
    assert write("quota", Set(1, STORAGE, "100"), Increment(1, STORAGE, -30), Set(1, MESSAGES, "2"))
    assert NAMESPACES["quota"].lookup(store, STORAGE, "BO@Example1.com") == "70"


def test_adding_to_one_missing_value_writes_nothing_at_all(store, write):
    assert not write("quota", Set(1, STORAGE, "100"), Increment(1, MESSAGES, 1))
    assert store.usage(BO) is None


def test_unset_forgets(store, write):
    write("quota", Set(1, STORAGE, "100"), Set(1, MESSAGES, "2"))
    assert write("quota", Unset(1, STORAGE), Unset(1, MESSAGES))
    assert store.usage(BO) is None


def test_both_values_are_kept_together_as_documented(store, write):
    """The store cannot tell "0" from "never told" for one of the two; Dovecot never tells one without the other."""
    write("quota", Set(1, STORAGE, "100"))
    assert NAMESPACES["quota"].lookup(store, MESSAGES, BO) == "0"
    write("quota", Unset(1, MESSAGES))
    assert NAMESPACES["quota"].lookup(store, STORAGE, BO) is None


@pytest.mark.parametrize("value", ["-1", "1.5", "", "x", "\uff19", "1_0", "9" * 19, "9" * 40])
def test_a_quota_that_is_none_is_refused_before_anything_is_written(value):
    with pytest.raises(Refused):
        NAMESPACES["quota"].prepare([Set(1, STORAGE, value)], BO)


def test_a_sum_beyond_what_the_store_can_hold_is_counted_anew(store, write):
    write("quota", Set(1, STORAGE, str(2**63 - 1)), Set(1, MESSAGES, "1"))
    assert not write("quota", Increment(1, STORAGE, 2**63 - 1))
    assert store.usage(BO) is None


def test_an_error_never_repeats_a_value():
    with pytest.raises(Refused) as error:
        NAMESPACES["quota"].prepare([Set(1, STORAGE, "my secret")], BO)
    assert "secret" not in str(error.value)


def test_a_local_part_with_a_slash_is_no_service(store, write):
    with store.change("test") as change:
        change.add_mailbox("imapx/bo@example1.com")
    user = "imapx/bo@example1.com"
    assert write("lastlogin", Set(1, f"shared/last-login/{user}", "1795331342"), user=user)
    assert [login.service for login in store.last_logins(user)] == [""]


def test_a_last_login_never_goes_back(store, write):
    for at in ("1795331342", "1795331000"):
        write("lastlogin", Set(1, f"shared/last-login/{BO}", at))
    assert NAMESPACES["lastlogin"].lookup(store, f"shared/last-login/{BO}", BO) == "1795331342"


@given(st.integers(-(10**18), 10**18))
def test_numbers(value):
    assert number(str(value), "key") == value


@given(st.text(max_size=30))
def test_what_is_no_number_is_refused_and_nothing_else_is_raised(text):
    with contextlib.suppress(Refused):
        assert str(number(text, "key")).lstrip("-") == text.lstrip("-").lstrip("0").rjust(1, "0")
