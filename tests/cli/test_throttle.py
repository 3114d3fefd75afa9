from __future__ import annotations

import time

import pytest

from mailhooks.store.throttling import ThrottleRow

ADAM = "adam@example1.com"
HOUR = 3600


@pytest.fixture
def guessed(site):
    """Sixteen wrong passwords at adam's account from one address, long ago two at somebody's."""
    now = time.time()
    rows = [
        ThrottleRow(ADAM, "192.0.2.7/32", now + 8 * HOUR, b"xx" * 16, 0),
        ThrottleRow(ADAM, "192.0.2.0/24", now + 8 * HOUR, b"xx" * 16, 0),
        ThrottleRow("nobody@x\x1b", "2001:db8:1::/48", now - 9 * HOUR, b"xx", 0),
        ThrottleRow("", "192.0.2.7/32", now + 8 * HOUR, b"xx" * 16, 0),
        ThrottleRow(ADAM, "", now + 24 * HOUR, b"xx" * 16, 0),
    ]
    store = site.store()
    with store.batch() as batch:
        batch.save_throttle(rows, [])
    store.close()
    return site


def test_nobody_is_throttled_at_first(site):
    assert site.json("throttle", "list") == []


def test_list(guessed):
    rows = guessed.json("throttle", "list")
    assert {row["guesses"] for row in rows} == {16.0}
    found = {(row["scope"], row["account"], row["network"]): row["until"] is not None for row in rows}
    assert found == {
        ("pair", ADAM, "192.0.2.7/32"): True,
        ("pair", ADAM, "192.0.2.0/24"): False,  # four times as many
        ("network", "", "192.0.2.7/32"): False,
        ("account", ADAM, ""): False,
    }
    assert "192.0.2.7/32" in guessed.ok("throttle", "list")


@pytest.mark.parametrize(
    ("what", "left"),
    [
        ("Adam@EXAMPLE1.com", {("", "192.0.2.7/32"), ("nobody@x\x1b", "2001:db8:1::/48")}),
        ("192.0.2.7", {(ADAM, ""), ("nobody@x\x1b", "2001:db8:1::/48")}),
        ("192.0.0.0/16", {(ADAM, ""), ("nobody@x\x1b", "2001:db8:1::/48")}),
        ("--all", set()),
    ],
)
def test_clear(guessed, what, left):
    guessed.ok("throttle", "clear", what)
    store = guessed.store()
    assert {(row.account, row.network) for row in store.throttle_rows()} == left
    assert len(store.clearings(0)) == 1
    store.close()
    assert guessed.json("audit")[0]["action"] == "throttle clear"


@pytest.mark.parametrize("arguments", [(), ("adam",), ("192.0.2.300",), (ADAM, "--all")])
def test_clear_says_what_it_expects(guessed, arguments):
    guessed.fails(2, "throttle", "clear", *arguments)


def test_a_network_that_is_none_in_the_configuration(guessed):
    with (guessed.directory / "mailhooks.toml").open("a") as file:
        file.write('[throttle]\nshared_networks = ["own", "webmail"]\n')
    assert "webmail" in guessed.fails(2, "throttle", "list")


def test_the_secret_of_the_digests_is_shown_nowhere(guessed):
    guessed.ok("throttle", "clear", "--all")
    store = guessed.store()
    key = store.throttle_key()
    assert len(key) == 32
    shown = [str(list(store.settings())), str(store.audit(100))]
    assert not any(key.hex() in text or str(key) in text for text in shown)
    store.close()
