"""Contexts, order, shadow mode, trace, outages: what holds for all rules."""

from __future__ import annotations

import pytest
from policy_scene import NOW, make_request

from mailhooks.policy import NO_OBJECTION, RULES, Policy, Settings, UnknownRule
from mailhooks.store import Store, Unavailable
from mailhooks.store.model import State
from mailhooks.wire.policy import Dunno, Reject, render


def test_no_objection_is_dunno_and_never_ok(decide):
    decision = decide(Settings())
    assert decision is NO_OBJECTION
    assert decision.action == Dunno()
    assert render(decision.action) == b"action=DUNNO\n\n"


@pytest.mark.parametrize(
    ("context", "rule"),
    [
        ("", "recipient_access"),
        ("smtp", "recipient_access"),
        ("no-such-context", "recipient_access"),
        ("submission", "sender_ownership"),
        ("end-of-message", ""),
    ],
)
def test_the_context_chooses_the_rules(decide, context, rule):
    settings = Settings(("recipient_access",), ("sender_ownership",), ())
    changed = {"recipient": "closed@e.example", "sasl_username": "adam@e.example", "sender": "bob@e.example"}
    assert decide(settings, policy_context=context, **changed).rule == rule


def test_the_first_objection_decides(decide):
    changed = {"recipient": "closed@e.example", "sasl_username": "adam@e.example", "sender": "bob@e.example"}
    for rules in (("sender_ownership", "recipient_access"), ("recipient_access", "sender_ownership")):
        decision = decide(Settings(rules), **changed)
        assert decision.rule == rules[0]
        assert [verdict.rule for verdict in decision.objections] == [rules[0]]


def test_a_rule_in_shadow_mode_objects_without_effect(decide):
    settings = Settings(("recipient_access",), shadow=("recipient_access",))
    decision = decide(settings, recipient="closed@e.example")
    assert decision.action == Dunno()
    assert decision.rule == ""
    [verdict] = decision.objections
    assert (verdict.rule, verdict.shadow) == ("recipient_access", True)
    assert isinstance(verdict.action, Reject)


def test_a_shadow_objection_does_not_hide_the_next_rule(decide):
    settings = Settings(("recipient_access", "sender_ownership"), shadow=("recipient_access",))
    changed = {"recipient": "closed@e.example", "sasl_username": "adam@e.example", "sender": "bob@e.example"}
    decision = decide(settings, **changed)
    assert decision.rule == "sender_ownership"
    assert [(verdict.rule, verdict.shadow) for verdict in decision.objections] == [
        ("recipient_access", True),
        ("sender_ownership", False),
    ]


def test_trace_asks_every_rule(filled):
    request = make_request(recipient="closed@e.example", sasl_username="adam@e.example", sender="bob@e.example")
    verdicts = Policy(Settings(("sender_ownership", "recipient_access", "quota"))).trace(request, filled, NOW)
    assert [(verdict.rule, verdict.action is None) for verdict in verdicts] == [
        ("sender_ownership", False),
        ("recipient_access", False),
        ("quota", True),
    ]


@pytest.mark.parametrize("where", ["smtp", "submission", "end_of_message", "shadow"])
def test_an_unknown_rule_names_the_nearest(where):
    with pytest.raises(UnknownRule, match="did you mean quota"):
        Policy(Settings(**{where: ("qouta",)}))


@pytest.mark.parametrize("rule", RULES)
def test_an_outage_passes_through(tmp_path, rule):
    away = Store(f"sqlite:///{tmp_path}/missing.db")
    request = make_request(sasl_username="adam@e.example", sender="adam@e.example")
    with pytest.raises(Unavailable):
        Policy(Settings((rule,))).decide(request, away, NOW)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("state", ["CONNECT", "EHLO", "HELO", "MAIL", "DATA", "VRFY", "ETRN", "END-OF-MESSAGE", "NEW"])
def test_every_state_of_a_session_has_an_answer(decide, rule, state):
    """Before MAIL and at VRFY there is no sender: that is not the null sender."""
    decision = decide(rule, protocol_state=state, sender="", recipient="", sasl_username="adam@e.example")
    null_sender = rule == "sender_ownership" and state in ("MAIL", "DATA", "END-OF-MESSAGE")
    assert isinstance(decision.action, Reject) is null_sender


@pytest.mark.parametrize(
    "odd", ["@", '"', '"<>"', "a b@e.example", "ä@ä", "x" * 3000, "no-at", "a@b@c", "\ufffd@e.example"]
)
@pytest.mark.parametrize("rule", RULES)
def test_odd_addresses_have_an_answer(decide, rule, odd):
    decide(rule, sender=odd, recipient=odd)
    decide(rule, sender=odd, recipient=odd, sasl_username=odd)


def test_one_decision_leaves_nothing_for_the_next(filled):
    policy = Policy(Settings(("recipient_access",)))
    request = make_request(recipient="bob@e.example")
    assert policy.decide(request, filled, NOW) is NO_OBJECTION
    with filled.change("test") as change:
        change.set_mailbox("bob@e.example", state=State.CLOSED)
    filled.renew()
    assert policy.decide(request, filled, NOW).rule == "recipient_access"
