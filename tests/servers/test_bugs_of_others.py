"""Each mistake of a known implementation of these protocols, as a client of mailhooks would meet it."""

from __future__ import annotations

import pytest
from auth_scene import Client, Scene, b64, plain

BO = "bo@ex.test"
OK = f"OK\t{{}}\tuser={BO}\n"
QUOTA = "priv/quota/messages"
COMMENT = "priv/184cb103bc31036bb10e000083ecc375/comment"


@pytest.fixture
def scene(store, store_url, key_file):
    scene = Scene(store, store_url, key_file)
    scene.add(BO, password="{PLAIN}secret")
    yield scene
    scene.end()


@pytest.fixture
def login(scene):
    client = Client(scene.login)
    client.say("VERSION\t1\t2\nCPID\t10662\n")
    return client


@pytest.fixture
def master(scene, monkeypatch):
    monkeypatch.setattr("mailhooks.servers.auth_master.AuthMasterConnection.peer_uid", 0)
    client = Client(scene.master)
    client.say("VERSION\t1\t1\n")
    return client


def dict_client(scene, name="quota", major=3):
    client = Client(scene.dict)
    assert client.say(f"H{major}\t0\t0\t\t{name}\n") == ""
    return client


def auth(number, password="secret", more=""):
    return f"AUTH\t{number}\tPLAIN\tservice=imap{more}\tresp={plain(BO, password)}\n"


def commit(scene, client, text):
    client.say(text)
    scene.clock.wait()
    return client.heard()


def test_two_requests_in_one_segment_have_two_answers(scene, login, master):
    assert login.say(auth(1) + auth(2)) == OK.format(1) + OK.format(2)
    answers = master.say(f"USER\t1\t{BO}\tservice=lmtp\nUSER\t2\tno@ex.test\tservice=lmtp\n").splitlines()
    assert [answer.split("\t")[:2] for answer in answers] == [["USER", "1"], ["NOTFOUND", "2"]]
    assert dict_client(scene).say(f"L{QUOTA}\t{BO}\nL{QUOTA}\t{BO}\n") == "N\nN\n"


def test_a_request_over_1024_bytes_is_heard_whole(scene, login, master):
    assert login.say(auth(1, more="\tforward_fields=" + "x" * 8000)) == OK.format(1)
    assert master.say(f"USER\t1\t{BO}\tservice=lmtp\tnew={'x' * 2000}\n").startswith(f"USER\t1\t{BO}\t")
    client, text = dict_client(scene, "metadata"), "x" * 5000
    assert commit(scene, client, f"B1\t{BO}\nS1\t{COMMENT}\t{text}\nC1\n") == "O1\n"
    assert client.say(f"L{COMMENT}\t{BO}\n") == f"O{text}\n"


def test_a_fragmented_line_is_one_line(scene, login, master):
    for client, line, answer in (
        (login, auth(1), OK.format(1)),
        (master, "USER\t1\tno@ex.test\tservice=lmtp\n", "NOTFOUND\t1\n"),
        (dict_client(scene), f"L{QUOTA}\t{BO}\n", "N\n"),
    ):
        assert client.say(line[:7]) == ""
        assert client.say(line[7:-1]) == ""
        assert client.say(line[-1:]) == answer


@pytest.mark.parametrize("begin", [f"B1\t{BO}", f"B1\t{BO}\t0"])
def test_begin_has_two_values_or_three(scene, begin):
    assert commit(scene, dict_client(scene, major=4), f"{begin}\nS1\t{QUOTA}\t3\nC1\n") == "O1\n"


def test_unset_forgets_the_key_and_no_other(scene):
    client, other = dict_client(scene, "metadata"), COMMENT.replace("comment", "other")
    assert commit(scene, client, f"B1\t{BO}\nS1\t{COMMENT}\t3\nS1\t{other}\t500\nC1\n") == "O1\n"
    assert commit(scene, client, f"B2\t{BO}\nU2\t{COMMENT}\nC2\n") == "O2\n"
    assert client.say(f"L{COMMENT}\t{BO}\nL{other}\t{BO}\n") == "N\nO500\n"


def test_an_empty_last_field_is_a_field(scene, login):
    assert login.say("AUTH\t1\tPLAIN\tservice=imap\n") == "CONT\t1\t\n"
    assert login.say("CONT\t1\t\n") == "FAIL\t1\n"  # an empty answer is an answer: a wrong one
    assert not login.closed
    client = dict_client(scene, "metadata")
    assert commit(scene, client, f"B1\t{BO}\nS1\t{COMMENT}\t\nC1\n") == "O1\n"
    assert client.say(f"L{COMMENT}\t{BO}\n") == "O\n"
    assert client.say(f"I8\t0\t{COMMENT.removesuffix('comment')}\t{BO}\n") == f"O{COMMENT}\t\n\n"


def test_an_unknown_command_ends_the_connection_and_nothing_else(scene, login, master):
    quota = dict_client(scene)
    assert login.say(auth(1) + "PENALTY\t1\n") == OK.format(1)
    assert master.say("USER\t1\tno@ex.test\tservice=lmtp\nPENALTY\t1\n") == "NOTFOUND\t1\n"
    assert quota.say(f"L{QUOTA}\t{BO}\nZ1\n") == "N\n"
    assert all(client.closed for client in (login, master, quota))
    other = Client(scene.login)
    other.say("VERSION\t1\t2\nCPID\t10663\n")
    assert other.say(auth(1)) == OK.format(1)


def test_fail_followed_by_ok_on_one_connection(scene, login):
    assert login.say(auth(1, "wrong")) == ""
    scene.clock.wait()
    scene.clock.advance(2.1)
    assert login.heard() == f"FAIL\t1\tuser={BO}\n"
    assert login.say(auth(2)) == OK.format(2)
    assert login.say(auth(3, "wrong") + auth(4)) == OK.format(4)  # nobody waits for the delay of another
    scene.clock.wait()
    scene.clock.advance(2.1)
    assert login.heard() == f"FAIL\t3\tuser={BO}\n"


def test_an_unknown_mechanism_is_not_taken_for_another(scene, login):
    assert login.say(f"AUTH\t1\tNTLM\tservice=imap\tresp={plain(BO, 'secret')}\n") == ""
    assert login.closed
    other = Client(scene.login)
    other.say("VERSION\t1\t2\nCPID\t10663\n")
    assert other.say(f"AUTH\t1\tlogin\tservice=imap\tresp={b64(BO)}\n") == "CONT\t1\tUGFzc3dvcmQ6\n"


@pytest.mark.parametrize("major", [3, 4])
def test_the_hello_has_no_reply_and_the_first_answer_is_that_to_the_first_command(scene, major):
    client = dict_client(scene, major=major)
    assert client.say(f"L{QUOTA}\t{BO}\n") == "N\n"
    assert Client(scene.dict).say(f"H{major}\t0\t0\t\tquota\nL{QUOTA}\t{BO}\n") == "N\n"
