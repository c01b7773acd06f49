"""docs/balancers.md tells the truth about what there is, and its options."""

from __future__ import annotations

import re
from typing import Any

import attrs
import pytest

from balancers import MODIFIERS, STRATEGIES
from tests.balancers.options_table import PAGE, written

TEXT = PAGE.read_text()


@pytest.mark.parametrize("name", [*STRATEGIES, *MODIFIERS, "sticky"])
def test_everything_that_has_a_name_has_its_row(name: str) -> None:
    assert f"\n| `{name}` | " in TEXT.partition("## Options")[0]


def test_the_options_are_those_of_the_classes() -> None:
    assert written(TEXT) == TEXT, "run python -m tests.balancers.options_table"


@pytest.mark.parametrize("name", [*STRATEGIES, *MODIFIERS])
def test_every_option_is_explained_and_has_a_default_that_is_good(name: str) -> None:
    spec: Any = {**STRATEGIES, **MODIFIERS}[name]
    assert attrs.evolve(spec()) == spec()
    for field in attrs.fields(spec):
        assert field.metadata["help"].endswith(".")
        assert field.metadata.get("unit", "s") == "s"


def test_the_first_example_runs() -> None:
    example, *_ = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    exec(compile(example, "balancers.md", "exec"), {})
