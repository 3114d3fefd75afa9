"""Scenario 43: what users move into and out of Junk is learned by the whole site; no move fails because of it."""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Iterator

import pytest
from server import Server, header, until

FLAGGED = b"Subject: %s\r\nX-Spam-Flag: YES\r\nMessage-ID: <%s@sender.test>\r\n\r\nBuy %s watches now, honestly.\r\n"


@pytest.fixture(scope="module")
def server(machine) -> Iterator[Server]:
    with Server(machine) as running:
        running.furnish()
        yield running


def learned(server: Server) -> tuple[int, int]:
    """Return how many messages the site's Bayes knows as spam and as ham."""
    said = server.machine.run(
        "sa-learn",
        "--dump",
        "magic",
        f"--siteconfigpath={server.root}/run/mailhooks-stack/spamassassin",
        f"--dbpath={server.root}/var/lib/mailhooks/bayes/bayes",
    ).stdout
    found = {kind: int(count) for count, kind in re.findall(r"(\d+)\s+\d+\s+non-token data: (nspam|nham)", said)}
    return found.get("nspam", 0), found.get("nham", 0)


def put(server: Server, folder: str, *names: str, user: str = "adam@example1.com") -> None:
    imap = server.imap(user)
    for name in names:
        assert imap.append(folder, None, None, FLAGGED % ((name.encode(),) * 3))[0] == "OK"
    imap.logout()


def move(server: Server, name: str, source: str, target: str, *, how: str = "MOVE") -> None:
    imap = server.imap("adam@example1.com")
    imap.create(target)
    assert imap.select(source)[0] == "OK"
    (ids,) = imap.search(None, "SUBJECT", name)[1]
    assert ids
    imap._simple_command(how, ids.decode(), target)
    imap.logout()
    assert name in server.subjects("adam@example1.com", target)


def test_into_junk_is_spam_by_move_and_by_copy(server: Server):
    put(server, "INBOX", "alpha", "beta")
    assert learned(server) == (0, 0)
    move(server, "alpha", "INBOX", "Junk")
    until("alpha is learned", lambda: learned(server) == (1, 0))
    move(server, "beta", "INBOX", "Junk", how="COPY")
    until("beta is learned", lambda: learned(server) == (2, 0))


def test_out_of_junk_is_ham_except_to_trash(server: Server):
    put(server, "Junk", "gamma", "delta")
    move(server, "gamma", "Junk", "Trash")
    move(server, "delta", "Junk", "Work")  # it bears X-Spam-Flag, and stays where its owner puts it
    until("delta is learned", lambda: learned(server) == (2, 1))
    move(server, "alpha", "Junk", "INBOX")  # learned as spam before: learned anew
    until("alpha is learned anew", lambda: learned(server) == (1, 2))


def test_between_other_folders_nothing_is_learned(server: Server):
    put(server, "INBOX", "epsilon")
    move(server, "epsilon", "INBOX", "Work")
    assert learned(server) == (1, 2)


def test_without_spamd_the_move_is_done_all_the_same(server: Server):
    assert server.process is not None
    put(server, "INBOX", "zeta")
    os.kill(server.process.pid, signal.SIGSTOP)  # or it would restart spamd at once
    try:
        for pid in server.pids("spamd"):
            os.kill(pid, signal.SIGKILL)
        move(server, "zeta", "INBOX", "Junk")
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
    until("spamd is back", lambda: server._greets("spamd"))
    assert learned(server) == (1, 2)


def test_what_was_learned_survives_a_restart(server: Server):
    assert server.stop() == 0
    server.start()
    assert learned(server) == (1, 2)
    put(server, "INBOX", "theta")
    move(server, "theta", "INBOX", "Junk")
    until("theta is learned", lambda: learned(server) == (2, 2))


def test_spamd_starts_with_the_rules_that_were_fetched(server: Server):
    assert server.process is not None
    fresh = server.host("var/lib/mailhooks/spam-rules/rules-1")
    fresh.mkdir()
    shutil.copy(server.machine.root / "usr/share/spamassassin/10_default_prefs.cf", fresh)
    (fresh / "50_own.cf").write_text("header FETCHED_RULE Subject =~ /fetched/\nscore FETCHED_RULE 0.2\n")
    fresh.with_name("current").symlink_to(fresh.name)
    for pid in server.pids("spamd"):
        os.kill(pid, signal.SIGKILL)
    until("spamd is back", lambda: "spamd (pid" in server.log and server._greets("spamd"))
    server.deliver("fetched", "adam@example1.com")
    server.flush()
    assert "FETCHED_RULE" in header(server.arrives("fetched", "adam@example1.com"), "X-Spam-Status")
