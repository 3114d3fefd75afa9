from __future__ import annotations

from mailhooks.passwords import VerifiedCache


def test_it_knows_exactly_what_was_verified():
    cache = VerifiedCache(10, 300.0)
    cache.add("adam@e.com", "secret", "{PLAIN}secret", 0.0)
    assert cache.knows("adam@e.com", "secret", "{PLAIN}secret", 1.0)
    assert not cache.knows("bob@e.com", "secret", "{PLAIN}secret", 1.0)
    assert not cache.knows("adam@e.com", "Secret", "{PLAIN}secret", 1.0)
    assert not cache.knows("adam@e.com", "secret", "{PLAIN}changed", 1.0)  # the password was changed
    assert not cache.knows("adam@e.com", "tsecret", "{PLAIN}secre", 1.0)  # the fields do not run together


def test_an_entry_ends_with_its_time():
    cache = VerifiedCache(10, 300.0)
    cache.add("adam@e.com", "secret", "h", 0.0)
    assert cache.knows("adam@e.com", "secret", "h", 299.9)
    assert not cache.knows("adam@e.com", "secret", "h", 300.0)
    assert len(cache) == 0


def test_the_one_unused_longest_leaves_first():
    cache = VerifiedCache(2, 300.0)
    cache.add("a", "p", "h", 0.0)
    cache.add("b", "p", "h", 0.0)
    assert cache.knows("a", "p", "h", 1.0)
    cache.add("c", "p", "h", 2.0)
    assert [cache.knows(user, "p", "h", 3.0) for user in "abc"] == [True, False, True]


def test_none_are_kept_when_it_is_switched_off():
    cache = VerifiedCache(0, 300.0)
    cache.add("a", "p", "h", 0.0)
    assert not cache.knows("a", "p", "h", 0.0)


def test_flush_forgets_the_named_or_all():
    cache = VerifiedCache(10, 300.0)
    for user in "abc":
        cache.add(user, "p", "h", 0.0)
    assert cache.flush(["a", "nobody"]) == 1
    assert not cache.knows("a", "p", "h", 0.0)
    assert cache.knows("b", "p", "h", 0.0)
    assert cache.flush() == 2
    assert len(cache) == 0


def test_two_processes_share_no_digest():
    one, two = VerifiedCache(10, 300.0), VerifiedCache(10, 300.0)
    assert one._digest("a", "p", "h") != two._digest("a", "p", "h")
    assert b"secret" not in one._digest("a", "secret", "h")


def test_it_tells_of_which_hashes_it_holds_a_password():
    cache = VerifiedCache(2, 300.0)
    for user in ("a", "b"):
        cache.add(user, "secret", "{X}1", 0)
    assert [cache.holds(user, stored, 1) for user, stored in [("a", "{X}1"), ("a", "{X}2"), ("c", "{X}1")]] == [
        True,
        False,
        False,
    ]
    assert not cache.holds("a", "{X}1", 301)
    cache.add("c", "secret", "{X}1", 1)  # the first one leaves
    assert [cache.holds(user, "{X}1", 1) for user in "abc"] == [False, True, True]
    cache.flush(["b"])
    assert [cache.holds(user, "{X}1", 1) for user in "abc"] == [False, False, True]
    cache.flush()
    assert not cache._of_hash
