"""What ``explain`` says is what the servers do."""

from __future__ import annotations

import pytest
from policy_scene import NOW, make_request, set_usage

from mailhooks import explain, tables
from mailhooks.policy import Memory, Policy, Settings
from mailhooks.policy.windows import Counter
from mailhooks.store import Store, Unavailable
from mailhooks.store.sending import parse_limits
from mailhooks.wire.policy import Reject

POLICY = Settings()


def rcpt(store: Store, recipient: str, **given: str) -> explain.Explanation:
    return explain.rcpt(store, Policy(POLICY), recipient, NOW, delimiter="+", **given)


@pytest.mark.parametrize(
    ("recipient", "reply"),
    [
        ("Adam+Work@E.example", "250 2.1.5 Ok"),
        ("adam@other.example", "250 2.1.5 Ok"),
        ("pair@e.example", "250 2.1.5 Ok"),
        (
            "who@e.example",
            "550 5.1.1 <who@e.example>: Recipient address rejected: User unknown in virtual mailbox table",
        ),
        (
            "who@other.example",
            "550 5.1.1 <who@other.example>: Recipient address rejected: User unknown in virtual alias table",
        ),
        ("x@outside.example", "554 5.7.1 <x@outside.example>: Relay access denied"),
        ("closed@e.example", "550 5.2.1 <closed@e.example>: Recipient address rejected: this account is closed"),
        ("team", "504 5.5.2 <team>: Recipient address rejected: need fully-qualified address"),
        ("adam@e", "504 5.5.2 <adam@e>: Recipient address rejected: need fully-qualified address"),
        ("adam@", "501 5.1.3 <adam@>: Bad recipient address syntax"),
        ("@e.example", "501 5.1.3 <@e.example>: Bad recipient address syntax"),
    ],
)
def test_rcpt_from_outside(filled, recipient, reply):
    explained = rcpt(filled, recipient, sender="joe@outside.example")
    assert explained.reply == reply
    assert explained.accepted is reply.startswith("250")


def test_rcpt_after_a_login_goes_out(filled):
    assert rcpt(filled, "x@outside.example", login="adam@e.example").accepted
    assert rcpt(filled, "x@outside.example", login="adam@e.example", sender="bob@e.example").reply.startswith(
        "553 5.7.1"
    )


def test_rcpt_shows_each_step(filled):
    steps = {step.asked: step.answer for step in rcpt(filled, "sales+x@other.example").steps}
    assert steps["virtual_alias_domains"] == "e.example"
    assert steps["virtual_mailbox_domains"] == "not found"
    assert steps["sales+x@other.example"] == "alias domain: sales+x@e.example leads to sales+x@e.example"
    assert steps["sales+x@e.example"] == "without extension: sales@e.example leads to adam+x@e.example"
    assert steps["adam+x@e.example"] == "without extension: mailbox adam@e.example, active"
    assert steps["virtual_alias_maps"] == "sales+x@e.example"
    assert steps["rule quota"] == "no objection"


def test_rcpt_lists_the_rules_behind_the_first_objection(filled):
    set_usage(filled, adam=1000)
    settings = Settings(smtp=("quota", "list_posting"), shadow=("quota",))
    explained = explain.rcpt(filled, Policy(settings), "adam@e.example", NOW, delimiter="+", size=10)
    assert [step.asked for step in explained.steps[-2:]] == ["rule quota (shadow)", "rule list_posting"]
    assert explained.steps[-2].answer.startswith("552 5.2.2 ")
    assert explained.accepted


def test_a_long_expansion_is_cut(filled):
    with filled.change("test") as change:
        change.add_alias("big@e.example", [f"u{number}@outside.example" for number in range(200)])
    filled.renew()
    assert len(rcpt(filled, "big@e.example").steps) < 70


@pytest.mark.parametrize(
    ("login", "sender", "reply"),
    [
        ("adam@e.example", "Sales@e.example", "250 2.1.0 Ok"),
        ("adam@e.example", "bob@e.example", "553 5.7.1 <bob@e.example>: Sender address rejected: this is not your"),
        ("adam@e.example", "", "553 5.7.1 <>: Sender address rejected: a user who has logged in"),
        ("adam@e.example", "nonsense", "553 5.7.1 <nonsense>: Sender address rejected: this is not your"),
        ("muted@e.example", "muted@e.example", "550 5.7.1 <muted@e.example>: Sender address rejected: unpaid bill"),
        ("nobody@e.example", "adam@e.example", "550 5.7.1 <adam@e.example>: Sender address rejected: the account"),
    ],
)
def test_send(filled, login, sender, reply):
    explained = explain.send(filled, Policy(POLICY), login, sender, NOW, delimiter="+")
    assert explained.reply.startswith(reply)


def test_send_says_whose_address_it_is(filled):
    explained = explain.send(filled, Policy(POLICY), "bob@e.example", "members@e.example", NOW, delimiter="+")
    steps = {step.asked: step.answer for step in explained.steps}
    assert steps["login"] == "bob@e.example is active"
    assert steps["belongs to"] == "nobody"
    assert steps["granted to"] == "bob@e.example"
    assert steps["smtpd_sender_login_maps"] == "bob@e.example"
    assert steps["sender_dependent_relayhost_maps"] == "not found"


@pytest.mark.parametrize("recipient", ["adam@e.example", "members@e.example", "closed@e.example", "who@e.example"])
def test_explain_agrees_with_the_servers(filled, recipient):
    request = make_request(recipient=recipient)
    action = Policy(POLICY).decide(request, filled, NOW).action
    known = any(tables.lookup(filled, f"virtual_{kind}_maps", recipient, "+") for kind in ("alias", "mailbox"))
    explained = rcpt(filled, recipient, sender=request.sender)
    assert explained.accepted == (known and not isinstance(action, Reject))


def test_an_outage_passes_through(tmp_path):
    with pytest.raises(Unavailable):
        rcpt(Store(f"sqlite:///{tmp_path}/missing.db"), "adam@e.example")


def test_the_limit_of_a_network_is_explained_for_a_client_in_it(filled):
    """Without the client nothing was said of the limit that refused."""
    with filled.change("test") as change:
        change.set_send_limit("network", parse_limits("1/1h"))
    with filled.batch() as batch:
        counter = Counter()
        counter.add(1, (3600,), NOW)
        batch.save_send_use([("network 192.0.2.0/24", counter.dump(), counter.ends)], NOW)
    filled.renew()
    policy = Policy(Settings(), Memory(lambda: NOW, lambda: NOW))
    given = {"delimiter": "+", "login": "bob@e.example"}
    assert explain.rcpt(filled, policy, "x@outside.example", NOW, **given).accepted
    assert explain.rcpt(filled, policy, "x@outside.example", NOW, **given, client="198.51.100.1").accepted
    refused = explain.rcpt(filled, policy, "x@outside.example", NOW, **given, client="192.0.2.77")
    assert refused.reply.startswith("450 4.7.1")
