"""Sizes and quota rules of a passwd-file, and the parameters of main.cf."""

from __future__ import annotations

import pytest

from mailhooks.seed import maincf, users


@pytest.mark.parametrize(
    ("extra", "quota"),
    [
        ("userdb_quota_rule=*:storage=1G", 2**30),
        ("userdb_quota_rule=*:storage=100M:messages=1000", 100 * 2**20),
        ("userdb_quota_rule=*:storage=100", 100 * 1024),  # KiB (quota-util.c)
        ("userdb_quota_rule=*:storage=100B", 100),
        ("userdb_quota_rule=*:bytes=100", 100),
        ("userdb_quota_rule=*:bytes=2k", 2048),
        ("userdb_quota_rule=*:storage=0", 0),
        ("userdb_quota_storage_size=5M", 5 * 2**20),
        ("userdb_quota_storage_size=100", 100),  # bytes in 2.4
        ("userdb_home=/x", None),
        ("", None),
    ],
)
def test_quota(extra, quota):
    assert users.parse(f"adam@example1.com:{{PLAIN}}x::::::{extra}").quota == quota


@pytest.mark.parametrize(
    "rule", ["*:messages=5", "Trash:storage=1G", "*:storage=50%", "*:storage=-1", "*:storage=9999999999T", "*:", ""]
)
def test_quota_rules_that_are_none(rule):
    with pytest.raises(ValueError, match="quota"):
        users.parse(f"adam@example1.com:{{PLAIN}}x::::::userdb_quota_rule={rule}")


@pytest.mark.parametrize("locked", ["", "!", "*", "x", "!!"])
def test_a_locked_account_has_no_hash(locked):
    assert users.parse(f"adam@example1.com:{locked}:5000:5000").hash is None


def test_a_hash_is_not_shown():
    assert "secret" not in repr(users.parse("adam@example1.com:{PLAIN}secret"))


def test_the_last_line_for_a_parameter_counts():
    found = maincf.parse(["myhostname = a.test", "myhostname = ${sub}.b.test", "sub=c"])
    assert found.settings == {"hostname": (2, "c.b.test")}


def test_domains_in_main_cf():
    found = maincf.parse(["virtual_mailbox_domains = example1.com, example2.com", "  $more", "more = example3.com"])
    assert [name for _, name in found.domains] == ["example1.com", "example2.com", "example3.com"]
