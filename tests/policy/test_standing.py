"""The one read behind the rules says what the whole account and its usage say."""

from __future__ import annotations

import pytest
from policy_scene import NOW

from mailhooks.store import Store, Unavailable, open_store
from mailhooks.store.model import Standing, State


@pytest.fixture
def clocked(store_url, key_file):
    """A store whose clock the test turns."""
    now = [NOW]
    store: Store = open_store(store_url, key_file=key_file, create=True, clock=lambda: now[0])
    with store.change("test") as change:
        change.add_domain("e.example", quota=500)
        change.add_domain("f.example")
        change.add_mailbox("adam@e.example")
        change.add_mailbox("own@e.example", quota=70)
        change.add_mailbox("unlimited@e.example", quota=0)
        change.add_mailbox("carol@f.example")
        change.set_mailbox("carol@f.example", state=State.CLOSED, reason="on leave", until=NOW + 10)
        change.add_alias("own@e.example", ["own@e.example", "adam@e.example"])
    with store.batch() as batch:
        batch.set_usage("adam@e.example", storage=123, messages=1)
    store.renew()
    yield store, now
    store.close()


@pytest.mark.parametrize(
    ("address", "quota", "storage", "is_aliased"),
    [
        ("adam@e.example", 500, 123, False),
        ("own@e.example", 70, 0, True),
        ("unlimited@e.example", None, 0, False),
    ],
)
def test_it_agrees_with_mailbox_and_usage(clocked, address, quota, storage, is_aliased):
    store, _ = clocked
    assert store.standing(address) == Standing(address, State.ACTIVE, "", quota, storage, is_aliased)
    assert store.mailbox(address).quota == quota
    assert store.state(address) is State.ACTIVE


def test_a_state_that_runs_out_takes_its_reason_along(clocked):
    store, now = clocked
    assert store.standing("carol@f.example") == Standing("carol@f.example", State.CLOSED, "on leave", None, 0, False)
    now[0] += 10
    assert store.standing("carol@f.example") == Standing("carol@f.example", State.ACTIVE, "", None, 0, False)
    assert store.state("carol@f.example") is State.ACTIVE


def test_who_is_not_there_has_no_standing(clocked):
    store, _ = clocked
    assert store.standing("who@e.example") is None
    assert store.state("who@e.example") is None


def test_an_outage_is_no_answer(tmp_path):
    away = Store(f"sqlite:///{tmp_path}/missing.db")
    with pytest.raises(Unavailable):
        away.standing("adam@e.example")
    with pytest.raises(Unavailable):
        away.state("adam@e.example")


@pytest.mark.parametrize(
    ("quota", "storage", "size", "full"),
    [(None, 10**12, 10**9, False), (100, 99, 0, False), (100, 100, 0, True), (100, 40, 60, False), (100, 40, 61, True)],
)
def test_full_is_what_does_not_fit(quota, storage, size, full):
    assert Standing("a@e.example", State.ACTIVE, "", quota, storage, False).is_full(size) is full
