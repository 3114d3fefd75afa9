"""Many accounts at once are made as one is."""

from __future__ import annotations

import pytest

from mailhooks.store import NewMailbox, Refused, Service, State
from mailhooks.store.mailbox_changes import ADD_BATCH


def test_many_are_like_one(store):
    with store.change("test") as change:
        change.add_domain("example1.com")
        change.add_mailboxes([
            NewMailbox("Adam@Example1.com", "Adam", 5, "{PLAIN}x", State.NO_SEND, frozenset((Service.IMAP,))),
            NewMailbox("bob@example1.com"),
        ])  # fmt: skip
        change.add_mailbox(
            "carol@example1.com", name="Adam", quota=5, password="{PLAIN}x", state=State.NO_SEND, allow=(Service.IMAP,)
        )
    adam, carol = store.mailbox("adam@example1.com"), store.mailbox("carol@example1.com")
    assert [getattr(adam, name) for name in ("name", "state", "allow", "quota", "own_quota", "password")] == [
        getattr(carol, name) for name in ("name", "state", "allow", "quota", "own_quota", "password")
    ]
    assert store.counts() == {("domain", "hosted"): 1, ("mailbox", "active"): 1, ("mailbox", "no-send"): 2}
    assert [entry.subject for entry in store.audit(3)] == [
        "carol@example1.com",
        "bob@example1.com",
        "adam@example1.com",
    ]


def test_more_than_one_batch(store):
    with store.change("test") as change:
        change.add_domain("example1.com")
        change.add_mailboxes(NewMailbox(f"u{number}@example1.com") for number in range(ADD_BATCH + 1))
    assert store.counts()["mailbox", "active"] == ADD_BATCH + 1


@pytest.mark.parametrize(
    "wrong", ["adam@example1.com", "b b@example1.com", "c@elsewhere.test", "new@example1.com new@example1.com"]
)
def test_one_wrong_account_refuses_all(store, wrong):
    with store.change("test") as change:
        change.add_domain("example1.com")
        change.add_mailbox("adam@example1.com")
    with pytest.raises(Refused), store.change("test") as change:
        change.add_mailboxes(map(NewMailbox, ("bob@example1.com", *wrong.split(" n"), wrong.split()[-1])))
    assert not store.has_mailbox("bob@example1.com")
    assert store.counts()["mailbox", "active"] == 1
