"""New rules for SpamAssassin: the real sa-update with files of ours, and without a network; and the schedule."""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import pwd
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from mailhooks.stack import spam_update
from mailhooks.stack.programs import spam_update as program

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes spamd's user")

RULE = "header OWN_{0} Subject =~ /{0}/\nscore OWN_{0} 0.2\n"


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A directory of spamd's user, which pytest's own closed ones are not."""
    path = Path("/var/tmp") / f"mailhooks-{os.getpid()}-rules"
    path.mkdir()
    entry = pwd.getpwnam("debian-spamd")
    os.chown(path, entry.pw_uid, entry.pw_gid)
    yield path
    subprocess.run(["rm", "-rf", str(path)], check=True)


def channel(home: Path, number: int, text: str) -> tuple[str, ...]:
    """Make what the rules' makers publish, and return how sa-update takes it from a file."""
    path = home / f"{number}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        data = f"# UPDATE version {number}\n{text}".encode()
        entry = tarfile.TarInfo("50_own.cf")
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    for kind in ("sha256", "sha512"):
        digest = hashlib.new(kind, path.read_bytes()).hexdigest()
        path.with_name(f"{path.name}.{kind}").write_text(f"{digest}  {path.name}\n")
    return "--install", str(path), "--nogpg"


def run(home: Path, *options: str, before: tuple[str, ...] = ()) -> tuple[int, str]:
    script = home / "update.py"
    script.write_text(Path(program.__file__).read_text())
    python = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable
    user = ("setpriv", "--reuid=debian-spamd", "--clear-groups", "env", f"HOME={home}")
    command = (*before, *user, python, "-I", str(script), str(home), "/etc/spamassassin", *options)
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    return done.returncode, done.stdout + done.stderr


def rules(home: Path) -> str:
    return "".join(path.read_text() for path in (home / "current").rglob("50_own.cf"))


def test_new_rules_are_put_in_place_once_and_bad_ones_never(home: Path):
    first = channel(home, 1001, RULE.format("FIRST"))
    assert run(home, *first) == (program.CHANGED, "")
    assert "OWN_FIRST" in rules(home)
    code, said = run(home, *channel(home, 1002, "no such rule\nbody X /(/\n"))
    assert (code, said.startswith("no new rules for SpamAssassin: ")) == (program.LATER, True), said
    assert len(said.splitlines()) == 1
    assert "OWN_FIRST" in rules(home)
    assert run(home, *channel(home, 1003, RULE.format("THIRD")))[0] == program.CHANGED
    assert "OWN_THIRD" in rules(home)
    assert len(list(home.glob("rules-*"))) == 1
    assert run(home, *channel(home, 1003, RULE.format("THIRD")))[0] == program.SAME


def test_without_a_network_it_is_tried_later(home: Path):
    code, said = run(home, before=("unshare", "--net"))
    assert (code, len(said.splitlines())) == (program.LATER, 1), said


def test_never_two_at_once(home: Path):
    with (home / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert run(home, before=("unshare", "--net")) == (program.SAME, "")


# --- the schedule -------------------------------------------------------------------------------------------------


class Reactor(Clock):
    """A clock that notes what is started."""

    def __init__(self) -> None:
        super().__init__()
        self.started = []

    def spawnProcess(self, protocol, *_arguments, **_options):  # noqa: N802 - Twisted's
        self.started.append(protocol)
        return type("Transport", (), {"pid": 0})()

    def end(self, code: int) -> None:
        reason = ProcessDone(0) if code == 0 else ProcessTerminated(code)
        self.started[-1].processEnded(Failure(reason))


def test_daily_and_later_and_later_while_it_fails():
    reactor, news = Reactor(), []
    update = spam_update.SpamUpdate(reactor, ["/bin/true"], {}, lambda: news.append(reactor.seconds()))
    update.start()
    reactor.advance(spam_update.FIRST_SECONDS[0] - 1)
    assert not reactor.started  # the start is left alone
    reactor.advance(spam_update.FIRST_SECONDS[1])
    assert len(reactor.started) == 1
    update.now()
    reactor.advance(10 * spam_update.DAY)
    assert len(reactor.started) == 1  # it is still at work
    reactor.end(program.LATER)
    for wait in (spam_update.FIRST_RETRY, 2 * spam_update.FIRST_RETRY, 4 * spam_update.FIRST_RETRY):
        before = len(reactor.started)
        reactor.advance(wait - 1)
        assert len(reactor.started) == before
        reactor.advance(wait * spam_update.JITTER + 1)
        assert len(reactor.started) == before + 1
        reactor.end(program.LATER)
    assert news == []
    reactor.advance(9 * spam_update.FIRST_RETRY)
    reactor.end(program.CHANGED)
    assert len(news) == 1
    before = len(reactor.started)
    reactor.advance(spam_update.DAY - 1)
    assert len(reactor.started) == before
    reactor.advance(spam_update.DAY * spam_update.JITTER + 1)
    reactor.end(program.SAME)
    assert len(news) == 1
    update.stop()
    reactor.advance(10 * spam_update.DAY)
    assert len(reactor.started) == before + 1
