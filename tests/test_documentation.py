"""What the documentation lists is what there is."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from mailhooks import metrics
from mailhooks.policy import RULES
from mailhooks.stack import queue
from mailhooks.tables import TABLES

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS))

import generate  # noqa: E402 - stands beside the pages that it makes


@pytest.mark.parametrize("page", generate.PAGES)
def test_the_pages_made_from_the_code_are_current(page: str):
    assert (DOCS / page).read_text() == generate.PAGES[page](), "make docs brings them up to date"


@pytest.mark.parametrize("table", TABLES)
def test_every_table_is_documented(table: str):
    assert f"``{table}``" in (DOCS / "tables.rst").read_text()


@pytest.mark.parametrize("rule", RULES)
def test_every_policy_rule_is_documented(rule: str):
    assert f"``{rule}``" in (DOCS / "policy.rst").read_text()


def test_every_metric_is_documented():
    told = "".join(Path(module.__file__).read_text() for module in (metrics, queue))
    names = set(re.findall(r'_(?:gauge|counter)\(\s*"(\w+)"', told)) | set(re.findall(r'"mailhooks_(\w+)"', told))
    documented = (DOCS / "metrics.rst").read_text()
    assert len(names) >= 17
    assert [name for name in names if f"``mailhooks_{name}" not in documented] == []


def test_every_page_is_in_the_index_and_every_link_of_the_readme_leads_somewhere():
    index = (DOCS / "index.rst").read_text().split()
    assert sorted(page.stem for page in DOCS.glob("*.rst") if page.stem != "index") == sorted(
        entry for entry in index if (DOCS / f"{entry}.rst").exists()
    )
    for target in re.findall(r"<(docs/[^>]+)>", (ROOT / "README.rst").read_text()):
        assert (ROOT / target).exists(), target
