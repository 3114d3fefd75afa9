"""The examples of CONTRIBUTING.rst are real: what it quotes is in the code, and what it invents works."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import docutils.nodes
import pytest
from pages import ROOT, WRITTEN, literals

from mailhooks import policy as rules
from mailhooks import tables
from mailhooks.dicts import lastlogin, namespace
from mailhooks.policy import Policy, Settings
from mailhooks.store import Store
from mailhooks.wire.policy import RequestParser

PAGE = ROOT / "CONTRIBUTING.rst"
PATHS = sorted(
    {
        text
        for page in WRITTEN
        for text in literals(page, docutils.nodes.literal)
        if re.fullmatch(r"(mailhooks|docs|tests|scripts|systemd|docker|fail2ban|benchmarks)/[\w./-]*", text)
    }
)


@pytest.fixture
def rule() -> str:
    return next(text for text in literals(PAGE, docutils.nodes.literal_block) if "def bind(" in text)


def test_the_policy_rule_decides(rule: str, store: Store, monkeypatch: pytest.MonkeyPatch):
    names: dict[str, object] = {}
    exec(compile(rule, str(PAGE), "exec"), names)
    monkeypatch.setattr(rules, "RULES", {**rules.RULES, "sized": names["bind"]})
    policy = Policy(Settings(smtp=("sized",)))
    request = "request=smtpd_access_policy\nprotocol_state=RCPT\nsize={}\n\n"
    said = [policy.decide(*RequestParser().feed(request.format(size).encode()), store, 0.0) for size in (0, 1)]
    assert [each.rule for each in said] == ["sized", ""]


def test_the_policy_rule_is_as_the_linter_wants_it(rule: str):
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--stdin-filename", str(ROOT / "mailhooks/policy/sized.py"), "-"],
        input=rule + "\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_lookup_table_is_quoted():
    quoted = next(text for text in literals(PAGE, docutils.nodes.literal_block) if "virtual_mailbox_domains(" in text)
    assert quoted == inspect.getsource(tables.virtual_mailbox_domains).strip()


def test_the_dict_namespace_has_the_three_methods():
    methods = [name for name, _ in inspect.getmembers(namespace.Namespace, inspect.isfunction) if name[0] != "_"]
    assert sorted(methods) == ["lookup", "prepare", "rows"]
    assert all(hasattr(lastlogin.LastLogins, name) for name in methods)


@pytest.mark.parametrize("path", PATHS)
def test_every_file_that_a_page_names_is_there(path: str):
    assert (ROOT / path).exists()


def test_there_are_files_to_look_for():
    assert len(PATHS) > 10
    assert Path(PAGE).exists()
