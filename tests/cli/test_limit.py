"""``mailhooks limit``, addresses that end, and removed addresses that are held."""

from __future__ import annotations

ADAM = "adam@example1.com"


def test_limits_are_set_listed_and_unset(site):
    site.ok("limit", "set", "default", "--recipients", "100/1h,500/1d")
    site.ok("limit", "set", "Adam@example1.com", "--recipients", "none")
    site.ok("limit", "set", "@EXAMPLE1.com", "--recipients", "9/90m")
    assert {each["scope"]: each["recipients"] for each in site.json("limit", "list")} == {
        "default": "100/1h,500/1d",
        ADAM: "none",
        "@example1.com": "9/90m",
    }
    assert site.json("limit", "show", ADAM) == [{"scope": "@example1.com", "limit": "9/90m", "used": 0, "left": 9}]
    site.ok("limit", "unset", ADAM)
    assert [each["limit"] for each in site.json("limit", "show", ADAM)] == ["100/1h", "500/1d", "9/90m"]
    assert site.json("user", "show", ADAM)["limits"] == {"100/1h": "0 used", "500/1d": "0 used", "9/90m": "0 used"}
    assert "0 used of 9/90m" in site.ok("explain", "send", ADAM, ADAM)
    site.fails(1, "limit", "unset", ADAM)
    site.fails(1, "limit", "lift", ADAM)
    for scope, text in (("default", "5"), ("@example1.net", "5/1h"), ("x y", "5/1h")):
        assert site.run("limit", "set", scope, "--recipients", text).exit_code == 2


def test_a_suspension_is_shown_and_lifted(site):
    with site.store().change("policy") as change:
        change.suspend(ADAM, "9 networks within an hour", None)
    shown = site.run("limit", "show", ADAM)
    assert shown.exit_code == 1
    assert "9 networks" in shown.stdout
    assert site.json("user", "show", ADAM)["suspended"] == "9 networks within an hour"
    assert "9 networks" in site.ok("explain", "send", ADAM, ADAM)
    site.ok("limit", "lift", ADAM)
    assert site.json("user", "show", ADAM)["suspended"] is None


def test_limits_go_with_their_account_and_domain(site):
    site.ok("limit", "set", ADAM, "--recipients", "5/1h")
    site.ok("limit", "set", "@example1.com", "--recipients", "5/1h")
    site.run("user", "remove", ADAM)
    site.run("domain", "remove", "example1.com", "--force")
    assert site.json("limit", "list") == []


def test_addresses_that_end(site):
    site.ok("user", "set", ADAM, "--expires", "2099-12-24")
    assert site.json("user", "show", ADAM)["expires"].startswith("2099-12-2")
    site.ok("user", "set", ADAM, "--expires", "never")
    assert site.json("user", "show", ADAM)["expires"] is None
    site.ok("alias", "add", "fair@example1.com", ADAM, "--expires", "90d")
    assert site.json("alias", "show", "fair@example1.com")["expires"]
    site.ok("alias", "set", "fair@example1.com", "--expires", "never")
    assert site.json("alias", "show", "fair@example1.com")["expires"] is None


def test_a_removed_address_is_held_when_that_is_wanted(site):
    assert site.run("user", "remove", "bob@example1.com").exit_code == 0
    site.ok("user", "add", "bob@example1.com", "--no-password")  # by default it is free at once
    assert site.run("user", "remove", "bob@example1.com").exit_code == 0
    path = site.directory / "mailhooks.toml"
    path.write_text(path.read_text().replace("[mail]\n", "[mail]\naddress_hold_days = 30\n"))
    assert "--reuse" in site.fails(2, "user", "add", "bob@example1.com", "--no-password")
    assert "free in 30 days" in site.fails(2, "alias", "add", "bob@example1.com", ADAM)
    site.ok("user", "add", "bob@example1.com", "--no-password", "--reuse")
