"""docs/metrics.rst against what there is: every metric of a real page, every alert, every counted kind of line."""

from __future__ import annotations

import re
from pathlib import Path

from mailhooks.stack import logtap

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs/metrics.rst").read_text()
RULES = (ROOT / "docker/monitoring/rules.yml").read_text()


def test_the_page_names_the_metrics_that_there_are_and_no_other(daemon):
    daemon.start()
    told = {}
    for line in daemon.get("/metrics")[1].splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            told[name] = kind
    rows = re.findall(r"^``(mailhooks_\w+)(?:\{[\w,]+\})?`` +(gauge|counter|histogram) ", PAGE, re.MULTILINE)
    assert dict(rows) == told
    assert len(rows) == len(told) >= 25


def test_the_page_says_of_every_alert_what_to_do_with_its_severity():
    documented = dict(re.findall(r"``(Mailhooks\w+)`` \((\w+)\)", PAGE))
    shipped = dict(re.findall(r"alert: (\w+)\n.*?severity: (\w+)", RULES, re.DOTALL))
    assert documented == shipped


def test_every_kind_of_line_is_explained():
    assert [kind for kind in logtap.KINDS if not re.search(rf"^``{kind}`` +\S", PAGE, re.MULTILINE)] == []


def test_alerts_ask_for_metrics_that_there_are():
    names = set(re.findall(r"mailhooks_\w+", RULES))
    assert len(names) >= 15
    for name in names:
        assert f"``{name.removesuffix('_bucket')}" in PAGE, name
