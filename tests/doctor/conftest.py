"""One healthy server for the whole area."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from doctor_site import Site, make_site, start, stop


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """One healthy site for all tests of the area: none of them changes it."""
    if os.geteuid() != 0:
        pytest.skip("only root can make the directories of a server")
    root = Path(tempfile.mkdtemp(prefix="mailhooks-doctor-", dir="/var/tmp"))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, root, ignore_errors=True)
        made = make_site(root)
        stack.callback(stop, made)
        start(made)
        yield made
