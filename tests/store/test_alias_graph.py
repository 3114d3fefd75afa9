"""Loops, expansions and targets that are nowhere: asked of the final graph, refused with the reason."""

from __future__ import annotations

import pytest

from mailhooks.store import Refused


@pytest.fixture
def hosted(store):
    with store.change("test") as change:
        change.add_domain("e.com")
        change.add_domain("other.com", alias_of="e.com")
        change.add_mailbox("adam@e.com")
        change.add_mailbox("bob@e.com")
    return store


def add(store, *aliases):
    with store.change("test") as change:
        for source, *targets in aliases:
            change.add_alias(source, targets)


def add_one_by_one(store, aliases):
    for source, *targets in aliases:
        with store.change("test") as change:
            change.add_alias(source, targets, keep_dangling=True)


def remove(store, *sources):
    with store.change("test") as change:
        for source in sources:
            change.remove_alias(source)


LOOPS = [
    [("a@e.com", "b@e.com"), ("b@e.com", "a@e.com")],
    [("a@e.com", "b@e.com"), ("b@e.com", "c@e.com"), ("c@e.com", "bob@e.com", "a@e.com")],
    [("a@e.com", "b+x@e.com"), ("b@e.com", "a@e.com")],
    [("a@e.com", "b@other.com"), ("b@e.com", "a+y@other.com")],
    [("adam@e.com", "bob@e.com"), ("bob@e.com", "bob@e.com", "adam@e.com")],
    [("a@e.com", "missing@e.com"), ("@e.com", "a@e.com")],
    [("@e.com", "missing@e.com")],
    [("a@e.com", "a@other.com")],
    # An extension that travels along: b+x sends to c+x, which is c with x, which sends to b with x.
    [("b+x@e.com", "c+x@other.com"), ("c@e.com", "b@e.com"), ("b@e.com", "bob@e.com")],
    [("c@e.com", "a@e.com", "bob@e.com"), ("a@e.com", "far@example.net"), ("a+x@e.com", "c+x@e.com")],
    [("a+x@e.com", "missing+x@e.com"), ("@e.com", "a@e.com"), ("a@e.com", "far@example.net")],
]


@pytest.mark.parametrize("aliases", LOOPS, ids=range(len(LOOPS)))
def test_loops_are_refused_in_one_change_and_over_several(hosted, aliases):
    with pytest.raises(Refused, match=r"loop|leads to itself|does not exist"):
        add(hosted, *aliases)
    assert list(hosted.aliases()) == []
    with pytest.raises(Refused, match=r"loop|leads to itself|does not exist"):
        add_one_by_one(hosted, aliases)


def test_an_extension_that_does_not_come_back_is_no_loop(hosted):
    add(hosted, ("a@e.com", "b@e.com"), ("b@e.com", "bob@e.com"), ("b+x@e.com", "a@e.com"))


def test_naming_oneself_keeps_a_copy(hosted):
    add(hosted, ("adam@e.com", "adam@e.com", "far@example.net"), ("bob@e.com", "bob+kept@e.com", "far@example.net"))
    add(hosted, ("@e.com", "adam@e.com"))
    assert hosted.alias_targets("adam@e.com") == ("adam@e.com", "far@example.net")


@pytest.mark.parametrize("target", ["adam@other.com", "adam+kept@other.com"])
def test_a_copy_kept_by_the_alias_domain_sent_postfix_round_until_it_deferred_all_mail(hosted, target):
    with pytest.raises(Refused, match=r"leads to itself by .*: name adam(\+kept)?@e\.com to keep a copy"):
        add(hosted, ("adam@e.com", target, "bob@e.com"))
    assert list(hosted.aliases()) == []
    add(hosted, ("adam@e.com", "adam@third.com", "bob@e.com"))  # outside, so far
    with pytest.raises(Refused, match="leads to itself"), hosted.change("test") as change:
        change.add_domain("third.com", alias_of="e.com")
    assert hosted.domain("third.com") is None


def test_naming_oneself_without_a_mailbox_is_a_target_that_does_not_exist(hosted):
    with pytest.raises(Refused, match=r"no mailbox|does not exist"):
        add(hosted, ("a@e.com", "a+x@e.com"))
    with pytest.raises(Refused, match=r"a@e\.com names itself"):
        add(hosted, ("a@e.com", "a@e.com"))
    with pytest.raises(Refused, match=r"a@e\.com names itself"):  # the alias comes before the catch-all: nobody gets it
        add(hosted, ("@e.com", "adam@e.com"), ("a@e.com", "a@e.com", "bob@e.com"))


def test_a_loop_closed_by_a_new_alias_domain(hosted):
    with hosted.change("test") as change:
        change.add_alias("a@e.com", ["b@later.com"])
        change.add_alias("b@e.com", ["a@e.com"])
    with pytest.raises(Refused, match="loop"), hosted.change("test") as change:
        change.add_domain("later.com", alias_of="e.com")


def test_order_within_a_change_does_not_matter(hosted):
    add(hosted, ("a@e.com", "b@e.com"), ("b@e.com", "c@e.com"), ("c@e.com", "adam@e.com"))
    with hosted.change("test") as change:  # turning a chain round is a loop only half-way
        change.set_alias("a@e.com", targets=["adam@e.com"])
        change.set_alias("c@e.com", targets=["b@e.com"])
        change.set_alias("b@e.com", targets=["a@e.com"])


def test_targets_may_be_made_after_the_alias_or_be_kept_dangling(hosted):
    with hosted.change("test") as change:
        change.add_alias("list@e.com", ["late@e.com"])
        change.add_mailbox("late@e.com")
        change.add_alias("kept@e.com", ["gone@e.com"], keep_dangling=True)
    with hosted.change("test") as change:
        change.set_alias("list@e.com", targets=["late@e.com", "adam@e.com"])
    assert hosted.alias_targets("kept@e.com") == ("gone@e.com",)


def test_targets_that_a_catch_all_takes_exist(hosted):
    add(hosted, ("@e.com", "adam@e.com"), ("list@e.com", "whoever@e.com"))


def test_a_catch_all_stays_while_aliases_lead_to_it(hosted):
    add(hosted, ("@e.com", "adam@e.com"), ("list@e.com", "bob@e.com", "whoever@other.com"))
    with pytest.raises(Refused, match=r"whoever@other\.com, a target of the alias list@e\.com, does not exist"):
        remove(hosted, "@e.com")
    with hosted.change("test") as change:
        change.remove_alias("@e.com")
        change.set_alias("list@e.com", targets=["bob@e.com"])
    assert [alias.source for alias in hosted.aliases()] == ["list@e.com"]


def test_two_aliases_that_a_list_names_both_stay(hosted):
    add(hosted, ("a@e.com", "adam@e.com"), ("b@e.com", "adam@e.com"), ("list@e.com", "a@e.com", "b@e.com"))
    with hosted.change("test") as change:
        change.add_mailbox("a@e.com")
    with pytest.raises(Refused, match=r"b@e\.com, a target of the alias list@e\.com, does not exist"):
        remove(hosted, "a@e.com", "b@e.com")


def test_a_user_who_was_the_catch_all_takes_along_what_only_that_caught(hosted):
    add(
        hosted, ("@e.com", "adam@e.com"), ("list@e.com", "bob@e.com", "whoever+x@other.com"), ("lone@e.com", "no@e.com")
    )
    with hosted.change("test") as change:
        removal = change.remove_mailbox("adam@e.com")
    assert (removal.changed, removal.removed) == (("list@e.com",), ("@e.com", "lone@e.com"))
    assert hosted.alias_targets("list@e.com") == ("bob@e.com",)


def test_the_expansion_is_bounded_through_nested_lists(hosted):
    parts = [(f"p{n}@e.com", *(f"u{n}-{m}@example.net" for m in range(300))) for n in range(4)]
    add(hosted, *parts, ("three@e.com", *(f"p{n}@e.com" for n in range(3))))
    with pytest.raises(Refused, match="expand to 1200 targets"):
        add(hosted, ("all@e.com", *(f"p{n}@e.com" for n in range(4))))
    with pytest.raises(Refused, match=r"three@e.com would expand to 1001"), hosted.change("test") as change:
        change.set_alias("p0@e.com", targets=[f"v{m}@example.net" for m in range(401)])


def test_a_thousand_short_targets_fit(hosted):
    add(hosted, ("big@e.com", *(f"u{n}@example.net" for n in range(1000))))
    assert len(hosted.alias_targets("big@e.com")) == 1000


def test_a_deep_chain_costs_no_stack_and_has_an_end(hosted):
    add(hosted, ("c0@e.com", "adam@e.com"), *((f"c{n}@e.com", f"c{n - 1}@e.com") for n in range(1, 1000)))
    with pytest.raises(Refused, match="more than 1000"):
        add(hosted, ("c1000@e.com", "c999@e.com"))
