"""A machine with a real systemd, on which docs/bare-metal.rst was walked; shared, since a boot takes its time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from systemd_host import Host, build


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/systemd/" in str(item.path):
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """Every step of the page is done, by its own words."""
    with Host(build()) as booted:
        booted.walk()
        yield booted
