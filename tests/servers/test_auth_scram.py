"""Conversations of SCRAM, of other login names and of master users on the auth sockets."""

from __future__ import annotations

from base64 import b64decode, b64encode

import pytest
from auth_scene import SPID, Client, Scene, plain
from scramp import ScramClient, ScramException

from mailhooks.logins import LoginRules
from mailhooks.passwords import scram as keys
from mailhooks.servers.auth_client import AuthClientServer
from mailhooks.store import State
from mailhooks.throttle import Settings
from mailhooks.wire import sasl, scram

SLOW = "slow@example1.com"  # whose hash goes to a worker
ADAM, BOB, ADMIN = "adam@example1.com", "bob@example1.com", "admin@example1.com"
HELLO = "VERSION\t1\t2\nCPID\t10662\n"
RULES = LoginRules(alias_login=True, masters=frozenset({ADMIN, SLOW}))
SALTS = keys.salts()
KEYS = keys.make("secret", SALTS)
FINAL = "\tfinal-resp-ok"


class Everything(Scene):
    """All mechanisms and all names."""

    def _auth(self, hook, outage):
        return AuthClientServer(
            hook,
            self.clock,
            self.counters,
            authenticator=self.authenticator,
            pending=self.pending,
            spid=SPID,
            outage=outage,
            mechanisms={**sasl.MECHANISMS, **scram.mechanisms(self.authenticator.keys)},
        )


def furnish(scene):
    scene.add(ADAM, BOB, ADMIN, password="{PLAIN}secret")
    with scene.store.change("test") as change:
        change.add_mailbox(SLOW, password="{MD5-CRYPT}$1$abc$iCQ2D3nhptRYi27fDYv2s1")
        change.set_scram(ADAM, KEYS)
        change.set_scram(ADMIN, KEYS)
        change.add_alias("office@example1.com", [ADAM])
    scene.store.renew()


@pytest.fixture
def scene(store, store_url, key_file):
    scene = Everything(store, store_url, key_file, rules=RULES)
    furnish(scene)
    yield scene
    scene.end()


@pytest.fixture
def client(scene):
    return hello(scene.login)


def hello(server):
    client = Client(server)
    client.greeting = client.heard()
    client.say(HELLO)
    return client


class Login:
    """One login by SCRAM over a connection."""

    def __init__(self, client, number=1, user=ADAM, password="secret", mechanism="SCRAM-SHA-256"):
        self.client, self.number, self.mechanism = client, number, mechanism
        self.scram = ScramClient([mechanism], user, password)
        self.first = None

    def begin(self, more="", service="imap"):
        """Say the first message; the server's first one is kept."""
        resp = b64encode(self.scram.get_client_first().encode()).decode()
        heard = self.client.say(f"AUTH\t{self.number}\t{self.mechanism}\tservice={service}{more}\tresp={resp}\n")
        self.first = payload(heard, self.number)
        return self

    def prove(self):
        """Say the proof; return what is heard."""
        self.scram.set_server_first(self.first)
        proof = b64encode(self.scram.get_client_final().encode()).decode()
        return self.client.say(f"CONT\t{self.number}\t{proof}\n")


def payload(line, number):
    word, heard_number, data = line.rstrip("\n").split("\t")
    assert (word, heard_number) == ("CONT", str(number))
    return b64decode(data).decode()


def test_scram_is_offered_behind_the_others_and_without_the_word_plaintext(client):
    offers = [line for line in client.greeting.splitlines() if line.startswith("MECH")]
    assert offers == [
        "MECH\tPLAIN\tplaintext",
        "MECH\tLOGIN\tplaintext",
        "MECH\tSCRAM-SHA-256\tmutual-auth",
        "MECH\tSCRAM-SHA-1\tmutual-auth",
    ]


def test_scram_is_not_known_where_it_is_not_offered(store, store_url, key_file):
    scene = Scene(store, store_url, key_file)
    client = hello(scene.login)
    assert "SCRAM" not in client.greeting
    client.say("AUTH\t1\tSCRAM-SHA-256\tservice=imap\n")
    assert client.closed
    scene.end()


@pytest.mark.parametrize("mechanism", scram.NAMES)
def test_the_final_message_comes_with_ok_where_the_client_takes_that(scene, client, mechanism):
    login = Login(client, mechanism=mechanism).begin(FINAL)
    word, number, user, resp = login.prove().rstrip("\n").split("\t")
    assert (word, number, user) == ("OK", "1", f"user={ADAM}")
    login.scram.set_server_final(b64decode(resp.removeprefix("resp=")).decode())
    assert len(scene.pending) == 1
    assert scene.counters.auth["imap", mechanism, "accepted"] == 1


@pytest.mark.parametrize("mechanism", scram.NAMES)
def test_the_final_message_is_a_challenge_for_the_others(scene, client, mechanism):
    login = Login(client, mechanism=mechanism).begin()
    final = payload(login.prove(), 1)
    login.scram.set_server_final(final)
    assert len(scene.pending) == 0
    assert client.say("CONT\t1\t\n") == f"OK\t1\tuser={ADAM}\n"
    assert len(scene.pending) == 1


def test_the_final_message_is_answered_by_nothing_else(scene, client):
    login = Login(client).begin()
    login.prove()
    assert client.say("CONT\t1\tAAAA\n") == "FAIL\t1\n"
    assert len(scene.pending) == 0


def test_an_account_that_was_closed_before_the_ok(scene, client):
    login = Login(client).begin()
    login.prove()
    with scene.store.change("test") as change:
        change.set_mailbox(ADAM, state=State.CLOSED)
    scene.store.renew()
    assert client.say("CONT\t1\t\n") == f"FAIL\t1\tuser={ADAM}\tcode=user_disabled\n"
    assert len(scene.pending) == 0


def test_a_password_that_was_changed_before_the_proof(scene, client):
    login = Login(client).begin(FINAL)
    with scene.store.change("test") as change:
        change.set_password(ADAM, "{PLAIN}secret")
        change.set_scram(ADAM, keys.make("secret", keys.salts()))
    scene.store.renew()
    assert login.prove() == ""
    scene.clock.advance(2.1)
    assert client.heard() == f"FAIL\t1\tuser={ADAM}\n"


def test_without_an_initial_response(client):
    login = Login(client)
    assert client.say("AUTH\t1\tSCRAM-SHA-256\tservice=imap\n") == "CONT\t1\t\n"
    first = b64encode(login.scram.get_client_first().encode()).decode()
    login.first = payload(client.say(f"CONT\t1\t{first}\n"), 1)
    login.scram.set_server_first(login.first)
    proof = b64encode(login.scram.get_client_final().encode()).decode()
    login.scram.set_server_final(payload(client.say(f"CONT\t1\t{proof}\n"), 1))
    assert client.say("CONT\t1\t\n") == f"OK\t1\tuser={ADAM}\n"


def test_postfix_hears_the_final_message_as_a_challenge(scene):
    client = hello(scene.postfix)
    login = Login(client).begin("\tnologin", service="smtp")
    login.scram.set_server_final(payload(login.prove(), 1))
    assert client.say("CONT\t1\t\n") == f"OK\t1\tuser={ADAM}\n"
    assert len(scene.pending) == 0


@pytest.mark.parametrize("user", [ADAM, BOB, "nobody@example1.com", "no address"])
def test_a_wrong_proof_an_account_without_keys_and_nobody_hear_the_same_at_the_same_time(scene, client, user):
    password = "wrong" if user == ADAM else "secret"
    login = Login(client, user=user, password=password).begin(FINAL)
    assert login.first.endswith(",i=65536")
    assert len(login.first.partition(",s=")[2]) == len("AAAAAAAAAAAAAAAAAAAAAA==,i=65536")
    assert login.prove() == ""
    scene.clock.advance(1.9)
    assert client.heard() == ""
    scene.clock.advance(0.2)
    assert client.heard() == f"FAIL\t1\tuser={user}\n"
    assert scene.counters.auth["imap", "SCRAM-SHA-256", "refused"] == 1


def test_nobody_is_asked_with_the_same_salt_always_in_whatever_spelling(client):
    salts = [
        Login(client, number, user).begin().first.partition(",s=")[2]
        for number, user in enumerate(["nobody@example1.com", "Nobody@EXAMPLE1.com", "other@example1.com"], 1)
    ]
    assert salts[0] == salts[1] != salts[2]


def test_state_and_service_are_said_to_who_has_proved_the_password(scene, client):
    with scene.store.change("test") as change:
        change.set_mailbox(ADAM, state=State.NO_LOGIN, reason="unpaid")
    scene.store.renew()
    for number, password, reply in ((1, "secret", "\treason=unpaid"), (2, "wrong", "")):
        assert Login(client, number, password=password).begin(FINAL).prove() == ""
        scene.clock.advance(2.1)
        assert client.heard() == f"FAIL\t{number}\tuser={ADAM}{reply}\n"


def test_a_store_that_is_gone_is_temporary_at_each_step(scene, client, tmp_path):
    proving, postfix = Login(client).begin(FINAL), hello(scene.postfix)
    ending = Login(client, 2).begin()
    ending.prove()
    (tmp_path / "mailhooks.db").rename(tmp_path / "elsewhere.db")
    scene.store.renew()
    first = b64encode(Login(client).scram.get_client_first().encode()).decode()
    temporary = f"FAIL\t%s\tuser={ADAM}\tcode=temp_fail\n"
    assert client.say(f"AUTH\t3\tSCRAM-SHA-1\tservice=imap\tresp={first}\n") == temporary % 3
    assert proving.prove() == temporary % 1
    assert client.say("CONT\t2\t\n") == temporary % 2
    assert postfix.say(f"AUTH\t1\tSCRAM-SHA-1\tservice=smtp\tresp={first}\n") == ""
    assert postfix.closed


def test_messages_that_are_no_scram(scene, client):
    assert client.say(f"AUTH\t1\tSCRAM-SHA-1\tservice=imap\tresp={plain(ADAM, 'secret')}\n") == "FAIL\t1\n"
    Login(client, 2).begin()
    assert client.say(f"CONT\t2\t{b64encode(b'c=biws').decode()}\n") == "FAIL\t2\n"
    Login(client, 3).begin()
    assert client.say("CONT\t3\t%%%\n").startswith("FAIL\t3\tcode=invalid_base64")
    assert scene.counters.auth["imap", "SCRAM-SHA-1", "invalid"] == 1
    assert scene.counters.auth["imap", "SCRAM-SHA-256", "invalid"] == 2


def test_several_logins_at_once_and_one_cancelled(client):
    one, two, three = (Login(client, number).begin(FINAL) for number in (1, 2, 3))
    assert client.say("CANCEL\t2\n") == ""
    assert three.prove().startswith(f"OK\t3\tuser={ADAM}\tresp=")
    assert two.prove() == "FAIL\t2\treason=Authentication request timed out\n"
    assert one.prove().startswith(f"OK\t1\tuser={ADAM}\tresp=")


def test_ok_of_plain_has_no_resp(client):
    resp = plain(ADAM, "secret")
    assert client.say(f"AUTH\t1\tPLAIN\tservice=imap{FINAL}\tresp={resp}\n") == f"OK\t1\tuser={ADAM}\n"


def test_a_client_sees_a_server_without_the_keys(client):
    login = Login(client).begin(FINAL)
    login.prove()
    with pytest.raises(ScramException):
        login.scram.set_server_final("v=AAAA")


def test_every_wrong_proof_is_a_guess(store, store_url, key_file):
    scene = Everything(store, store_url, key_file, throttle=Settings(pair_guesses=2))
    furnish(scene)
    scene.throttling.renewed()
    client = hello(scene.login)
    rip = "\trip=203.0.113.9"
    for number in (1, 2):
        assert Login(client, number, password="wrong").begin(FINAL + rip).prove() == ""
        scene.clock.advance(8.1)
        assert client.heard() == f"FAIL\t{number}\tuser={ADAM}\n"
    assert Login(client, 3).begin(FINAL + rip).prove() == ""
    scene.clock.advance(8.1)
    assert client.heard() == f"FAIL\t3\tuser={ADAM}\tcode=temp_fail\n"
    scene.end()


# Other names


def test_ok_says_by_which_name_somebody_logged_in(client):
    def auth(number, login):
        return client.say(f"AUTH\t{number}\tPLAIN\tservice=imap\tresp={plain(login, 'secret')}\n")

    assert auth(1, "Office@example1.com") == f"OK\t1\tuser={ADAM}\toriginal_user=office@example1.com\n"
    assert auth(2, "adam+x@example1.com") == f"OK\t2\tuser={ADAM}\toriginal_user=adam+x@example1.com\n"
    assert auth(3, "ADAM@example1.com") == f"OK\t3\tuser={ADAM}\n"


def test_the_salt_tells_of_no_name_that_it_is_another_one_of_an_account(scene, client):
    """One salt for an account's address, its extensions and its aliases told that it exists."""
    names = [ADAM, "adam+x@example1.com", "office@example1.com", f"{BOB}*office@example1.com"]
    names += ["nobody@example1.com", "nobody+x@example1.com", "nobody@example1.com*adam@example1.com"]
    logins = [Login(client, number, name).begin(FINAL) for number, name in enumerate(names, 1)]
    assert len({login.first.partition(",s=")[2] for login in logins}) == len(names)
    assert [login.prove()[:2] for login in logins] == ["OK", "", "", "", "", "", ""]
    scene.clock.advance(2.1)
    assert client.heard() == "".join(f"FAIL\t{number}\tuser={name}\n" for number, name in enumerate(names[1:], 2))


def test_a_master_is_let_in_when_that_is_in_the_audit_log(scene, client):
    assert client.say(f"AUTH\t1\tPLAIN\tservice=imap\tresp={plain(f'{ADAM}*{ADMIN}', 'secret')}\n") == ""
    scene.clock.wait()
    assert client.heard() == f"OK\t1\tuser={ADAM}\tauth_user={ADMIN}\n"
    entry = next(iter(scene.store.audit(1)))
    assert (entry.who, entry.action, entry.subject, entry.detail) == (ADMIN, "login as", ADAM, f"imap by {ADMIN}")
    assert len(scene.pending) == 1


@pytest.mark.parametrize("more", ["", FINAL])
def test_a_master_by_scram(scene, client, more):
    login = Login(client, user=f"{ADAM}*{ADMIN}").begin(more)
    assert login.prove() == ""
    scene.clock.wait()
    heard = client.heard()
    if not more:
        login.scram.set_server_final(payload(heard, 1))
        heard = client.say("CONT\t1\t\n")
    assert heard.startswith(f"OK\t1\tuser={ADAM}\tauth_user={ADMIN}")


def test_a_master_by_a_slow_hash(scene, client):
    client.say(f"AUTH\t1\tPLAIN\tservice=imap\tresp={plain(SLOW, 'secret', ADAM)}\n")
    scene.clock.wait(2)
    assert client.heard() == f"OK\t1\tuser={ADAM}\tauth_user={SLOW}\n"


def test_a_master_who_cannot_be_written_down_is_not_let_in(scene, client):
    scene.writer.stop()
    assert client.say(f"AUTH\t1\tPLAIN\tservice=imap\tresp={plain(f'{ADAM}*{ADMIN}', 'secret')}\n") == (
        f"FAIL\t1\tuser={ADAM}*{ADMIN}\tcode=temp_fail\n"
    )
    client.say(f"AUTH\t2\tPLAIN\tservice=imap\tresp={plain(f'{BOB}*{SLOW}', 'secret')}\n")
    scene.clock.wait_until(client.transport.value)
    assert client.heard() == f"FAIL\t2\tuser={BOB}*{SLOW}\tcode=temp_fail\n"
    assert len(scene.pending) == 0
    assert scene.authenticator.waiting == 0
    assert scene.login.pending == 0


def test_a_master_does_not_send(scene):
    client = hello(scene.postfix)
    assert client.say(f"AUTH\t1\tPLAIN\tservice=smtp\tresp={plain(f'{ADAM}*{ADMIN}', 'secret')}\n") == ""
    scene.clock.advance(2.1)
    assert client.heard() == f"FAIL\t1\tuser={ADAM}*{ADMIN}\tcode=authz_fail\n"
