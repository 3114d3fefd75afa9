"""Changes of the Sieve scripts that are kept in the store."""

from __future__ import annotations

from mailhooks.store import ledger
from mailhooks.store.errors import NotFound, Refused
from mailhooks.store.mailbox_changes import MailboxChanges
from mailhooks.store.model import SieveScript

MAX_SCRIPTS = 50  # of one account
MAX_SCRIPT_BYTES = 1_000_000  # what Pigeonhole itself takes (sieve_max_script_size); it refuses longer ones at delivery
MAX_NAME = 128  # characters, as in ManageSieve (RFC 5804, 1.6)
ACTIVE = "active"  # under this name Dovecot asks for whichever script is active


class SieveChanges(MailboxChanges):
    """The part of a change that is about Sieve scripts. Whether a script compiles is not asked here."""

    def put_sieve(self, address: str, name: str, script: str, *, active: bool | None = None) -> SieveScript:
        """Store a script under a name, in place of an older one. Raises Refused, NotFound.

        ``active`` None: as the older one was, and the first script of an account is active. The id is always a new
        one, since Dovecot asks for the text only when the id is not the one it has compiled.
        """
        owner = self._require_mailbox(address).address
        _check_name(name)
        if len(script.encode()) > MAX_SCRIPT_BYTES:
            raise Refused(f"the script has more than {MAX_SCRIPT_BYTES} bytes, which Dovecot would not run")
        if "\0" in script:
            raise Refused("the script holds a NUL: expected text")
        scripts = {each.name: each for each in self._store.sieve_scripts(owner)}
        old = scripts.get(name)
        if old is None and len(scripts) >= MAX_SCRIPTS:
            raise Refused(f"{owner} has {len(scripts)} scripts: at most {MAX_SCRIPTS}, remove one")
        if active is None:
            active = old.active if old else not scripts
        self._run("DELETE FROM sieve_script WHERE address = ? AND name = ?", (owner, name))
        if active:
            self._rest(owner)
        number = self._run(_PUT, (owner, name, int(active), script, self._now)).lastrowid
        self._record("sieve put", owner, name)
        return SieveScript(number or 0, owner, name, active, script, self._now)

    def activate_sieve(self, address: str, name: str | None) -> None:
        """Let one script be the one that runs, or none. Raises NotFound."""
        owner = self._require_mailbox(address).address
        self._rest(owner)
        if name is not None:
            sql = "UPDATE sieve_script SET active = 1 WHERE address = ? AND name = ?"
            self._require(self._run(sql, (owner, name)).rowcount, owner, name)
        self._record("sieve activate", owner, name or "none")

    def remove_sieve(self, address: str, name: str) -> None:
        """Forget a script, also when it is the active one. Raises NotFound."""
        owner = self._require_mailbox(address).address
        sql = "DELETE FROM sieve_script WHERE address = ? AND name = ?"
        self._require(self._run(sql, (owner, name)).rowcount, owner, name)
        self._record("sieve remove", owner, name)

    def _rest(self, owner: str) -> None:
        self._run("UPDATE sieve_script SET active = 0 WHERE address = ? AND active = 1", (owner,))

    def _require(self, found: int, owner: str, name: str) -> None:
        if not found:
            raise NotFound(f"{owner} has no script {name!r}")


def _check_name(name: str) -> None:
    ledger.line("name of the script", name)
    if not name.strip() or len(name) > MAX_NAME or "/" in name:
        raise Refused(f"a script's name has 1 to {MAX_NAME} characters and no slash")
    if name == ACTIVE:
        raise Refused(f"a script cannot be named {ACTIVE!r}: Dovecot asks by that name for whichever is active")


_PUT = "INSERT INTO sieve_script (address, name, active, script, updated) VALUES (?, ?, ?, ?, ?)"
