"""The commands that the pages show are run, page by page, on a store with the accounts that they speak of."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Shell
from pages import WRITTEN, Shown, shown

# What needs a daemon, another server or an installed machine; scenarios and their own tests run these.
ELSEWHERE = {
    ("up",),
    ("serve",),
    ("ready",),
    ("doctor",),
    ("config",),
    ("import",),
    ("throttle",),
    ("relay", "check"),
    ("quota", "recount"),
}
USERS = ("adam", "bob", "newsletter", "robot")
SCRIPT = 'require "vacation";\nvacation "away";\n'
PAGES = [page for page in WRITTEN if list(shown(page))]


def is_run(command: Shown) -> bool:
    return command.is_whole and not any(command.arguments[: len(start)] == start for start in ELSEWHERE)


@pytest.fixture
def furnished(shell: Shell, tmp_path: Path) -> Shell:
    for domain in ("example.com", "example1.com"):
        furnish(shell, domain)
    (tmp_path / "backups").mkdir()
    return shell


def furnish(shell: Shell, domain: str) -> None:
    """Make a domain anew, with its users and a list."""
    shell.run("domain", "remove", domain, "--force")
    shell.ok("domain", "add", domain)
    for user in USERS:
        shell.ok("user", "add", f"{user}@{domain}", "--hash-stdin", given="{PLAIN}secret\n")
    shell.ok("alias", "add", f"team@{domain}", f"adam@{domain}")


def here(word: str, directory: Path) -> str:
    """Put what a command would write on a real machine into the test's directory."""
    backups = directory / "backups"
    if word.startswith(("/var/backups/mailhooks/", "/backups/", "mailhooks-2")) and (
        made := sorted(backups.glob("*.db"))
    ):
        return str(made[-1])
    if word in ("/var/backups/mailhooks", "/backups"):
        return str(backups)
    return word.replace("sqlite:////root/practice/", f"sqlite:///{directory}/state/practice-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_commands_of_a_page_do_what_it_shows(furnished: Shell, tmp_path: Path, page: Path):
    for command in filter(is_run, shown(page)):
        arguments = [here(word, tmp_path) for word in command.arguments]
        if arguments[:2] == ["domain", "add"]:
            furnish(furnished, arguments[2])  # the page takes the users for granted
            continue
        if arguments[:2] in (["user", "add"], ["alias", "add"]):
            furnished.run(arguments[0], "remove", arguments[2])
        given = SCRIPT if command.stdin.endswith(".sieve") else "sesame-Q7\n"
        asks = "--username" in arguments or arguments[:2] == ["user", "add"]
        if asks and not {"--generate", "--password-stdin", "--no-password"} & set(arguments):
            arguments.append("--password-stdin")  # what it would ask a person
        result = furnished.run(*arguments, given=given)
        assert result.exit_code == 0, (arguments, result.output)
