"""What is accepted at RCPT is received and bounced by nobody; what is refused nobody would have received.

The tables, the policy rule and the userdb are asked as Postfix and Dovecot ask them, and aliases are expanded as
cleanup(8) does (src/cleanup/cleanup_map1n.c): again and again, until an address expands into itself or is not found.
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailhooks import recipients, tables, userdb
from mailhooks.policy import Policy, Settings
from mailhooks.store import Refused, Store, open_store
from mailhooks.store.model import State
from mailhooks.wire.policy import Request

START = 1_800_000_000.0
MAIL = userdb.MailSettings(5000, 5000, "/var/mail/%d/%n")
DEEP = 50  # expansions of one address after which Postfix is held to go round; it does so after 1000

LOCALS = ("a", "b", "a+x", "b+y", "team")
HOSTED = ("h.example", "i.example")
ALIAS, OUTSIDE = "al.example", "out.example"

hosted = st.builds("{}@{}".format, st.sampled_from(LOCALS), st.sampled_from(HOSTED))
anywhere = st.builds("{}@{}".format, st.sampled_from(LOCALS), st.sampled_from((*HOSTED, ALIAS, OUTSIDE)))
sources = st.one_of(hosted, st.sampled_from([f"@{name}" for name in HOSTED]))
aliases = st.lists(st.tuples(sources, st.lists(anywhere, min_size=1, max_size=3), st.booleans()), max_size=7)
accounts = st.dictionaries(hosted, st.sampled_from([*State, State.ACTIVE, State.ACTIVE]), max_size=5)


class Machine:
    """A store and the three who ask it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.policy = Policy(Settings())

    def known(self, address: str) -> bool:
        return any(self.ask(table, address) for table in ("virtual_alias_maps", "virtual_mailbox_maps"))

    def ask(self, table: str, key: str) -> str | None:
        return tables.lookup(self.store, table, key, "+")

    def objects(self, address: str) -> bool:
        attributes = {"protocol_state": "RCPT", "recipient": address, "sender": "joe@out.example", "instance": "1"}
        return bool(self.policy.decide(Request.of(attributes), self.store, START).rule)

    def expanded(self, address: str) -> list[str]:
        """The final addresses, as cleanup makes them; fails where it would go round."""
        found, ended, at = [address], set(), 0
        while at < len(found):
            for _ in range(DEEP):
                targets = (self.ask("virtual_alias_maps", found[at]) or "").split(",")
                if found[at] in ended or targets == [""]:
                    break
                if found[at] in targets:
                    ended.add(found[at])
                found[at], *more = targets
                found += more
            else:
                pytest.fail(f"{address} goes round: {found}")
            at += 1
        return found

    def receives(self, address: str) -> bool:
        """Whether LMTP takes mail for a final address, or another server is asked."""
        if address.endswith(f"@{OUTSIDE}"):
            return True
        mailbox = self.ask("virtual_mailbox_maps", address)
        return mailbox is not None and userdb.fields(self.store, mailbox, MAIL, "2.3", service="lmtp") is not None


@contextlib.contextmanager
def machine(boxes: dict[str, State], made: list[tuple[str, list[str], bool]]):
    """A store with these accounts and aliases, of which some have ended; what the store refuses is not made."""
    with tempfile.TemporaryDirectory() as directory:
        now = [START]
        store = open_store(f"sqlite:///{Path(directory)}/db", create=True, clock=lambda: now[0])
        with store.change("test") as change:
            change.add_domain(HOSTED[0])
            change.add_domain(HOSTED[1])
            change.add_domain(ALIAS, alias_of=HOSTED[0])
            for address, state in boxes.items():
                change.add_mailbox(address, state=state)
        for source, goals, ends in made:
            with contextlib.suppress(Refused), store.change("test") as change:
                change.add_alias(source, goals, keep_dangling=True)
                change.set_alias(source, expires=START + 1 if ends else None)
        now[0] += 2
        store.renew()
        try:
            yield Machine(store)
        finally:
            store.close()


def judge(asked: Machine, address: str) -> None:
    known, objects = asked.known(address), asked.objects(address)
    fate = [asked.receives(each) for each in asked.expanded(address)] if known else []
    if known and not objects:
        assert fate, address
        assert all(fate), f"{address} is accepted, and {asked.expanded(address)} receive {fate}"
    elif known:
        assert not any(fate), f"{address} is refused, and {asked.expanded(address)} receive {fate}"


@settings(max_examples=60)
@given(accounts, aliases)
def test_accepted_is_received_and_refused_is_received_by_nobody(boxes, made):
    with machine(boxes, made) as asked:
        for domain in (*HOSTED, ALIAS):
            for local in (*LOCALS, "nobody", "a+q", "team+q"):
                judge(asked, f"{local}@{domain}")


def test_an_extension_that_led_to_a_closed_account_was_accepted_and_bounced():
    boxes = {"a@h.example": State.ACTIVE, "a+x@h.example": State.CLOSED}
    with machine(boxes, [("team@h.example", ["a@h.example"], False)]) as asked:
        assert not asked.objects("team@h.example")
        assert asked.objects("team+x@h.example")
        judge(asked, "team+x@al.example")


def test_the_account_below_an_alias_of_which_nobody_was_left_was_accepted_though_it_receives_nothing():
    ended = ("b@h.example", ["far@out.example"], True)
    with machine({"a@h.example": State.SEND_ONLY}, [ended, ("a@h.example", ["b@h.example"], False)]) as asked:
        assert asked.known("a@h.example")
        assert asked.objects("a@h.example")
    with machine({"a@h.example": State.ACTIVE}, [ended, ("a@h.example", ["b@h.example"], False)]) as asked:
        assert asked.expanded("a@al.example") == ["a@h.example"]  # was 550 in the alias domain's spelling
        judge(asked, "a@al.example")


def test_the_same_behind_a_list_of_which_others_are_closed():
    ended = ("b@h.example", ["far@out.example"], True)
    made = [ended, ("a@h.example", ["b@h.example"], False), ("team@h.example", ["a@h.example", "a@i.example"], False)]
    for state in (State.ACTIVE, State.CLOSED):
        with machine({"a@h.example": state, "a@i.example": State.CLOSED}, made) as asked:
            assert asked.known("team@h.example")
            assert asked.objects("team@h.example") is (state is State.CLOSED)
            judge(asked, "team@h.example")


def test_an_address_that_had_ended_was_still_a_mailbox_for_one_table():
    """adam+shop, made to end, stays ended; without the policy rule its mail went on to adam."""
    with machine({"a@h.example": State.ACTIVE}, [("a+x@h.example", ["a@h.example"], True)]) as asked:
        assert asked.ask("virtual_mailbox_maps", "a+x@h.example") is None
        assert asked.ask("virtual_mailbox_maps", "a+y@h.example") == "a@h.example"
        assert recipients.fate(asked.store, "a+x@h.example", "+") is recipients.Fate.DEAD
