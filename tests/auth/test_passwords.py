"""Every scheme of Dovecot, against hashes that the real doveadm and libcrypt made, frozen here."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhooks import passwords
from mailhooks.passwords import argon, libcrypt, md5state

PASSWORD = "sécret"
USER = "bo@ex.test"

# doveadm pw -s SCHEME -p sécret -u bo@ex.test, Dovecot 2.3.19.1
DOVEADM = [
    "{ARGON2I}$argon2i$v=19$m=32768,t=4,p=1$U9UUTi0s8e0faZKRjuj3Sw$LDLk9WA8CrWS8NQN3ChYEF1vAsQk/uscdq2eW/iOkSg",
    "{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$wDLxmb6krsWs8HdTspJSdg$s3IvhlcGp6ysoaSDos7x4CiJjrvOVz9gd3vJ4TO2900",
    "{BLF-CRYPT}$2y$05$LzIlNxIj/zE1RYQ5eNkp9uKM5kMhHQ5d6/.B3OjXElFMQocDW10LK",
    "{CLEAR}sécret",
    "{CLEARTEXT}sécret",
    "{CRAM-MD5}ba214f81cb54a750cbe918fae06b7de5af422cdbad3755a209c38127a2b7f473",
    "{CRYPT}$2y$05$cq0XQUw6NilKuv/TfzEvPeDrQVSVa6zlldY1L.d4WGrH2s8YEt3a.",
    "{DES-CRYPT}XCmOAlHQpmW32",
    "{DIGEST-MD5}1fdfd8d60e87473796d8b5cbf3035490",
    "{HMAC-MD5}ba214f81cb54a750cbe918fae06b7de5af422cdbad3755a209c38127a2b7f473",
    "{LDAP-MD5}5qDV3WjIythtK13v/PkU3g==",
    "{MD5}$1$gToQfWrf$PeDh2ALK/0juTZ2RNtwM10",
    "{MD5-CRYPT}$1$e/Xc7fKs$sgYlkGPGPc3n3vFlg5ICl.",
    "{PBKDF2}$1$k0kRuaqJZvzELPz7$5000$944ec263669daf38246496ea0881a736ca5c8ded",
    "{PLAIN}sécret",
    "{PLAIN-MD4}c0dc2ede5672c736bd52c31193f85dbd",
    "{PLAIN-MD5}e6a0d5dd68c8cad86d2b5deffcf914de",
    "{SCRAM-SHA-1}4096,mgEw+c2BLbnj8cmPrlX7Ug==,zdhofhYRY3Nln9S/qZbhj0ypttc=,oIdDgIy2lvETditNZJ9ed6FRpV0=",
    "{SCRAM-SHA-256}4096,dCbEu6DeowThMHk2CPjX8Q==,+7kjhVnFjdjGEUPoRT2JmZDp1N39BnpmJJR1hcXjF6g=,uy7OxX/kzflLkyb/ILIMFXvME9fiCcmfTEIkdMb4pIA=",
    "{SHA}4NPDM/3N1xhO4z/lGdXdb9NzViA=",
    "{SHA1}4NPDM/3N1xhO4z/lGdXdb9NzViA=",
    "{SHA256}llkpd1qkbxBf3iG/ue1tc/8BPDCeAZJOPeNJSsv2NNQ=",
    "{SHA256-CRYPT}$5$9YlQoeSC8vxtyoFb$ZSVWxjZTfxZX0Kvsa.Bsq0MLTFvG0IMHPDa1/KGvH0A",
    "{SHA512}oEMGAZ++NNVVtXqk7aZy59nyknw+nvtjMrtlgEbrM78DKoj8fZ3BUMGTd7X9eVQPBQgyUqI4K7fg226MclNYuA==",
    "{SHA512-CRYPT}$6$2BKLE15jWULcct2f$V9aiYNtwdqFqJz2Sex3TniHy/lnuKmrbQXyb7J9B8LZgGrmYdrg1Mpgkbx9vKvBSMBjQrKhb4rrSyn1GP.iB1.",
    "{SMD5}/D6mlfry9Y4L8Flr+0CrptClguQ=",
    "{SSHA}SrEAoOTXXsxMx4t7a3NXvVjfLAWFCn5h",
    "{SSHA256}DuJsje3J3og88HXYbPyrQ3eN/EF8CjiZ1PriS4hCTX0/9+oL",
    "{SSHA512}t6XIA257AR/R6hsXBHfj/28QcH96Vv/S9qYnup8iSbJs30q/gg8U0uh131Dbw1EdIOM8Z6rGUjt1JM3kWphJ6udkERw=",
]
OTHERS = [
    "{CRYPT}$y$j9T$abcdefgh$EagTl3USLhkcG96NLBfBtFz875ONRNlMokPHciPPnH7",  # libxcrypt, yescrypt
    "{CRYPT}$gy$j9T$abcdefgh$NAkL1Ia7Spw8kbidIo9JnLv.8uU3TKX2T8WeWaWGIu2",
    "{CRYPT}_J9..rasmB0JPTujdTOA",
    "{CRYPT}$sha1$24680$GGXpNqoJvglVTkGU$MeV5.OldZcnTps6/UDeYDRgQSAao",
    "$6$2BKLE15jWULcct2f$V9aiYNtwdqFqJz2Sex3TniHy/lnuKmrbQXyb7J9B8LZgGrmYdrg1Mpgkbx9vKvBSMBjQrKhb4rrSyn1GP.iB1.",
    "{ARGON2}$argon2id$v=19$m=1024,t=3,p=4$xhRp+pvKNXzDAx3LGdE1mA$gi+k4NDTRSvRz+3arYN3Dp8wt/2Ui6PLb8E+b7ke0ec",
    "{MD5}e6a0d5dd68c8cad86d2b5deffcf914de",
    "{PLAIN-TRUNC}4-séc",
    "{PLAIN.HEX}73c3a963726574",
    "{PLAIN.B64}c8OpY3JldA==",
    "{CLEAR.base64}c8OpY3JldA==",
    "{ldap-md5.hex}E6A0D5DD68C8CAD86D2B5DEFFCF914DE",
    "{LDAP-MD5}e6a0d5dd68c8cad86d2b5deffcf914de",  # hex is told by its length
    "{PLAIN-MD5}5qDV3WjIythtK13v/PkU3g==",
]


@pytest.mark.parametrize("stored", DOVEADM + OTHERS)
def test_a_hash_made_elsewhere_verifies_and_only_for_its_password(stored):
    assert passwords.verify(stored, PASSWORD, user=USER)
    assert passwords.verify_quick(stored, PASSWORD, user=USER) is passwords.is_quick(stored)
    for verify in (passwords.verify, passwords.verify_quick):
        assert not verify(stored, "wrong", user=USER)
        assert not verify(stored, "", user=USER)
    assert passwords.check_hash(stored).endswith(stored)


@pytest.mark.parametrize("stored", DOVEADM)
def test_scheme_names_are_case_insensitive(stored):
    scheme, body = stored[1:].split("}", 1)
    assert passwords.verify(f"{{{scheme.lower()}}}{body}", PASSWORD, user=USER)


@pytest.mark.parametrize("stored", DOVEADM)
def test_another_schemes_name_makes_no_hash_match(stored):
    body = stored.partition("}")[2]
    for scheme in ("SSHA512", "PBKDF2", "SCRAM-SHA-256", "CRAM-MD5"):
        if scheme not in stored and not (scheme == "CRAM-MD5" and "HMAC-MD5" in stored):
            assert not passwords.verify(f"{{{scheme}}}{body}", PASSWORD, user=USER)


def test_digest_md5_belongs_to_its_user():
    stored = next(stored for stored in DOVEADM if stored.startswith("{DIGEST-MD5}"))
    assert not passwords.verify(stored, PASSWORD, user="al@ex.test")
    assert not passwords.verify(stored, PASSWORD)
    assert passwords.verify("{DIGEST-MD5}208a91953ae50e8bead95cb1452d8bbf", "secret", user="bo")  # doveadm pw -u bo


def test_a_new_hash_is_argon2id_and_verifies():
    made = passwords.hash_password(PASSWORD)
    assert made.startswith("{ARGON2ID}$argon2id$v=19$m=19456,t=2,p=1$")
    assert passwords.verify(made, PASSWORD)
    assert not passwords.verify(made, "wrong")
    assert passwords.check_hash(made) == made
    assert not passwords.needs_rehash(made)
    assert made != passwords.hash_password(PASSWORD)


@pytest.mark.parametrize("password", ["", "a\0b", "x" * 5000, "\ud800"])
def test_what_could_never_verify_is_not_hashed(password):
    with pytest.raises(passwords.PasswordError) as raised:
        passwords.hash_password(password)
    assert not password or password not in str(raised.value)


@pytest.mark.parametrize(
    ("stored", "password"),
    [
        ("{PLAIN}", ""),
        ("{PLAIN}a\0b", "a\0b"),
        ("{PLAIN}" + "x" * 5000, "x" * 5000),
        ("{PLAIN-TRUNC}0-", "anything"),
        ("{PLAIN-TRUNC}secret", "secret"),  # as doveadm: no length, no match
        ("{SSHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "secret"),  # a digest without any salt
        ("{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ", "secret"),  # padding lost
        ("{CRYPT}secret", "secret"),
        ("{CRYPT}", "secret"),
        ("{BLF-CRYPT}" + DOVEADM[24].partition("}")[2], PASSWORD),  # $6$ is no Blowfish
        ("{CRYPT}*0", "secret"),
        ("{CRYPT}!", "secret"),
        ("{NTLM}0123", "secret"),
        ("{PLAIN", "secret"),
        ("", "secret"),
    ],
)
def test_no_match_and_no_exception(stored, password):
    assert not passwords.verify(stored, password)


def test_bcrypt_reads_72_bytes_as_everywhere():
    stored = "{BLF-CRYPT}" + libcrypt.crypt(b"x" * 72, b"$2y$04$abcdefghijklmnopqrstuu").decode()
    assert passwords.verify(stored, "x" * 72 + "more")
    assert not passwords.verify(stored, "x" * 71)


@pytest.mark.parametrize("start", ["$2y$", "$6$", "$5$", "$1$"])
def test_passlib_stands_in_where_libcrypt_does_not_know_a_hash(monkeypatch, start):
    stored = next(stored.partition("}")[2] for stored in DOVEADM if "}" + start in stored)
    monkeypatch.setattr(libcrypt, "_crypt_r", lambda: None)
    assert libcrypt.verify(PASSWORD.encode(), stored.encode())
    assert not libcrypt.verify(b"x" * 100, stored.encode())
    assert not libcrypt.verify(b"x", b"$y$j9T$abcdefgh$EagTl3USLhkcG96NLBfBtFz875ONRNlMokPHciPPnH7")


@pytest.mark.parametrize(
    ("stored", "name"),
    [
        ("{CRYPT}$6$salt$x", "SHA512-CRYPT"),
        ("{CRYPT}$y$j9T$x$y", "YESCRYPT"),
        ("{CRYPT}uHGfwebaIOvB6", "CRYPT"),
        ("{md5}$1$x$y", "MD5-CRYPT"),
        ("{hmac-md5}" + "00" * 32, "CRAM-MD5"),
        ("{Clear}x", "PLAIN"),
        ("{PLAIN.HEX}78", "PLAIN"),
        ("{OTP}x", "unknown"),
        ("{SHA}%%%", "unknown"),
    ],
)
def test_scheme_names_come_from_a_closed_set(stored, name):
    assert passwords.scheme_of(stored) == name


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("", "empty"),
        ("{OTP}sha1 1024 3deb57e283f9d297 ab87e9b4dbb35bcf", "doveadm pw -s ARGON2ID"),
        ("{SSHA", "write {SCHEME}"),
        ("{PLAIN}", "empty"),
        ("{PLAIN}a\0b", "NUL"),
        ("{SHA.ROT13}abc", "HEX, B64 and BASE64"),
        ("{SHA256}5en6G6MezRroT3XKqkdPOmY/BfQ=", "20 bytes where 32"),
        ("{SSHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "salt is missing"),
        ("{SHA}%%%", "base64"),
        ("{MD5}5en6G6MezRroT3XKqkdPOg==", "LDAP-MD5"),
        ("!", "state of the account"),
        ("{CRYPT}*LK*", "state of the account"),
        ("plain-password", "crypt(5)"),
        ("{BLF-CRYPT}$2y$31$" + "a" * 53, "2^16"),
        ("$6$rounds=999999999$salt$" + "a" * 86, "5000000"),
        ("{ARGON2ID}$argon2id$v=19$m=9999999,t=3,p=1$wDLxmb6krsWs8HdTspJSdg$s3IvhlcGp6ysoaSDos7x4A", "m=1048576"),
        ("{ARGON2ID}$argon2id$v=19$m=1048576,t=3,p=1$wDLxmb6krsWs8HdTspJSdg$s3IvhlcGp6ysoaSDos7x4A", "at most 2097152"),
        ("{ARGON2ID}$2y$05$x", "$argon2id$"),
        ("{PBKDF2}$1$x$99999999$" + "a" * 40, "5000000"),
        ("{SCRAM-SHA-256}4096,xyz", "StoredKey"),
        ("{PLAIN-TRUNC}secret", "length-text"),
        ("{PLAIN}" + "x" * 3000, "2048"),
    ],
)
def test_a_bad_hash_is_refused_with_the_cure_and_without_the_hash(text, cure):
    with pytest.raises(passwords.HashError) as raised:
        passwords.check_hash(text)
    assert cure in str(raised.value)
    assert not text[7:] or text[7:] not in str(raised.value)


def test_a_hash_without_a_scheme_is_crypt():
    assert passwords.check_hash("$1$abc$iCQ2D3nhptRYi27fDYv2s1\n") == "{CRYPT}$1$abc$iCQ2D3nhptRYi27fDYv2s1"


def test_only_what_takes_microseconds_is_quick():
    quick = {passwords.scheme_of(stored) for stored in DOVEADM + OTHERS if passwords.is_quick(stored)}
    assert quick == {
        *("PLAIN", "PLAIN-TRUNC", "SHA1", "SHA256", "SHA512", "SMD5", "SSHA", "SSHA256", "SSHA512"),
        *("LDAP-MD5", "PLAIN-MD5", "DIGEST-MD5"),
    }


@pytest.mark.parametrize("stored", DOVEADM)
def test_everything_but_strong_argon2id_is_rehashed(stored):
    assert passwords.needs_rehash(stored) is not stored.startswith("{ARGON2ID}$argon2id")


def test_a_weak_argon2id_is_rehashed():
    assert passwords.needs_rehash(OTHERS[5])


def test_the_dummy_is_a_sound_hash_that_costs_what_a_new_one_costs():
    assert passwords.check_hash(passwords.DUMMY) == passwords.DUMMY
    assert not passwords.is_quick(passwords.DUMMY)
    assert not passwords.needs_rehash(passwords.DUMMY)
    parameters = passwords.DUMMY.split("$")[1:4]
    assert parameters == passwords.hash_password("x").split("$")[1:4]
    # A real digest of the right length, so that libsodium computes instead of refusing its form.
    assert len(passwords.DUMMY) == len(passwords.hash_password("x"))


def test_libsodium_and_argon2_cffi_agree(monkeypatch):
    made = argon.make(b"x").encode()
    monkeypatch.setattr(argon, "_LIBSODIUM_MAX_BYTES", 0)
    assert argon.verify(made, b"x")
    assert not argon.verify(made, b"y")


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_the_inner_states_of_md5_are_those_of_hmac(key, text):
    """HMAC finished from the stored states, by the padding rule of RFC 1321, is hashlib's HMAC."""

    def finish(state: bytes, data: bytes) -> bytes:
        padded = data + b"\x80" + b"\0" * (-(len(data) + 9) % 64) + (8 * (64 + len(data))).to_bytes(8, "little")
        for start in range(0, len(padded), 64):
            before = md5state._START
            try:
                md5state._START = tuple(int.from_bytes(state[i : i + 4], "little") for i in range(0, 16, 4))
                state = md5state.after_block(padded[start : start + 64])
            finally:
                md5state._START = before
        return state

    states = md5state.hmac_states(key)
    assert finish(states[:16], finish(states[16:], text)) == hmac.digest(key, text, hashlib.md5)


@given(st.text(max_size=40), st.text(max_size=20), st.text(max_size=20))
def test_no_text_makes_anything_raise(stored, password, user):
    for text in (
        stored,
        "{SSHA}" + stored,
        "{CRYPT}" + stored,
        "{DIGEST-MD5}" + stored,
        "{ARGON2ID}$argon2id$" + stored,
    ):
        passwords.verify(text, password, user=user)
        passwords.is_quick(text)
        passwords.needs_rehash(text)
        passwords.scheme_of(text)
        try:
            passwords.check_hash(text)
        except passwords.HashError:
            continue
