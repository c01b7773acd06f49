"""Writes the table of options in docs/failover.md: python -m tests.failover.failover_options."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from failover import FAILBACKS, STRATEGIES, Rebalance

PAGE = Path(__file__).parents[2] / "docs" / "failover.md"
BEGIN = "<!-- options: made by python -m tests.failover.failover_options -->\n"
END = "<!-- end of options -->\n"
SPECS: Mapping[str, type[Any]] = {**STRATEGIES, **FAILBACKS, "rebalance": Rebalance}


def table() -> str:
    """Return the rows of all options of strategies, failbacks and rebalancing."""
    lines = ["| of | option | default | what |", "|---|---|---|---|"]
    lines += [line for name, spec in SPECS.items() for line in _rows(name, spec)]
    return "\n".join(lines) + "\n"


def _rows(name: str, spec: type[Any]) -> Iterator[str]:
    for field in attrs.fields(spec):
        unit = f" {field.metadata['unit']}" if "unit" in field.metadata else ""
        shown = repr(field.default).replace("'", '"')
        yield f"| `{name}` | `{field.name}` | `{shown}`{unit} | {field.metadata['help']} |"


def written(page: str) -> str:
    """Return the page with the table as it has to be."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + table() + END + after


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
