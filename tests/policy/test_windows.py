"""Sliding windows against a naive model that remembers every moment."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhooks.policy.windows import SLICES, Counter
from mailhooks.store.sending import Limit, parse_limits

START = 1_800_000_000.0
STEPS = st.lists(st.tuples(st.floats(0, 5000), st.integers(1, 5)), max_size=80)
LIMITS = st.lists(st.tuples(st.integers(1, 30), st.sampled_from((60, 600, 3600, 7200))), min_size=1, max_size=3).map(
    lambda pairs: [Limit(*pair) for pair in {seconds: (count, seconds) for count, seconds in pairs}.values()]
)


@given(STEPS, LIMITS)
def test_no_window_is_overrun_and_nobody_waits_much_too_long(steps, limits):
    counter, sent, now = Counter(), [], START
    for step, number in steps:
        now += step
        refused = counter.exceeded(limits, number, now)
        for limit in limits:
            inside = sum(each for at, each in sent if at > now - limit.seconds)
            about = sum(each for at, each in sent if at > now - limit.seconds * (1 + 1 / SLICES) - 1e-6)
            assert inside <= counter.used(limit.seconds, now) <= about
        if refused is None:
            counter.add(number, [limit.seconds for limit in limits], now)
            sent.append((now, number))
    for limit in limits:  # any window however laid: it may end at each moment of sending
        for end, _ in sent:
            assert sum(number for at, number in sent if end - limit.seconds < at <= end) <= limit.recipients


@given(STEPS, st.integers(1, 20))
def test_room_is_there_when_it_was_promised_and_not_before(steps, number):
    limit, counter, now = Limit(20, 3600), Counter(), START
    for step, count in steps:
        now += step
        if counter.exceeded([limit], count, now) is None:
            counter.add(count, [3600], now)
    at = counter.room_at(limit, number, now)
    assert now <= at <= now + 3600 * (1 + 1 / SLICES) + 1
    copy = Counter.load(counter.dump(), now)
    assert copy.exceeded([limit], number, at + 0.001) is None
    if at > now:
        assert counter.exceeded([limit], number, max(now, at - 0.001)) == limit


@given(STEPS)
def test_what_is_saved_comes_back(steps):
    counter, now = Counter(), START
    for step, number in steps:
        now += step
        counter.add(number, (60, 3600), now)
    again = Counter.load(counter.dump(), now)
    for later in (0, 30, 1800, 3600, 4000):
        assert again.used(60, now + later) == counter.used(60, now + later)
        assert again.used(3600, now + later) == counter.used(3600, now + later)
    assert counter.used(3600, max(now, counter.ends)) == 0


def test_a_clock_that_was_set_back_before_the_restart_counts_as_now():
    counter = Counter()
    counter.add(7, (3600,), START + 10**8)
    again = Counter.load(counter.dump(), START)
    assert again.used(3600, START) == 7
    assert again.used(3600, START + 3600 * (1 + 1 / SLICES) + 1) == 0


def test_memory_of_a_counter_is_bounded():
    counter = Counter()
    for second in range(0, 10_000, 7):
        counter.add(1, (3600,), START + second)
    assert len(counter.dump().split()) <= SLICES + 1


@pytest.mark.parametrize("text", ["500/1h", "100/1h,500/1d", "1/1m 2/h,3/2w"])
def test_limits_are_read_and_spelt_alike(text):
    limits = parse_limits(text)
    assert parse_limits(",".join(map(str, limits))) == limits


def test_the_spelling_of_a_limit():
    assert [str(each) for each in parse_limits("500/24h,7/90m,3/h")] == ["3/1h", "7/90m", "500/1d"]
    assert parse_limits("none") == ()


@pytest.mark.parametrize(
    "text", ["", "500", "500/1y", "5/1h,6/60m", "-1/1h", "1/0h", "x/1h", "1/1m,1/2m,1/3m,1/4m,1/5m"]
)
def test_what_is_no_limit_is_refused_with_the_cure(text):
    with pytest.raises(ValueError, match=r"expected|give one|at most"):
        parse_limits(text)
