"""Fixtures that every area uses: a real store, real key file, no shared state."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

from mailhooks.store import Store, open_store

# Noisy machines: a property is about values, never about time.
hypothesis.settings.register_profile("mailhooks", deadline=None, max_examples=60)
hypothesis.settings.load_profile("mailhooks")

# What one generation of the stock daemons does not have; everything else is installed where CI runs.
NOT_THERE = "Dovecot 2.4 has no"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    """In CI a missing program is an error: a skip there would never be noticed."""
    report = yield
    if os.environ.get("CI") and report.skipped and isinstance(report.longrepr, tuple):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if not reason.startswith(NOT_THERE):
            report.outcome, report.longrepr = "failed", f"skipped in CI: {reason}"
    return report


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "key"


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/mailhooks.db"


@pytest.fixture
def store(store_url: str, key_file: Path):
    handle: Store = open_store(store_url, key_file=key_file, create=True)
    yield handle
    handle.close()
