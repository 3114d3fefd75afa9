"""``quota recount`` asks doveadm for one mailbox after another."""

from __future__ import annotations

import os

import pytest
from conftest import needs_root

pytestmark = needs_root


@pytest.fixture
def doveadm(site, monkeypatch):
    """A program of that name that writes down what it is asked, and cannot count for bob."""
    directory = site.directory / "bin"
    directory.mkdir()
    program = directory / "doveadm"
    program.write_text(
        f'#!/bin/sh\necho "$@" >>{directory}/asked\ncase "$*" in *bob*) echo "Error: no" >&2; exit 75;; esac\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
    return directory / "asked"


def test_one(site, doveadm):
    site.ok("quota", "recount", "adam@example1.com")
    assert doveadm.read_text().strip().endswith("quota recalc -u adam@example1.com")


def test_all_and_one_fails(site, doveadm):
    result = site.run("quota", "recount")
    assert result.exit_code == 1
    assert "bob@example1.com: Error: no" in result.stderr
    assert "1 of 2 mailboxes" in result.stderr
    assert len(doveadm.read_text().splitlines()) == 2


def test_nobody(site, doveadm):
    site.fails(1, "quota", "recount", "nobody@example1.com")
    assert not doveadm.exists()
