"""The figures of strategies: papers' beside ours, and what picks cost."""

from __future__ import annotations

import subprocess
import sys

from balancers import STRATEGIES
from bench.published_figures import figures


def lines(*command: str) -> tuple[int, list[str]]:
    # A benchmark pins its process to a core.
    done = subprocess.run(
        [sys.executable, "-m", "bench", *command, "--quick", "--rounds", "1"],
        capture_output=True, text=True, timeout=120,
    )
    return done.returncode, done.stdout.splitlines()


def test_our_strategies_have_the_figures_of_their_papers() -> None:
    status, printed = lines("published_figures")

    assert status == 0, printed
    for figure in figures(quick=True):
        line = next(each for each in printed if f" {figure.what}: {figure.theirs} (" in each)
        assert line.startswith("  PASS ")
        assert figure.source in line


def test_every_strategys_picks_are_measured() -> None:
    status, printed = lines("pick_cost")

    # How it ends depends on the machine.
    assert status in {0, 1}, printed
    measured = {line.split()[0]: line.split()[1:] for line in printed}
    for name in STRATEGIES:
        assert len([float(each) for each in measured[name]]) == 3
    assert "ring_hash of 1000" in printed[-1]
