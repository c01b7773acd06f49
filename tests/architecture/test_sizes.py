"""No file outgrows its subject."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CAPS = {"balancers": 200, "failover": 220, "wsmesh": 300, "bench": 250, "tests": 400}

LARGER = {
    "wsmesh/ingress/connection.py": 400,
    "wsmesh/protocol/messages.py": 330,
}
"""Files to split: past the cap, so they have a ceiling of their own, which only goes down."""


def lines_of(path: Path) -> int:
    return len(path.read_text().splitlines())


@pytest.mark.parametrize("package", CAPS)
def test_no_file_outgrows_its_subject(package):
    sizes = {
        str(path.relative_to(ROOT)): lines_of(path) for path in (ROOT / package).rglob("*.py")
    }
    assert sizes, f"{package} has no files"

    too_big = {
        path: lines for path, lines in sizes.items() if lines > LARGER.get(path, CAPS[package])
    }

    assert too_big == {}, "split by subject, do not raise the cap"


@pytest.mark.parametrize("path", LARGER)
def test_a_file_that_was_split_loses_its_exception(path):
    assert lines_of(ROOT / path) > CAPS[path.partition("/")[0]]
