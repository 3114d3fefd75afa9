"""How a password comes in: from stdin, from a prompt on a terminal, or made here. Never as an argument.

An argument would stand in the process list and in the shell's history. Without a terminal nothing asks.
"""

from __future__ import annotations

import secrets
import sys
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import click

from mailhooks.cli.errors import BadInput, say

if TYPE_CHECKING:
    from collections.abc import Mapping

# Bytes of a password: more does not fit into the base64 line that an SMTP client sends (RFC 4954 section 4.3).
MAX_PASSWORD = 1000
MAX_HASH = 4000  # bytes of a hash in any scheme
# 20 letters and digits that are not mistaken for one another: 98 bits.
GENERATED_GROUPS = 5
GENERATED_GROUP = 4
ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"

password_stdin = click.option(
    "--password-stdin",
    is_flag=True,
    help=f"Read the password from stdin: one line of UTF-8, at most {MAX_PASSWORD} bytes, no NUL.",
)
hash_stdin = click.option("--hash-stdin", is_flag=True, help="Read a {SCHEME}hash from stdin: one line.")
generate = click.option("--generate", is_flag=True, help="Make a password and print it once.")
no_password = click.option("--no-password", is_flag=True, help="No password: the account only receives.")


def one_way(ways: Mapping[str, bool]) -> str | None:
    """Return the one of the options above that was given, or None. Raises UsageError when there are several."""
    names = [name for name, is_given in ways.items() if is_given]
    if len(names) > 1:
        flags = " and ".join(f"--{name.replace('_', '-')}" for name in names)
        raise click.UsageError(f"{flags} exclude each other: give one of them")
    return names[0] if names else None


@dataclass(frozen=True)
class Credential:
    """A hash to store, and the password behind it when it was made here."""

    hash: str | None = field(repr=False)  # None: no password
    made: str | None = field(default=None, repr=False)
    scram: dict[str, str] = field(default_factory=dict, repr=False)  # SCRAM keys by mechanism

    def reveal(self) -> None:
        """Print a password that was made here, once, when its hash is stored."""
        if self.made is not None:
            click.echo(self.made)


def take(way: str | None, *, minimum: int, what: str, scram: bool = False) -> Credential:
    """Take a credential in the way that one_way() chose; without one by asking, where somebody can be asked.

    ``scram`` makes SCRAM keys beside the hash; nothing can be made of a hash that was brought along.
    """
    from mailhooks import passwords  # noqa: PLC0415 - loads the hash libraries, which most commands do without

    if way == "no_password" or (way is None and not can_ask()):
        return Credential(None)
    if way == "hash_stdin":
        try:
            return Credential(passwords.check_hash(read_only_line("hash", MAX_HASH)))
        except passwords.HashError as error:
            raise BadInput(str(error)) from error
    if way == "generate":
        return make(scram=scram)
    password = read_only_line("password", MAX_PASSWORD) if way == "password_stdin" else ask(what)
    return of(checked(password, minimum), scram=scram)


def make(*, scram: bool = False) -> Credential:
    """Make a password and its credential."""
    password = generated()
    return replace(of(password, scram=scram), made=password)


def of(password: str, *, scram: bool = False) -> Credential:
    """Return the credential of a password. Raises BadInput."""
    from mailhooks import passwords  # noqa: PLC0415 - loads the hash libraries, which most commands do without

    try:
        hashed = passwords.hash_password(password)
    except passwords.PasswordError as error:
        raise BadInput(str(error)) from error
    return Credential(hashed, scram=_scram(password) if scram else {})


def _scram(password: str) -> dict[str, str]:
    from mailhooks.passwords.scram import make, salts  # noqa: PLC0415 - for password changes only

    keys = make(password, salts())
    if not keys:
        say("SCRAM cannot be used with this password: it holds characters that SASLprep (RFC 4013) does not allow")
    return keys


def read_password(way: str | None, *, what: str) -> str:
    """Return a password that has to be kept readable (for a relay host)."""
    if way == "password_stdin":
        return checked(read_only_line("password", MAX_PASSWORD), 1)
    if can_ask():
        return checked(ask(what), 1)
    raise BadInput("there is no terminal to ask for the password on: give it with --password-stdin")


def can_ask() -> bool:
    """Whether there is a person to ask."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(what: str) -> str:
    """Ask twice on the terminal, without showing what is typed."""
    answer: str = click.prompt(f"Password for {what}", hide_input=True, confirmation_prompt=True, err=True)
    return answer


def checked(password: str, minimum: int) -> str:
    """Return the password when it can be used. Raises BadInput, which does not repeat it."""
    if not password:
        raise BadInput("the password is empty")
    if len(password) < minimum:
        raise BadInput(f"the password has fewer than {minimum} characters ([auth] min_password_length)")
    if "\0" in password:
        raise BadInput("the password contains a NUL character, which no mail program can send")
    if len(password.encode(errors="surrogatepass")) > MAX_PASSWORD:
        raise BadInput(f"the password has more than {MAX_PASSWORD} bytes")
    return password


def read_only_line(what: str, limit: int) -> str:
    """Read stdin to its end, which is one line: of several, nobody knows which was meant. Raises BadInput."""
    if sys.stdin.isatty():
        raise BadInput(f"stdin is a terminal: pipe the {what} in, or leave the option away to be asked")
    line = sys.stdin.buffer.read(limit + 3)  # and its end of line
    line = line.removesuffix(b"\n").removesuffix(b"\r")
    if b"\n" in line:
        raise BadInput(f"there are several lines on stdin: expected the {what} alone, in one")
    if len(line) > limit:
        raise BadInput(f"the {what} on stdin has more than {limit} bytes")
    if not line:
        raise BadInput(f"there is no {what} on stdin")
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise BadInput(f"the {what} on stdin is not UTF-8") from error


def generated() -> str:
    """Make a password that can be read out over the telephone."""
    return "-".join("".join(secrets.choice(ALPHABET) for _ in range(GENERATED_GROUP)) for _ in range(GENERATED_GROUPS))
