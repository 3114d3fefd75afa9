"""Scenario 11: the flat files of the old image, every kind of line, and then scenario 1 with those users."""

from __future__ import annotations

import pytest
from server import Q, Server

USERS = """\
adam@example1.com:{SHA512-CRYPT}%(sha512)s:5000:5000::/var/mail/example1.com/adam::userdb_quota_rule=*:storage=1G
bob@example1.com:{BLF-CRYPT}%(bcrypt)s::::::
carol@example1.com:{SSHA512}%(ssha)s::::::
bob@example2.com:{PLAIN}%(plain)s::::::
"""
ALIASES = """\
# the manual's example
office@example1.com   adam@example1.com
team@example1.com     adam@example1.com, bob@example1.com,
                      carol@example1.com

@example2.com         bob@example2.com
"""


@pytest.fixture(scope="module")
def server(machine):
    with Server(machine) as running:
        seed = running.host("seed")
        seed.mkdir()
        hashes = {
            name: machine.run("doveadm", "pw", "-s", scheme, "-p", Q).stdout.strip().partition("}")[2]
            for name, scheme in (
                ("sha512", "SHA512-CRYPT"),
                ("bcrypt", "BLF-CRYPT"),
                ("ssha", "SSHA512"),
                ("plain", "PLAIN"),
            )
        }
        (seed / "users").write_text(USERS % hashes)
        (seed / "aliases").write_text(ALIASES)
        (seed / "domains").write_text("example1.com .\nexample2.com .\n")
        (seed / "mailboxes").write_text(
            "".join(
                f"{each} x\n"
                for each in (
                    "adam@example1.com",
                    "bob@example1.com",
                    "carol@example1.com",
                    "bob@example2.com",
                    "adam@example2.com",
                )
            )
        )
        (seed / "relay-sasl").write_text("[smtp.example.net]:587 customer:relay-password\n")
        (seed / "main.cf").write_text(
            "myhostname = mail.example1.com\nvirtual_mailbox_domains = example1.com, example2.com\n"
        )
        running.mailhooks("import", "seed", str(running.root / "seed"))
        yield running


@pytest.mark.parametrize("login", ["adam@example1.com", "bob@example1.com", "carol@example1.com", "bob@example2.com"])
def test_old_hashes_log_in(server: Server, login: str):
    server.imap(login).logout()
    server.submit(login).quit()


def test_mailbox_without_a_hash_receives_only(server: Server):
    server.deliver("for one without a password", "adam@example2.com")
    with pytest.raises(Exception, match="AUTHENTICATIONFAILED"):
        server.imap("adam@example2.com")


@pytest.mark.parametrize(
    ("recipient", "readers"),
    [
        ("adam@example1.com", ["adam@example1.com"]),
        ("office@example1.com", ["adam@example1.com"]),
        ("team@example1.com", ["adam@example1.com", "bob@example1.com", "carol@example1.com"]),
        ("whoever@example2.com", ["bob@example2.com"]),
        ("Adam+Work@EXAMPLE1.com", ["adam@example1.com"]),
    ],
)
def test_mail_lands_where_it_should(server: Server, recipient: str, readers: list[str]):
    subject = f"to {recipient}"
    server.deliver(subject, recipient)
    for reader in readers:
        server.arrives(subject, reader)


def test_import_is_idempotent_and_export_gives_the_same_back(server: Server):
    seed = str(server.root / "seed")
    server.mailhooks("import", "seed", seed)
    first, second = server.root / "first", server.root / "second"
    server.mailhooks("export", "seed", str(first))
    server.mailhooks("import", "seed", str(first))
    server.mailhooks("export", "seed", str(second))
    for path in server.host("first").iterdir():
        assert (server.host("second") / path.name).read_bytes() == path.read_bytes()
        assert path.stat().st_mode & 0o777 == 0o600
