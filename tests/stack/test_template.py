"""Templates: conditions at the head of a line, values that cannot break out of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhooks.stack.template import TemplateError, render


def test_a_line_is_kept_while_its_conditions_hold():
    template = "always\n[2.3] old\n[2.4] new\n[2.4 pop3] both\n[!pop3] none\n"
    assert render(template, {}, {"2.3", "pop3"}) == "always\nold\n"
    assert render(template, {}, {"2.4"}) == "always\nnew\nnone\n"
    assert render(template, {}, {"2.4", "pop3"}) == "always\nnew\nboth\n"


def test_indentation_after_the_condition_stays():
    assert render("[on]   -o x=1", {}, {"on"}) == "  -o x=1\n"


def test_the_daemons_own_dollars_and_braces_are_left_alone():
    text = "argv=x ${sender} $user { a } %u @example.com '@GLOBAL'\n"
    assert render(text, {}, set()) == text


def test_a_place_without_a_value_is_an_error():
    with pytest.raises(TemplateError, match="nobody"):
        render("x = @{nobody}", {}, set())


def test_a_value_is_not_a_template():
    assert render("@{a}", {"a": "@{b} [2.3]"}, set()) == "@{b} [2.3]\n"


@given(st.text(min_size=1))
def test_a_value_adds_no_line(value):
    try:
        text = render("key = @{value}\n", {"value": value}, set())
    except TemplateError:
        assert not value.isprintable()
    else:
        assert text == f"key = {value}\n"
        assert len(text.splitlines()) == 1
