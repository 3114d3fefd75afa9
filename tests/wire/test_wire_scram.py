from __future__ import annotations

from base64 import b64decode, b64encode

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scramp import ScramClient, ScramMechanism

from mailhooks.wire.auth import challenge
from mailhooks.wire.auth.shared import MAX_LINE
from mailhooks.wire.sasl import Challenge, Proof, Rejected, Undecided
from mailhooks.wire.scram import MAX_MESSAGE, NAMES, Scram, mechanisms


def keys_of(mechanism, password, salt, rounds=4096):
    _, stored, server, _ = ScramMechanism(mechanism).make_auth_info(password, rounds, b64decode(salt))
    return ",".join([str(rounds), salt, b64encode(stored).decode(), b64encode(server).decode()])


# RFC 5802 section 5 and RFC 7677 section 3, word by word.
EXAMPLES = {
    "SCRAM-SHA-1": {
        "salt": "QSXCR+Q6sek8bf92",
        "nonce": "3rfcNHYJY1ZVvWVs7j",
        "talk": [
            "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
            "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
            "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
            "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
        ],
    },
    "SCRAM-SHA-256": {
        "salt": "W22ZaJ0SNY7soEsUEjb6gQ==",
        "nonce": "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
        "talk": [
            "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            (
                "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
            ),
            "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
        ],
    },
}


def exchange(name, password="pencil"):
    example = EXAMPLES[name]
    keys = keys_of(name, password, example["salt"])
    return Scram(
        name, lambda mechanism, login: keys if (mechanism, login) == (name, "user") else None, nonce=example["nonce"]
    ), keys


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("initial", [True, False])
def test_the_examples_of_the_standards(name, initial):
    scram, keys = exchange(name)
    first, asked, final, last = EXAMPLES[name]["talk"]
    if not initial:
        assert scram.step(None) == Challenge(b"")
    assert scram.step(first.encode()) == Challenge(asked.encode())
    assert scram.step(final.encode()) == Proof("user", keys, final, last.encode())


@pytest.mark.parametrize("name", NAMES)
def test_a_proof_of_another_password_is_a_proof_that_does_not_fit(name):
    scram, keys = exchange(name, "pen")
    first, _, final, _ = EXAMPLES[name]["talk"]
    scram.step(first.encode())
    assert scram.step(final.encode()) == Proof("user", keys, final, None)


def test_a_proof_of_another_length_does_not_fit():
    scram, _ = exchange("SCRAM-SHA-1")
    first, _, final, _ = EXAMPLES["SCRAM-SHA-1"]["talk"]
    scram.step(first.encode())
    assert scram.step((final.partition(",p=")[0] + ",p=AAAA").encode()).final is None


@pytest.mark.parametrize("final", ["c=eSws,", "c=biws,r=another,", "", "c=biws,r=", "v=", "\xff", "p=AAAA"])
def test_a_last_message_that_is_none(final):
    scram, _ = exchange("SCRAM-SHA-1")
    scram.step(EXAMPLES["SCRAM-SHA-1"]["talk"][0].encode())
    assert isinstance(scram.step(final.encode("latin-1")), Rejected)


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"n,,",
        b"n,,n=user",
        b"n,,n=,r=abc",
        b"n,,n=user,r=a\0c",
        b"n,,n=us=er,r=abc",
        b"n,a=other,n=user,r=abc",
        b"p=tls-unique,,n=user,r=abc",
        b"p=tls-exporter,,n=user,r=abc",
        b"x,,n=user,r=abc",
        b"n,,m=1,n=user,r=abc",
        b"n,,n=user,r=abc,n=user",
        b"n,,n=\xff,r=abc",
        "n,,n=a\u0627,r=abc".encode(),
    ],
)
def test_a_first_message_that_is_none(first):
    asked = []
    scram = Scram("SCRAM-SHA-256", lambda *given: asked.append(given))
    assert isinstance(scram.step(first), Rejected)
    assert asked == []


def test_a_long_nonce_fits_into_a_line_of_the_protocol_and_a_longer_one_is_none():
    first = b"n,,n=user,r=" + b"x" * (MAX_MESSAGE - 12)
    assert len(first) == MAX_MESSAGE
    scram, _ = exchange("SCRAM-SHA-256")
    assert len(challenge(2**32 - 1, scram.step(first).data)) <= MAX_LINE
    assert isinstance(exchange("SCRAM-SHA-256")[0].step(first + b"x"), Rejected)


def test_a_name_may_hold_what_the_grammar_needs():
    asked = []
    Scram("SCRAM-SHA-256", lambda *given: asked.append(given)).step(b"y,,n=a=2Cb=3Dc@ex.test,r=abc")
    assert asked == [("SCRAM-SHA-256", "a,b=c@ex.test")]


def test_keys_that_cannot_be_looked_up():
    assert Scram("SCRAM-SHA-1", lambda *_: None).step(b"n,,n=user,r=abc") == Undecided("user")


def test_what_is_offered():
    offered = mechanisms(lambda *_: None)
    assert {name: mechanism.flags for name, mechanism in offered.items()} == dict.fromkeys(NAMES, ("mutual-auth",))
    assert offered["SCRAM-SHA-1"].begin().step(b"n,,n=user,r=abc") == Undecided("user")


def test_the_server_never_says_the_same_nonce_twice():
    keys = keys_of("SCRAM-SHA-256", "pencil", "W22ZaJ0SNY7soEsUEjb6gQ==")
    said = {Scram("SCRAM-SHA-256", lambda *_: keys).step(b"n,,n=user,r=abc").data for _ in range(20)}
    assert len(said) == 20


def test_no_secret_is_shown():
    scram, keys = exchange("SCRAM-SHA-1")
    first, _, final, last = EXAMPLES["SCRAM-SHA-1"]["talk"]
    scram.step(first.encode())
    shown = repr(scram.step(final.encode()))
    assert not any(secret in shown for secret in (keys, final, last))


PIECES = st.sampled_from([b"n,,", b"y,,", b"n=user", b",", b"r=", b"c=biws", b"p=", b"=", b"\0", b"a", b"\xff", b"m=x"])


@given(st.lists(st.one_of(st.binary(max_size=40), st.lists(PIECES).map(b"".join)), min_size=1, max_size=3))
def test_no_input_raises(messages):
    scram, _ = exchange("SCRAM-SHA-256")
    for message in messages:
        step = scram.step(message)
        assert isinstance(step, Challenge | Proof | Rejected | Undecided)
        if not isinstance(step, Challenge):
            break


@hypothesis.settings(max_examples=25)
@given(st.sampled_from(NAMES), st.text("abcé€,=+ ", min_size=1, max_size=20).filter(str.strip), st.booleans())
def test_whoever_knows_the_password_gets_in_and_nobody_else(name, password, right):
    keys = keys_of(name, password, "W22ZaJ0SNY7soEsUEjb6gQ==")
    scram = Scram(name, lambda *_: keys)
    client = ScramClient([name], "a=b,c@ex.test", password if right else password + "x")
    client.set_server_first(scram.step(client.get_client_first().encode()).data.decode())
    proof = scram.step(client.get_client_final().encode())
    assert (proof.login, proof.keys, proof.final is not None) == ("a=b,c@ex.test", keys, right)
    if right:
        client.set_server_final(proof.final.decode())
