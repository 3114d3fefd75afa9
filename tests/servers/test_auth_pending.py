from __future__ import annotations

import pytest

from mailhooks.servers.pending import LIFETIME, Login, PendingLogins

COOKIE = "f46743116431d9df95a7a75d040f149d"
ADAM = Login("adam@example1.com", "imap")
BOB = Login("bob@example1.com", "imap")


@pytest.fixture
def table():
    return PendingLogins()


def test_a_login_is_collected_once(table):
    connection = table.connection(10662, COOKIE)
    table.add(connection, 1, ADAM, 0.0)
    assert table.take(table.connection(10662, COOKIE), 1, 1.0) == ADAM
    assert table.take(connection, 1, 1.0) is None
    assert len(table) == 0


@pytest.mark.parametrize(
    ("cpid", "cookie", "auth_id"),
    [(10663, COOKIE, 1), (10662, COOKIE.replace("f", "e"), 1), (10662, "", 1), (10662, COOKIE, 2)],
)
def test_another_process_cookie_or_id_gets_nothing_and_spends_nothing(table, cpid, cookie, auth_id):
    connection = table.connection(10662, COOKIE)
    table.add(connection, 1, ADAM, 0.0)
    assert table.take(table.connection(cpid, cookie), auth_id, 1.0) is None
    assert table.take(connection, 1, 1.0) == ADAM


def test_two_processes_of_one_pid_do_not_meet(table):
    # Dovecots in two containers share one mailhooks: each has its own process 42.
    here, there = table.connection(42, COOKIE), table.connection(42, COOKIE[::-1])
    table.add(here, 1, ADAM, 0.0)
    table.add(there, 1, BOB, 0.0)
    assert table.take(there, 1, 0.0) == BOB
    assert table.take(here, 1, 0.0) == ADAM


def test_cancel_drops_one_login(table):
    connection = table.connection(1, COOKIE)
    table.add(connection, 1, ADAM, 0.0)
    table.add(connection, 2, BOB, 0.0)
    assert table.drop(connection, 1) == ADAM
    assert table.drop(connection, 7) is None
    assert table.take(connection, 1, 0.0) is None
    assert table.take(connection, 2, 0.0) == BOB


def test_the_end_of_a_connection_drops_its_logins_and_no_others(table):
    here, there = table.connection(1, COOKIE), table.connection(2, COOKIE)
    for auth_id in (1, 2, 3):
        table.add(here, auth_id, ADAM, 0.0)
    table.add(there, 1, BOB, 0.0)
    table.drop_connection(here)
    table.drop_connection(here)
    assert len(table) == 1
    assert table.take(there, 1, 0.0) == BOB


def test_a_login_expires(table):
    connection = table.connection(1, COOKIE)
    table.add(connection, 1, ADAM, 100.0)
    table.add(connection, 2, BOB, 101.0)
    assert table.take(connection, 1, 100.0 + LIFETIME) is None
    assert table.take(connection, 2, 100.0 + LIFETIME) == BOB


def test_the_table_is_bounded_and_the_oldest_goes_first():
    table = PendingLogins(limit=3)
    connection = table.connection(1, COOKIE)
    for auth_id in range(1, 6):
        table.add(connection, auth_id, ADAM, 0.0)
    assert len(table) == 3
    assert [table.take(connection, auth_id, 0.0) for auth_id in range(1, 6)] == [None, None, ADAM, ADAM, ADAM]


def test_an_id_used_again_replaces_its_login(table):
    connection = table.connection(1, COOKIE)
    table.add(connection, 1, ADAM, 0.0)
    table.add(connection, 1, BOB, 140.0)
    assert len(table) == 1
    assert table.take(connection, 1, 160.0) == BOB
