"""Fixtures that every area uses: a real store, real key file, no shared state."""

from __future__ import annotations

from pathlib import Path

import hypothesis
import pytest

from mailhooks.store import Store, open_store

# Noisy machines: a property is about values, never about time.
hypothesis.settings.register_profile("mailhooks", deadline=None, max_examples=60)
hypothesis.settings.load_profile("mailhooks")


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
