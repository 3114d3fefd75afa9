"""What the environment asks ``up`` to make: refused at a first start, a warning on a server that ran."""

from __future__ import annotations

import pytest

from mailhooks.cli import first_start
from mailhooks.cli.first_start import Wishes
from mailhooks.cli.session import Session
from mailhooks.config import ConfigError

RELAY = "[smtp.example.net]:587"


def fulfil(shell, wishes: Wishes) -> tuple[tuple[str, str] | None, list[str]]:
    """Start with these wishes; return the account that was made, and the warnings."""
    session = Session(shell.directory / "mailhooks.toml")
    warnings: list[str] = []
    return first_start.fulfil(session, wishes, session.config, warnings.append), warnings


@pytest.fixture
def hold(site):
    with (site.directory / "mailhooks.toml").open("a") as file:
        file.write(f'address_hold_days = 30\n[server]\nrelayhost = "{RELAY}"\n')
    return site


def test_the_admin_who_was_removed_and_is_held_does_not_keep_the_server_down(hold):
    hold.ok("user", "remove", "adam@example1.com")
    wishes = Wishes(admin="adam@example1.com", relay_username="me", relay_password="p")
    made, (warning,) = fulfil(hold, wishes)
    assert made is None
    assert warning.startswith("MAIL_ADMIN='adam@example1.com': adam@example1.com was removed lately")
    assert hold.ok("lookup", "smtp_sasl_password_maps", RELAY) == "me:p\n"  # the rest is done


def test_the_admins_domain_that_became_an_alias_domain_does_not_keep_the_server_down(site):
    made, (warning,) = fulfil(site, Wishes(admin="adam@example1.net"))
    assert made is None
    assert "MAIL_ADMIN='adam@example1.net': example1.net is an alias of example1.com" in warning


def test_the_admins_address_that_became_an_alias_gets_no_account_beside_it(site):
    site.ok("alias", "add", "office@example1.com", "bob@example1.com")
    made, (warning,) = fulfil(site, Wishes(admin="office@example1.com"))
    assert made is None
    assert warning.startswith("MAIL_ADMIN='office@example1.com': this address is an alias by now")
    assert site.store().mailbox("office@example1.com") is None


def test_a_domain_whose_postmaster_is_held_is_named_by_its_own_variable(hold):
    hold.ok("domain", "add", "example3.com")
    hold.ok("user", "add", "postmaster@example3.com", "--no-password")
    hold.ok("domain", "remove", "example3.com", "--force")
    _, (warning,) = fulfil(hold, Wishes(domain="example3.com"))
    assert warning.startswith("MAIL_DOMAIN='example3.com': postmaster@example3.com was removed lately")
    assert hold.store().domain("example3.com") is None  # both or neither


def test_a_first_start_that_is_refused_names_the_variable_and_its_value(shell):
    config = shell.directory / "mailhooks.toml"
    with Session(config).opened():
        pass  # an empty store is made
    config.write_text(config.read_text().replace("mail/%d/%n", "mail/everybody"))
    with pytest.raises(ConfigError, match=r"^MAIL_ADMIN='eve@example4.com': \[mail\] in the configuration: "):
        fulfil(shell, Wishes(domain="example3.com", admin="eve@example4.com"))
    assert list(shell.store().domains()) == []


def test_what_is_done_already_is_not_done_again(site):
    assert fulfil(site, Wishes(domain="example1.com", admin="adam@example1.com")) == (None, [])
    assert fulfil(site, Wishes(domain="example1.net")) == (None, [])


def test_an_admin_and_another_domain_are_made_together(site):
    made, warnings = fulfil(site, Wishes(domain="example3.com", admin="eve@example4.com"))
    assert made is not None
    assert made[0] == "eve@example4.com"
    assert warnings == []
    assert site.store().domain("example3.com") is not None


def test_a_refused_relay_kept_the_admin_from_being_made(hold):
    with (hold.directory / "key").open("ab") as key:
        key.write(b"not the key any more")
    made, warnings = fulfil(hold, Wishes(admin="new@example1.com", relay_username="a\tb", relay_password="p"))
    assert made is not None
    assert [warning.partition("=")[0] for warning in warnings] == ["RELAY_HOST"]


def test_the_admin_made_again_saw_the_mail_that_came_after_the_removal(site):
    site.ok("user", "remove", "adam@example1.com")
    home = site.mail / "example1.com/adam"
    (home / "new").mkdir(parents=True)
    made, _ = fulfil(site, Wishes(admin="adam@example1.com"))
    assert made is not None
    assert not home.exists()
