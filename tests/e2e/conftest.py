"""The servers of the end-to-end scenarios: the real daemons of every generation that this run has."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest
from container import Image
from machine import Machine, machines
from server import Server

KINDS = {**machines(), "container": Image("container", ("mailhooks",))}

# These scenarios are what the image promises, so they run against it from outside, too.
LAST_OF_THE_MAIN_JOB = "test_11_import"

LOG_SHOWN = 16_000  # characters beside a failure


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/e2e/" in str(item.path):
            item.add_marker(pytest.mark.e2e)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a module on the machines that it names as MACHINES, else on both generations."""
    if "machine" in metafunc.fixturenames:
        chosen = getattr(metafunc.module, "MACHINES", ("here", "debian13"))
        if metafunc.module.__name__ <= LAST_OF_THE_MAIN_JOB:
            chosen = (*chosen, "container")
        metafunc.parametrize("machine", chosen, indirect=True, scope="session")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show beside a failure what the server and its daemons wrote last."""
    report = yield
    server = getattr(item, "funcargs", {}).get("server")
    if report.failed and isinstance(server, Server):
        report.sections.append(("log of the server", server.log[-LOG_SHOWN:]))
    return report


@pytest.fixture(scope="session")
def machine(request: pytest.FixtureRequest) -> Machine:
    """Each generation in turn. What is missing is an error, never a skip: `make test` installs it."""
    chosen = KINDS[request.param]
    if missing := chosen.missing():
        pytest.fail(f"not installed: {', '.join(missing)}; `make test` brings it")
    return chosen


@pytest.fixture(scope="module")
def server(machine: Machine) -> Iterator[Server]:
    """Two domains with adam and bob, a list of three, an alias and a catch-all: the old manual's example."""
    with Server(machine) as running:
        running.furnish()
        yield running
