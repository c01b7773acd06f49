"""A short chaos run: everything is real, and every promise is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.run import Plan, run
from tests.chaos.schedule import KINDS

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_minute_of_faults_costs_no_message(tmp_path: Path, seed: int) -> None:
    said: list[str] = []
    outcome = await run(
        Plan(seed=seed, seconds=70.0), tmp_path / "run", lambda what, _: said.append(what)
    )
    assert outcome.verdict.is_valid, str(outcome.verdict)
    assert outcome.problems == []
    assert len({fault.kind for fault in outcome.faults}) > len(KINDS) // 2
    assert len(said) > len(outcome.faults)
    outcome.write(tmp_path / "chaos.json")
    assert '"verdict": "valid"' in (tmp_path / "chaos.json").read_text()
