"""Mail that was accepted and not counted yet is held against the quota."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy_scene import NOW, make_request, set_usage

from mailhooks.policy import Memory, Policy, Settings
from mailhooks.policy.reservations import HELD_SECONDS, Reservations
from mailhooks.store.model import Standing, State


@pytest.fixture
def mail(filled):
    """Send whole messages to accounts with a quota of 1000 bytes; tell whether each was accepted."""
    clock = SimpleNamespace(now=NOW)
    memory = Memory(lambda: clock.now, lambda: clock.now)
    policy = Policy(Settings(("quota",), ("quota",), ("quota",)), memory)
    numbers = iter(range(10**6))

    def begin(*recipients, size=0):
        instance = f"m{next(numbers)}"
        for recipient in recipients:
            request = make_request(recipient=recipient, instance=instance, size=str(size))
            if policy.decide(request, filled, clock.now).rule:
                return None
        return instance, recipients

    def end(begun, size):
        instance, recipients = begun
        request = make_request(
            protocol_state="END-OF-MESSAGE",
            policy_context="end-of-message",
            instance=instance,
            recipient=recipients[0] if len(recipients) == 1 else "",
            recipient_count=str(len(recipients)),
            size=str(size),
        )
        return not policy.decide(request, filled, clock.now).rule

    def send(*recipients, size, announced=True):
        begun = begin(*recipients, size=size if announced else 0)
        return begun is not None and end(begun, size)

    def code(recipient, size):
        request = make_request(recipient=recipient, instance="x", size=str(size))
        return policy.decide(request, filled, clock.now).action.code

    return SimpleNamespace(code=code, begin=begin, end=end, send=send, clock=clock, reservations=memory.reservations)


ADAM, BOB, FREE = "adam@e.example", "bob@e.example", "free@e.example"


def test_what_is_under_way_counts(mail):
    assert [mail.send(ADAM, size=400) for _ in range(4)] == [True, True, False, False]
    assert mail.send(ADAM, size=200)
    assert mail.send(BOB, size=1000)


def test_sessions_begun_together_do_not_overrun_either(mail):
    begun = [mail.begin(ADAM) for _ in range(10)]
    assert [mail.end(each, 400) for each in begun].count(True) == 2


def test_what_is_delivered_is_not_counted_twice(mail, filled):
    assert mail.send(ADAM, size=400)
    assert mail.send(ADAM, size=400)
    set_usage(filled, adam=420)  # the first has come, with headers
    assert not mail.send(ADAM, size=200)
    assert mail.send(ADAM, size=150)
    set_usage(filled, adam=1000)
    mail.reservations.look(filled, mail.clock.now)  # every second
    set_usage(filled, adam=0)  # read and deleted
    assert mail.send(ADAM, size=1000)


def test_mails_delivered_in_another_order_left_one_reserved_for_an_hour(mail, filled):
    """The large one came first and took the small one's place away."""
    assert mail.send(ADAM, size=100)
    assert mail.send(ADAM, size=500)
    set_usage(filled, adam=500)
    assert not mail.send(ADAM, size=450)
    set_usage(filled, adam=600)
    assert mail.send(ADAM, size=400)


@given(
    sizes=st.lists(st.integers(1, 300), min_size=1, max_size=8),
    data=st.data(),
    together=st.lists(st.booleans(), min_size=8),
)
def test_whatever_the_order_nothing_stays_reserved_when_all_has_come(sizes, data, together):
    reservations = Reservations()
    held = Standing(ADAM, State.ACTIVE, "", 10**6, 0, False)
    for size in sizes:
        reservations.reserve(held, size, NOW)
    assert reservations.reserved(held, NOW) == sum(sizes)
    storage = 0
    for number, size in enumerate(data.draw(st.permutations(sizes))):
        storage += size
        if not together[number % len(together)]:
            reservations.reserved(held._replace(storage=storage), NOW)
    assert reservations.reserved(held._replace(storage=storage), NOW) == 0


def test_a_mail_was_held_that_was_delivered_to_a_full_mailbox_and_deleted_at_once(mail, filled):
    assert mail.send(ADAM, size=900)
    set_usage(filled, adam=900)
    assert mail.code(ADAM, 500) == 552
    set_usage(filled, adam=0)
    assert mail.send(ADAM, size=500)


def test_what_came_before_a_mail_was_accepted_took_it_away(mail, filled):
    """A mail waited in the queue, and its owner uploaded by IMAP what was then taken for the next mail."""
    assert mail.send(ADAM, size=500)
    set_usage(filled, adam=400)
    assert not mail.send(ADAM, size=110)
    assert mail.send(ADAM, size=90)
    set_usage(filled, adam=401)
    assert mail.code(ADAM, 10) == 452


def test_room_that_mail_under_way_needs_is_refused_for_now_only(mail):
    """It was 552, for good, though the mail may have gone elsewhere."""
    assert mail.send("pair@e.example", size=900)
    assert mail.code(ADAM, 200) == mail.code("pair@e.example", 200) == 452
    assert mail.code(ADAM, 2000) == 552


def test_a_mail_that_shrank_on_its_way_leaves_nothing_behind(mail, filled):
    assert mail.send(ADAM, size=400)
    set_usage(filled, adam=390)
    assert mail.send(ADAM, size=610)


def test_a_mail_that_never_comes_is_held_for_an_hour(mail):
    assert mail.send(ADAM, size=1000)
    mail.clock.now += HELD_SECONDS - 1
    assert not mail.send(ADAM, size=1000)
    mail.clock.now += 2
    assert mail.send(ADAM, size=1000)


def test_a_message_to_several_is_refused_at_its_end_when_all_are_full(mail):
    first, second, third = mail.begin(ADAM, BOB), mail.begin(ADAM, BOB), mail.begin(ADAM, FREE)
    assert mail.send(ADAM, size=900)
    assert mail.end(first, 500)  # bob has room
    assert not mail.end(second, 900)
    assert mail.end(third, 10**9)


def test_aliases_hold_room_in_every_mailbox_behind_them(mail):
    assert mail.send("pair@e.example", size=700)
    assert not mail.send(ADAM, size=400)
    assert not mail.send(BOB, size=400)
    assert not mail.send("pair@e.example", size=400)
    assert mail.end(mail.begin("half@e.example", "pair@e.example"), 5000)  # half has an end outside


def test_what_was_refused_holds_nothing(mail):
    assert not mail.send(ADAM, size=5000)
    mail.begin(ADAM, size=900)
    assert mail.send(ADAM, size=1000)
