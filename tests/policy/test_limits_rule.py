"""Outbound limits under a clock that the tests turn, over restarts and settings of the wall clock."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from policy_scene import make_request

from mailhooks.policy import Memory, Policy, Settings
from mailhooks.store import Unavailable
from mailhooks.store.sending import parse_limits

RULES = ("limits",)
HOUR = 3600


class Sending:
    """Mail of users through the policy, with clocks: ``steady`` only goes on, ``wall`` can be set."""

    def __init__(self, store, **settings):
        self.store = store
        self.settings = Settings((), RULES, RULES, **settings)
        self.clock = SimpleNamespace(wall=1_800_000_000.0, steady=5_000.0)
        self.messages = 0
        self.restart()

    def restart(self):
        self.memory = Memory(lambda: self.clock.wall, lambda: self.clock.steady)
        self.policy = Policy(self.settings, self.memory)

    def save(self):
        rows = self.memory.save()
        with self.store.batch() as batch:
            batch.save_send_use(rows, self.memory.stored_time)
        self.memory.saved(done=True)
        self.store.renew()

    def passes(self, seconds):
        self.clock.wall += seconds
        self.clock.steady += seconds

    def limit(self, **limits):
        with self.store.change("test") as change:
            for scope, text in limits.items():
                change.set_send_limit(SCOPES.get(scope, scope), parse_limits(text))
        self.store.renew()

    def ask(self, state, login="adam", client="192.0.2.1", **changed):
        request = make_request(
            protocol_state=state,
            policy_context="submission" if state == "RCPT" else "end-of-message",
            sasl_username=f"{login}@e.example",
            client_address=client,
            **changed,
        )
        return self.policy.decide(request, self.store, self.clock.wall)

    def rcpt(self, instance="m", recipient="x@outside.example", **who):
        return self.ask("RCPT", instance=instance, recipient=recipient, **who)

    def end(self, instance, count, **who):
        return self.ask("END-OF-MESSAGE", instance=instance, recipient="", recipient_count=str(count), **who)

    def send(self, recipients=1, **who):
        """Send a whole message; tell whether it was accepted."""
        self.messages += 1
        instance = f"m{self.messages}"
        for number in range(recipients):
            if self.rcpt(instance, f"x{number}@outside.example", **who).rule:
                return False
        return not self.end(instance, recipients, **who).rule


SCOPES = {
    "adam": "adam@e.example",
    "domain": "@e.example",
}


@pytest.fixture
def sending(filled):
    return Sending(filled)


def test_without_limits_nothing_is_refused_and_nothing_is_kept(sending):
    assert all(sending.send(50) for _ in range(20))
    assert not sending.memory.unsaved
    assert not sending.memory.messages


def test_recipients_are_limited_and_the_window_slides(sending):
    sending.limit(adam="3/1h")
    assert sending.send(2)
    sending.passes(HOUR / 2)
    assert sending.send(1)
    assert not sending.send(1)
    sending.passes(HOUR / 2 - 1)
    assert not sending.send(1)
    sending.passes(HOUR / 24 + 2)
    assert sending.send(2)
    assert not sending.send(1)


def test_several_windows_count_at_once(sending):
    sending.limit(adam="2/1h,3/1d")
    assert sending.send(2)
    assert not sending.send()
    sending.passes(2 * HOUR)
    assert sending.send()
    sending.passes(2 * HOUR)
    decision = sending.rcpt()
    assert "3/1d" in decision.action.text
    sending.passes(24 * HOUR)
    assert sending.send()


def test_recipients_of_the_message_count_at_rcpt_and_what_is_not_sent_does_not(sending):
    sending.limit(adam="2/1h")
    assert [bool(sending.rcpt("a").rule) for _ in range(3)] == [False, False, True]
    assert [bool(sending.rcpt("b").rule) for _ in range(3)] == [False, False, True]
    assert sending.send(2)


def test_messages_begun_together_never_overrun(sending):
    sending.limit(adam="20/1h")
    assert not any(sending.rcpt(f"s{number}").rule for number in range(50))
    taken = [not sending.end(f"s{number}", 1).rule for number in range(50)]
    assert taken.count(True) == 20
    assert not sending.memory.messages


def test_requests_without_an_instance_were_counted_as_one_message_of_everybody(sending):
    sending.limit(default="3/1h")
    for login in ("adam", "bob", "carol", "dave"):
        assert sending.rcpt(instance="", login=login).rule == ""


def test_a_recipient_that_nobody_has_is_left_to_postfix(sending):
    sending.limit(adam="1/1h")
    assert sending.rcpt("a", "nobody@e.example").rule == ""
    assert sending.rcpt("a").rule == ""
    assert sending.rcpt("a").rule == "limits"


def test_default_is_for_each_user_and_domain_for_all_together(sending):
    sending.limit(default="2/1h", domain="3/1h")
    assert sending.send(2)
    assert not sending.send()
    assert sending.send(login="bob")
    decision = sending.rcpt(login="bob")
    assert "your domain" in decision.action.text
    assert sending.memory.limit_trips == ["user", "domain"]


def test_a_limit_of_ones_own_replaces_default(sending):
    sending.limit(default="1/1h", adam="none")
    assert all(sending.send(5) for _ in range(5))
    assert sending.send(login="bob")
    assert not sending.send(login="bob")


def test_networks_and_known_credentials(sending):
    sending.limit(network="2/1h")
    assert sending.send(client="192.0.2.1")
    assert sending.send(login="bob", client="192.0.2.254")
    assert not sending.send(login="carol", client="192.0.2.77")
    assert sending.send(login="carol", client="192.0.3.77")
    assert sending.send(client="2001:db8::1")
    assert sending.send(client="2001:db8::2:1")
    assert not sending.send(client="2001:db8::3:3:3:3")
    sending.limit(network="none", credential="1/1h")
    assert all(sending.send() for _ in range(3))  # nobody knows by which password
    sending.memory.logged_in("adam@e.example", "192.0.2.1", "phone")
    assert sending.send()
    assert not sending.send()
    sending.memory.logged_in("adam@e.example", "192.0.2.1", "laptop")
    assert sending.send()


def test_a_changed_limit_works_at_once_with_what_was_counted(sending):
    sending.limit(adam="1/1h")
    assert sending.send()
    assert not sending.send()
    sending.limit(adam="2/1h")
    assert sending.send()
    assert not sending.send()


def test_counts_survive_a_restart_and_lose_only_what_was_not_saved(sending):
    sending.limit(adam="3/1h")
    assert sending.send(2)
    sending.save()
    assert sending.send()
    assert not sending.send()
    sending.clock.steady = 17.0  # the machine was rebooted
    sending.restart()
    assert sending.send()
    assert not sending.send()


@pytest.mark.parametrize("leap", [-(10**8), -HOUR, HOUR, 10**8])
def test_setting_the_clock_changes_nothing(sending, leap):
    sending.limit(adam="2/1h")
    assert sending.send(2)
    sending.clock.wall += leap
    assert not sending.send()
    sending.passes(HOUR * 0.9)
    assert not sending.send()
    sending.passes(HOUR * 0.2)
    assert sending.send()


def test_a_clock_set_back_over_a_restart_does_not_lock_anybody_out(sending):
    sending.limit(adam="2/1h")
    assert sending.send(2)
    sending.save()
    sending.clock.wall -= 10**7
    sending.restart()
    assert not sending.send()
    sending.passes(HOUR * 1.1)
    assert sending.send()


@pytest.mark.parametrize("leap", [2 * HOUR, -2 * HOUR])
def test_a_clock_set_before_a_restart_gave_the_limit_once_more(sending, leap):
    """A machine whose clock was hours behind until it heard of a time server: the counts were filed in the past."""
    sending.limit(default="2/1h")
    assert sending.send(2)
    sending.save()
    sending.clock.wall += leap
    sending.passes(60)
    assert sending.memory.unsaved
    sending.save()
    assert not sending.memory.unsaved
    sending.restart()
    assert not sending.send()
    sending.passes(HOUR + HOUR // 12)
    assert sending.send(2)


def test_a_failed_save_is_made_up_for(sending):
    sending.limit(adam="2/1h")
    assert sending.send()
    sending.memory.save()
    assert sending.send()
    sending.memory.saved(done=False)
    sending.save()
    sending.restart()
    assert not sending.send()


def test_what_has_left_every_window_leaves_the_store(sending):
    sending.limit(adam="2/1h")
    assert sending.send()
    sending.save()
    assert sending.store.send_use("user adam@e.example")
    sending.passes(2 * HOUR)
    sending.limit(default="9/1h")
    assert sending.send(login="bob")
    sending.save()
    assert not sending.store.send_use("user adam@e.example")


def test_in_shadow_mode_it_goes_on_counting(filled):
    sending = Sending(filled, shadow=("limits",))
    sending.limit(adam="1/1h")
    assert all(sending.send() for _ in range(3))
    assert [each.rule for each in sending.rcpt().objections] == ["limits"]


def test_put_off_or_refused_in_other_words(filled):
    sending = Sending(filled, limit_action="refuse", texts={"limit_user": "no more than {limit}, {who}"})
    sending.limit(adam="1/1h")
    assert sending.send()
    action = sending.rcpt().action
    assert (action.code, action.dsn, action.text) == (550, "5.7.1", "no more than 1/1h, {who}")


def test_the_store_away_is_no_answer(sending, tmp_path):
    sending.limit(adam="1/1h")
    (tmp_path / "mailhooks.db").rename(tmp_path / "away.db")
    sending.store.renew()
    with pytest.raises(Unavailable):
        sending.rcpt()
    assert not sending.memory.messages


def test_to_look_changes_nothing(sending):
    sending.limit(adam="1/1h")
    request = make_request(sasl_username="adam@e.example", policy_context="submission", recipient="x@outside.example")
    for _ in range(3):
        assert [each.action for each in sending.policy.trace(request, sending.store, 0.0)] == [None]
    assert sending.send()
    (verdict,) = sending.policy.trace(request, sending.store, 0.0)
    assert "1/1h" in verdict.action.text
    assert sending.memory.limit_trips == []
