from __future__ import annotations

import pytest
from auth_scene import Client, Scene

from mailhooks.servers import dict as server
from mailhooks.servers.base import HALF_REQUEST_SECONDS, SWEEP_SECONDS
from mailhooks.servers.in_order import MAX_WAITING
from mailhooks.store import Refused

BO = "bo@example1.com"
HELLO = "H3\t2\t0\t\tquota\n"
STORAGE, MESSAGES = "priv/quota/storage", "priv/quota/messages"
CLONE = f"B1\t{BO}\nS1\t{STORAGE}\t663\nS1\t{MESSAGES}\t3\nC1\n"


@pytest.fixture
def scene(store, store_url, key_file):
    scene = Scene(store, store_url, key_file)
    scene.add(BO)
    yield scene
    scene.end()


@pytest.fixture
def client(scene):
    client = Client(scene.dict)
    assert client.say(HELLO) == ""
    return client


def usage(scene):
    found = scene.store.usage(BO)
    return found and (found.storage, found.messages)


def commit(scene, client, text):
    client.say(text)
    scene.clock.wait()
    return client.heard()


@pytest.mark.parametrize("hello", [HELLO, "H4\t0\t0\t\tquota\n", "H3\t0\t0\tuser\tquota\n"])
def test_the_hello_is_never_answered(scene, hello):
    client = Client(scene.dict)
    assert client.heard() == ""
    assert client.say(hello) == ""
    assert client.say(f"L{STORAGE}\t{BO}\n") == "N\n"


@pytest.mark.parametrize("begin", [f"B1\t{BO}\n", f"B1\t{BO}\t0\n"])
def test_quota_clone_is_acknowledged_after_the_commit_and_read_back(scene, client, begin):
    assert client.say(CLONE.replace(f"B1\t{BO}\n", begin)) == ""
    scene.clock.wait()
    assert client.heard() == "O1\n"
    assert client.say(f"L{STORAGE}\t{BO}\nL{MESSAGES}\tBO@EXAMPLE1.com\n") == "O663\nO3\n"
    assert usage(scene) == (663, 3)


def test_the_quota_dict_of_2_3_adds_and_is_told_to_count_anew(scene, client):
    more = f"B1\t{BO}\nA1\t{STORAGE}\t221\nA1\t{MESSAGES}\t1\nC1\n"
    assert commit(scene, client, more) == "N1\n"
    assert usage(scene) is None
    counted = f"B2\t{BO}\nU2\t{STORAGE}\nU2\t{MESSAGES}\nS2\t{STORAGE}\t442\nS2\t{MESSAGES}\t2\nC2\n"
    assert commit(scene, client, counted) == "O2\n"
    assert commit(scene, client, more) == "O1\n"
    assert commit(scene, client, more.replace("221", "-63").replace("\t1\nC", "\t-2\nC")) == "O1\n"
    assert usage(scene) == (600, 1)
    assert commit(scene, client, more.replace("221", "-601")) == "N1\n"
    assert usage(scene) is None


def test_a_lookup_behind_a_commit_sees_what_was_committed(scene, client):
    assert commit(scene, client, f"{CLONE}L{STORAGE}\t{BO}\n") == "O1\nO663\n"


def test_two_transactions_at_once_each_answered_by_its_id(scene, client):
    client.say(f"B1\t{BO}\nS1\t{STORAGE}\t1\nB2\t{BO}\nS2\t{MESSAGES}\t2\nC1\nC2\nL{MESSAGES}\t{BO}\n")
    scene.clock.wait()
    assert client.heard() == "O1\n"
    scene.clock.wait()
    assert client.heard() == "O2\nO2\n"


def test_a_transaction_that_expires_was_kept_for_ever(scene, client):
    """``doveadm dict -e 60`` was told that all is well."""
    assert client.say(CLONE.replace(f"B1\t{BO}\n", f"B1\t{BO}\t60\n")) == (
        "F1\tvalues that expire are not kept here: what is set stays until it is removed\n"
    )
    assert usage(scene) is None
    assert commit(scene, client, CLONE) == "O1\n"


def test_a_user_without_a_mailbox_is_stored_nowhere_and_nobody_is_bothered(scene, client):
    assert commit(scene, client, CLONE.replace(BO, "gone@example1.com")) == "O1\n"
    assert commit(scene, client, CLONE.replace(BO, "no address")) == "O1\n"
    assert list(scene.store.usages()) == []


def test_rollback_and_the_end_of_the_connection_write_nothing(scene, client):
    assert client.say(CLONE.replace("C1", "R1")) == ""
    client.say(CLONE.replace("C1\n", ""))
    client.leave()
    assert scene.writer.depth == 0
    assert usage(scene) is None


def test_an_empty_transaction_is_done(client):
    assert client.say(f"B7\t{BO}\nT7\t1\t2\nV7\tyes\nC7\n") == "O7\n"


def test_a_commit_that_fails_says_so_with_its_id(client):
    text = f"B1\t{BO}\nS1\t{STORAGE}\tmuch\nC1\nB2\t{BO}\nS2\tpriv/x\t1\nC2\n"
    assert client.say(text).splitlines() == [
        f"F1\tthe value of {STORAGE} is not a whole number",
        f"F2\tthe quota dict has no key priv/x: only {STORAGE} and {MESSAGES}",
    ]
    assert not client.closed


def test_a_store_that_is_gone_fails_lookups_and_commits_and_comes_back(scene, client, tmp_path):
    here, away = tmp_path / "mailhooks.db", tmp_path / "elsewhere.db"
    here.rename(away)
    scene.store.renew()
    assert client.say(f"L{STORAGE}\t{BO}\n") == "Fthe store cannot answer now\n"
    assert client.say(f"I0\t0\tpriv/quota/\t{BO}\n") == "Fthe store cannot answer now\n"
    assert commit(scene, client, CLONE) == "F1\tthe store cannot answer now\n"


def test_a_commit_is_answered_within_the_writers_limit_and_only_once(scene, client):
    assert commit(scene, client, CLONE) == "O1\n"
    scene.clock.advance(60)
    assert client.heard() == ""


def test_a_full_queue_is_answered_in_its_place(scene):
    scene.dict.writer._limit = 0
    client = Client(scene.dict)
    assert client.say(f"{HELLO}L{STORAGE}\t{BO}\n{CLONE}L{MESSAGES}\t{BO}\n") == (
        "N\nF1\tthe store cannot answer now\nN\n"
    )


# Iteration


@pytest.mark.parametrize(
    ("asked", "rows"),
    [
        (f"I0\t0\tpriv/quota/\t{BO}\n", {f"O{STORAGE}\t663", f"O{MESSAGES}\t3"}),
        (f"I8\t0\tpriv/quota/\t{BO}\n", {f"O{STORAGE}\t", f"O{MESSAGES}\t"}),
        (f"I0\t0\tpriv/\t{BO}\n", set()),
        (f"I1\t0\tpriv/\t{BO}\n", {f"O{STORAGE}\t663", f"O{MESSAGES}\t3"}),
        (f"I16\t0\t{STORAGE}\t{BO}\n", {f"O{STORAGE}\t663"}),
        (f"I2\t1\tpriv/quota/\t{BO}\n", {f"O{MESSAGES}\t3"}),
        (f"I4\t1\tpriv/quota/\t{BO}\n", {f"O{MESSAGES}\t3"}),
        ("I0\t0\tpriv/quota/\tnobody@example1.com\n", set()),
    ],
)
def test_iteration(scene, client, asked, rows):
    commit(scene, client, CLONE)
    lines = client.say(asked).split("\n")
    assert lines[-2:] == ["", ""]
    assert set(lines[:-2]) == rows


def test_an_iteration_is_bounded(scene, client, monkeypatch):
    commit(scene, client, CLONE)
    monkeypatch.setattr(server, "MAX_ROWS", 1)
    assert client.say(f"I0\t0\tpriv/quota/\t{BO}\n") == "Fmore than 1 rows\n"


# Last logins


def test_last_login_by_service_and_without(scene):
    client = Client(scene.dict)
    client.say("H4\t0\t0\t\tlastlogin\n")
    for number, key in enumerate([BO, f"imap/{BO}", f"pop3/{BO}"], 1):
        text = f"B{number}\t{BO}\t0\nS{number}\tshared/last-login/{key}\t179533134{number}\nC{number}\n"
        assert commit(scene, client, text) == f"O{number}\n"
    assert {(login.service, login.at) for login in scene.store.last_logins(BO)} == {
        ("", 1795331341),
        ("imap", 1795331342),
        ("pop3", 1795331343),
    }
    assert client.say(f"Lshared/last-login/{BO}\t{BO}\nLshared/last-login/imap/{BO}\t{BO}\n") == (
        "O1795331343\nO1795331342\n"
    )


@pytest.mark.parametrize(
    "write",
    [
        "S1\tshared/last-login/al@example1.com\t1795331342",  # the login of another
        f"S1\tshared/last-login/{BO}\t1795331342000",  # not in seconds
        f"S1\tshared/last-login/{BO}\tnow",
        f"U1\tshared/last-login/{BO}",
        f"S1\tshared/other/{BO}\t1",
    ],
)
def test_a_last_login_that_is_none(scene, write):
    client = Client(scene.dict)
    assert client.say(f"H4\t0\t0\t\tlastlogin\nB1\t{BO}\n{write}\nC1\n").startswith("F1\t")
    assert not client.closed


# Our own faults


class Broken:
    everybody = False

    def lookup(self, *_):
        raise ZeroDivisionError

    def rows(self, *_):
        raise Refused("nothing to see")

    def prepare(self, *_):
        def write(_):
            raise ZeroDivisionError

        return write


def test_our_own_fault_is_a_failed_answer_and_the_connection_lives(scene):
    server.DictServer.__init__(
        scene.dict, scene.clock, scene.counters, store=scene.store, writer=scene.writer, namespaces={"broken": Broken()}
    )
    client = Client(scene.dict)
    assert client.say("H3\t2\t0\t\tbroken\nLx\ty\nI0\t0\tx\ty\n") == (
        "Finternal error, see the log of mailhooks\nFnothing to see\n"
    )
    assert commit(scene, client, "B1\tu\nS1\tk\tv\nC1\n") == "F1\tinternal error, see the log of mailhooks\n"
    assert not client.closed


def test_our_own_fault_behind_a_commit_ends_the_connection(scene, client, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError

    client.say(f"{CLONE}B2\t{BO}\n")
    monkeypatch.setattr(server.DictConnection, "_begin", broken)
    scene.clock.wait()
    assert client.protocol.closing
    assert usage(scene) == (663, 3)


# Wrong input


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (HELLO, "order"),
        (f"B1\t{BO}\nB1\t{BO}\n", "order"),
        (f"S9\t{STORAGE}\t1\n", "order"),
        ("C9\n", "order"),
        ("R9\n", "order"),
        (f"B1\t{BO}\nS1\t{STORAGE}\t1\nT1\t1\t2\n", "order"),
        ("\n", "unknown_command"),
        ("Z1\n", "unknown_command"),
        ("D1\n", "unknown_command"),
        ("L\n", "field"),
        ("L" + "x" * 70_000 + "\tu\n", "oversized"),
        ("".join(f"B{number}\t{BO}\n" for number in range(1, 40)), "order"),
        (b"L\xff\tu\n", "encoding"),
    ],
)
def test_wrong_input_ends_the_connection_after_what_was_right(scene, client, text, kind):
    data = text if isinstance(text, bytes) else text.encode()
    assert client.say(f"L{STORAGE}\t{BO}\n".encode() + data) == "N\n"
    assert client.closed
    assert scene.dict.counters.protocol_errors[kind] == 1


def test_a_value_that_is_no_text_is_refused_at_its_commit(scene, client):
    """It closed the connection, and Dovecot opened it anew to say the same again."""
    text = f"B1\t{BO}\nS1\t{STORAGE}\t663\nS1\t{MESSAGES}\t".encode() + b"\xff\xfe\nC1\n"
    assert client.say(text).startswith("F1\ta value is not text")
    assert usage(scene) is None
    assert commit(scene, client, CLONE) == "O1\n"


@pytest.mark.parametrize("hello", ["H2\t0\t0\t\tquota\n", "H5\t0\t0\t\tquota\n", "H3\t2\t0\t\tnothing\n", "Lx\ty\n"])
def test_a_version_or_name_that_is_not_served_and_a_command_before_the_hello(scene, hello):
    client = Client(scene.dict)
    assert client.say(hello) == ""
    assert client.closed


def test_wrong_input_behind_a_commit_waits_for_the_answer(scene, client):
    assert commit(scene, client, f"{CLONE}C9\n") == "O1\n"
    assert client.closed


def test_a_transaction_that_is_never_committed_does_not_stay(scene, client):
    client.say(f"B1\t{BO}\n")
    scene.clock.pump([5] * 8)
    assert client.closed


def test_what_waits_behind_a_commit_is_bounded_by_pausing(scene, client):
    client.say(CLONE + f"L{STORAGE}\t{BO}\n" * MAX_WAITING)
    assert client.transport.producerState == "paused"
    scene.clock.wait()
    assert client.heard() == "O1\n" + "O663\n" * MAX_WAITING
    assert client.transport.producerState == "producing"


def test_what_waits_is_answered_before_the_server_ends(scene, client):
    client.say(f"{CLONE}{CLONE}L{STORAGE}\t{BO}\n")
    assert client.protocol.busy
    scene.dict.drain()
    assert not client.closed
    scene.clock.wait()
    assert client.heard() == "O1\n"
    assert client.protocol.busy
    assert not client.closed
    scene.clock.wait()
    assert client.heard() == "O1\nO663\n"
    assert client.closed


def test_every_piece_of_a_conversation_may_come_alone(scene):
    client = Client(scene.dict)
    heard = [client.say(bytes([byte])) for byte in (HELLO + CLONE + f"L{STORAGE}\t{BO}\n").encode()]
    assert "".join(heard) == ""
    scene.clock.wait()
    assert client.heard() == "O1\nO663\n"


def test_a_transaction_that_was_begun_behind_a_commit_stayed_for_ever(scene, client):
    assert commit(scene, client, CLONE + f"B2\t{BO}\nS2\t{STORAGE}\t1\n") == "O1\n"
    scene.clock.advance(HALF_REQUEST_SECONDS + SWEEP_SECONDS)
    assert client.closed


def test_a_transaction_that_was_ended_behind_a_commit_cut_its_client_off(scene, client):
    client.say(f"B2\t{BO}\nS2\t{STORAGE}\t1\n" + CLONE)
    client.say("C2\n")
    scene.clock.wait(2)
    assert client.heard() == "O1\nO2\n"
    scene.clock.advance(HALF_REQUEST_SECONDS + SWEEP_SECONDS)
    assert not client.closed
