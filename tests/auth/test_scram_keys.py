from __future__ import annotations

import pytest

from mailhooks import passwords
from mailhooks.passwords import scram

SEED = b"s" * 32


@pytest.mark.parametrize("password", ["pencil", "sécret", "a,b=c"])
def test_keys_fit_the_password_they_were_made_of(password):
    keys = scram.make(password, scram.salts())
    assert set(keys) == {"SCRAM-SHA-256", "SCRAM-SHA-1"}
    for mechanism, text in keys.items():
        assert text.startswith("65536,")
        assert passwords.verify(f"{{{mechanism}}}{text}", password)
        assert not passwords.verify(f"{{{mechanism}}}{text}", password + "x")


def test_the_password_is_prepared_as_clients_prepare_it():
    # RFC 4013 section 3: a soft hyphen is mapped to nothing, a Roman numeral to letters.
    salts = scram.salts()
    assert scram.make("I\u00adX", salts) == scram.make("IX", salts) == scram.make("\u2168", salts)


@pytest.mark.parametrize("password", ["", "\u00ad", "a\u0007", "\u0627\u0031", "\u0221"])
def test_a_password_that_cannot_be_prepared_has_no_keys(password):
    assert scram.make(password, scram.salts()) == {}


def test_two_accounts_never_share_a_salt():
    assert scram.salts() != scram.salts()
    assert len(set(scram.salts().values())) == 2


def test_made_up_keys_look_like_others_and_are_always_the_same():
    real = scram.make("pencil", scram.salts())
    for mechanism, text in real.items():
        made_up = scram.fake(SEED, mechanism, "nobody@example1.com")
        assert made_up == scram.fake(SEED, mechanism, "nobody@example1.com")
        assert [len(part) for part in made_up.split(",")] == [len(part) for part in text.split(",")]
        assert made_up.split(",")[0] == text.split(",")[0]
    others = [
        scram.fake(SEED, "SCRAM-SHA-256", "somebody@example1.com"),
        scram.fake(b"t" * 32, "SCRAM-SHA-256", "nobody@example1.com"),
        scram.fake(SEED, "SCRAM-SHA-1", "nobody@example1.com"),
        scram.fake(SEED, "SCRAM-SHA-256", "nobody@example1.com"),
        scram.fake(SEED, "SCRAM-SHA-256", "\udcff"),
    ]
    assert len({text.split(",")[1] for text in others}) == len(others)
