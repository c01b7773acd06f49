"""Writes the table of options in docs/balancers.md: python -m tests.balancers.options_table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from balancers import MODIFIERS, STRATEGIES, StickySpec

PAGE = Path(__file__).parents[2] / "docs" / "balancers.md"
BEGIN = "<!-- options: made by python -m tests.balancers.options_table -->\n"
END = "<!-- end of options -->\n"


def table() -> str:
    """Return the rows of all options of strategies, modifiers and the memory."""
    specs: Mapping[str, type[Any]] = {**STRATEGIES, **MODIFIERS, "sticky": StickySpec}
    lines = ["| of | option | default | what |", "|---|---|---|---|"]
    lines += [line for name, spec in specs.items() for line in _rows(name, spec)]
    return "\n".join(lines) + "\n"


def _rows(name: str, spec: type[Any]) -> Iterator[str]:
    for field in attrs.fields(spec):
        default = field.default
        text = default() if isinstance(default, attrs.Factory) else default  # type: ignore[arg-type]
        unit = f" {field.metadata['unit']}" if "unit" in field.metadata else ""
        shown = str(text).lower() if isinstance(text, bool) else repr(text).replace("'", '"')
        yield f"| `{name}` | `{field.name}` | `{shown}`{unit} | {field.metadata['help']} |"


def written(page: str) -> str:
    """Return the page with the table as it has to be."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + table() + END + after


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
