"""The times of an end add up to less than what a container is given."""

from __future__ import annotations

import os

import pytest

from mailhooks import config
from mailhooks.stack import holding, up
from mailhooks.stack.logpipe import TAP_GRACE

DOCKER_SECONDS = 10.0  # between docker stop's SIGTERM and SIGKILL

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the daemons' users are looked up")


def test_the_longest_end_is_shorter_than_dockers_patience():
    instance = up.Instance(config.Config, None, {}, lambda: None)
    stages = up.stages(config.Config(), instance, None, holding.NOTHING)
    assert [[child.name for child in stage] for stage in stages] == [["serve"], ["dovecot", "spamd"], ["postfix"]]
    longest = sum(max(child.grace for child in stage) for stage in stages) + TAP_GRACE
    assert longest < DOCKER_SECONDS
