"""The real doveadm has the last word: its hashes verify here, ours and our refusals are its own."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from mailhooks import passwords

DOVEADM = shutil.which("doveadm") or "/usr/bin/doveadm"
pytestmark = pytest.mark.skipif(shutil.which(DOVEADM) is None, reason="Dovecot is not installed")

# Not a password check: a sequence of one-time passwords.
WITHOUT = {"OTP"}
USER = "bo@ex.test"


def doveadm(*arguments: str) -> tuple[int, str]:
    # -c: doveadm pw needs no configuration, and the machine's own may be broken.
    done = subprocess.run(
        [DOVEADM, "-c", "/dev/null", "pw", *arguments], capture_output=True, text=True, check=False, timeout=30
    )
    return done.returncode, done.stdout.strip()


def schemes() -> list[str]:
    if shutil.which(DOVEADM) is None:
        return []
    return sorted(set(doveadm("-l")[1].split()) - WITHOUT)


@pytest.mark.parametrize("scheme", schemes())
@pytest.mark.parametrize("password", ["secret", "pässwörd mit Leerzeichen", "x" * 100])
def test_what_doveadm_makes_verifies(scheme, password):
    code, stored = doveadm("-s", scheme, "-p", password, "-u", USER)
    assert code == 0
    if scheme == "PLAIN-TRUNC":  # doveadm makes what it does not verify itself: the length is missing
        stored = stored.replace("}", f"}}{len(password.encode())}-")
    assert passwords.check_hash(stored) == stored
    assert passwords.verify(stored, password, user=USER)
    assert not passwords.verify(stored, "wrong", user=USER)


@pytest.mark.parametrize("scheme", [scheme for scheme in schemes() if scheme != "PLAIN-TRUNC"])
@pytest.mark.parametrize("suffix", ["HEX", "B64", "BASE64"])
def test_what_doveadm_encodes_otherwise_verifies(scheme, suffix):
    code, stored = doveadm("-s", f"{scheme}.{suffix}", "-p", "secret", "-u", USER)
    assert code == 0
    assert passwords.check_hash(stored) == stored
    assert passwords.verify(stored, "secret", user=USER)
    assert not passwords.verify(stored, "wrong", user=USER)


def test_doveadm_verifies_what_is_made_here():
    assert doveadm("-t", passwords.hash_password("sécret"), "-p", "sécret")[0] == 0


@pytest.mark.parametrize(
    "stored",
    [
        "{PLAIN-TRUNC}3-sec",
        "{PLAIN-TRUNC}6-secret",
        "{PLAIN-TRUNC}secret",
        "{PLAIN-TRUNC}4-sec",
        "{SHA}e5e9fa1ba31ecd1ae84f75caaa474f3a663f05f4",
        "{SHA.B64}e5e9fa1ba31ecd1ae84f75caaa474f3a663f05f4",
        "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ",
        "{SHA.FOO}5en6G6MezRroT3XKqkdPOmY/BfQ=",
        "{MD5}5ebe2294ecd0e0f08eab7690d2a6ee69",
        "{SSHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
        "{SSHA}39f1b5ba518f9df59a487581cc89114a851c938f41424344",
        "{SSHA.HEX}39f1b5ba518f9df59a487581cc89114a851c938f41424344",
        "{BLF-CRYPT}$6$abc$IRWY6hY3kwsmvDOnAQi/4dg5hVLqbw7YFM8KcZzxJ.ZKfrwRW7eFHm8cJv7X/nCnTPyvAYO7ONvPmH5M4fzOL.",
        "{CRYPT}secret",
        "{PBKDF2}$1$abc$1000$00",
        "{CRAM-MD5}CD3BA7DEAAD6E5CA23448BA42E379747A9E0F7F1FBC00C8A81BBAAC395731B56",
    ],
)
def test_doveadm_and_we_agree_on_odd_ones(stored):
    assert passwords.verify(stored, "secret") == (doveadm("-t", stored, "-p", "secret")[0] == 0)
