"""``mailhooks doctor`` as people and programs have it; and that no finding is without its plant and its pitfall."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from mailhooks import doctor
from mailhooks.cli import main

HERE = Path(__file__).parent
PAGE = HERE.parent.parent / "docs/doctor.rst"

# In a mount namespace of its own, so that the programs are gone for nobody else.
HIDE = 'for each in postconf doveconf dovecot; do mount --bind /dev/null "$(command -v $each)"; done; exec "$@"'

PROBLEMS = [each for area in doctor.AREAS for each in vars(area).values() if isinstance(each, doctor.Problem)]


def run(site, *arguments: str):
    return CliRunner().invoke(main, ["--config", str(site.root / "mailhooks.toml"), "doctor", "--no-dns", *arguments])


def test_nothing_wrong_is_0(site):
    result = run(site)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1].startswith("nothing wrong")


def test_something_wrong_is_1_and_says_what_why_and_how(site):
    socket = Path(site.config.listen.socketmap[0].split(":")[1])
    aside = socket.with_name("aside")
    socket.rename(aside)
    try:
        for_people, for_programs = run(site), run(site, "--json")
    finally:
        aside.rename(socket)
    assert (for_people.exit_code, for_programs.exit_code) == (1, 1)
    lines = for_people.stdout.splitlines()
    assert lines[0] == "mailhooks: listeners"
    assert lines[1] == f"  error: socketmap: {socket} does not exist  [socket-missing]"
    assert lines[2].startswith("    why:  ")
    assert any(line.startswith("    cure: systemctl start mailhooks") for line in lines)
    assert lines[-1].startswith("1 error")
    rows = [each for each in json.loads(for_programs.stdout) if each["severity"] != "note"]
    assert [set(each) for each in rows] == [{"id", "severity", "area", "what", "why", "cure"}]
    assert (rows[0]["id"], rows[0]["severity"]) == ("socket-missing", "error")


def test_wrong_usage_is_2(site):
    assert run(site, "--postfix", "/nowhere").exit_code == 2
    assert run(site, "--dovecot", "/etc").exit_code == 2


def test_without_a_postfix_or_dovecot_it_says_so(site):
    """On a machine with neither: one note each, no crash, and the rest is looked at."""
    program = [
        sys.executable,
        "-m",
        "mailhooks",
        "--config",
        site.root / "mailhooks.toml",
        "doctor",
        "--no-dns",
        "--json",
    ]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", HIDE, "sh", *program],
        cwd=HERE.parent.parent,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.stderr == ""
    rows = json.loads(done.stdout)
    assert [each["id"] for each in rows if each["severity"] != "note"] == []
    said = [each["what"] for each in rows if each["id"] == "not-checked"]
    assert [what for what in said if "postconf is not installed" in what] != []
    assert [what for what in said if "dovecot is not installed" in what or "doveconf is not installed" in what] != []
    assert done.returncode == 0


def test_every_finding_has_its_own_name_and_is_planted():
    names = [each.id for each in PROBLEMS]
    assert len(names) == len(set(names))
    planted = "".join(file.read_text() for file in HERE.glob("test_planted*.py")) + (HERE / "test_dns.py").read_text()
    assert [name for name in names if f'"{name}"' not in planted] == []


def test_the_pitfalls_name_findings_that_there_are():
    page = PAGE.read_text()
    pitfalls = page[page.index("The pitfalls between the daemons") :]
    named = set(re.findall(r"``([a-z]+(?:-[a-z0-9]+)+)``", pitfalls))
    assert named <= {each.id for each in PROBLEMS}
    numbers = [int(number) for number in re.findall(r"(?m)^(\d+)\. ", pitfalls)]
    assert numbers == [*range(1, 31), *range(1, 31)]
