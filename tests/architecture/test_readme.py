"""The README tells the truth where a test can tell."""

from __future__ import annotations

import re
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("group", ["wsmesh.balancers", "wsmesh.failover"])
def test_every_strategy_has_its_row(group):
    documented = set(re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE))
    names = {
        entry.name for entry in entry_points(group=group) if entry.value.startswith(
            ("balancers.", "failover.")
        )
    }
    assert names

    assert names <= documented


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").rglob("*.md")))
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())

    lost = [link for link in links if not (page.parent / link).exists()]

    assert lost == []


def test_its_python_is_python():
    for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        compile(block, "README.md", "exec")
