"""The servers of the end-to-end scenarios: the real daemons of every generation that this run has."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from machine import Machine, machines
from server import Server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/e2e/" in str(item.path):
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session", params=["here", "debian13"])
def machine(request: pytest.FixtureRequest) -> Machine:
    """Each generation in turn. What is missing is an error, never a skip: `make test` installs it."""
    chosen = machines()[request.param]
    if missing := chosen.missing():
        pytest.fail(f"not installed: {', '.join(missing)}; `make test` brings it")
    return chosen


@pytest.fixture(scope="module")
def server(machine: Machine) -> Iterator[Server]:
    """Two domains with adam and bob, a list of three, an alias and a catch-all: the old manual's example."""
    with Server(machine) as running:
        running.furnish()
        yield running
