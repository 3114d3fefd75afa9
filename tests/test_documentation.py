"""What the documentation says is what there is: generated pages are current, commands that are shown are taken."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from pages import DOCS, ROOT, WRITTEN, named, shown

from mailhooks import cli

sys.path.insert(0, str(DOCS))

import generate


def test_the_pages_build_without_a_warning(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", str(DOCS), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "index.html").exists()


@pytest.mark.parametrize("page", generate.PAGES, ids=lambda page: page.name)
def test_what_is_made_from_the_code_is_current(page: Path):
    assert page.read_text() == generate.PAGES[page](), "make docs brings it up to date"


@pytest.mark.parametrize("page", sorted(generate.MAN.iterdir()), ids=lambda page: page.name)
def test_the_manual_pages_are_clean(page: Path):
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", page], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    shown = subprocess.run(["mandoc", "-T", "utf8", page], capture_output=True, text=True, check=True).stdout
    assert len(shown) > 5000


# The names that dashboards are built on: they stay.
METRICS = (
    "build_info requests_total request_seconds connections protocol_errors_total auth_total password_hash_seconds "
    "password_hash_queue policy_decisions_total limit_trips_total quota_refused_total store_up store_errors_total "
    "store_change_number objects reactor_lag_seconds certificate_not_after_seconds postfix_queue_messages"
)


def test_every_metric_is_found_in_the_code():
    found = set(re.findall(r"^``mailhooks_(\w+)", generate.reference.metrics(), re.MULTILINE))
    assert set(METRICS.split()) <= found


def test_every_page_is_in_the_index_and_every_link_of_the_readme_leads_somewhere():
    index = re.findall(r"^   ([\w-]+)$", (DOCS / "index.rst").read_text(), re.MULTILINE)
    assert sorted(page.stem for page in DOCS.glob("*.rst") if page.stem != "index") == sorted(index)
    for target in re.findall(r"<(docs/[^>]+)>", (ROOT / "README.rst").read_text()):
        assert (ROOT / target).exists(), target


COMMANDS = [
    pytest.param(list(each.arguments), id=str(each)) for page in WRITTEN for each in shown(page) if each.is_whole
]


@pytest.mark.parametrize("arguments", COMMANDS)
def test_every_command_shown_is_one_that_the_program_takes(arguments: list[str]):
    command: click.Command = cli.main
    context = command.make_context("mailhooks", arguments)
    while isinstance(command, click.Group):
        name, found, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        assert found is not None
        command = found
        context = command.make_context(name, rest, parent=context)


def test_there_are_commands_to_check():
    assert len(COMMANDS) >= 40


NAMED = [pytest.param(text, id=f"{page.stem}: {text}") for page in WRITTEN for text in sorted(named(page))]


@pytest.mark.parametrize("text", NAMED)
def test_every_command_named_in_a_sentence_exists_with_its_options(text: str):
    command: click.Command = cli.main
    for word in text.split()[1:]:
        if not isinstance(command, click.Group) or "|" in word:
            break
        found = command.get_command(click.Context(command), word)
        assert found is not None, word
        command = found
    known = {name for parameter in command.params for name in parameter.opts}
    assert [word for word in re.findall(r"--[a-z-]+", text) if word not in known] == []
