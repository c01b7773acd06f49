"""Runs: every strategy in every scenario with every seed, on several cores."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence

from bench.simulation.outcome import Outcome, Task, carry_out
from bench.simulation.scenario import Scenario

SAMPLED_SEEDS = 3
"""Seeds of which the samples are written, because those of all would be a hundred megabytes."""


def tasks_of(
    scenarios: Sequence[Scenario], strategies: Sequence[str], seeds: int, sampled: int
) -> list[Task]:
    """Return all combinations; the seeds are the same for every strategy, from 1 on."""
    return [
        Task(scenario, strategy, seed, keeps_samples=seed <= sampled)
        for scenario in scenarios
        for strategy in strategies
        for seed in range(1, seeds + 1)
    ]


def outcomes(tasks: Sequence[Task], jobs: int) -> Iterator[Outcome]:
    """Yield the outcomes in the order of the tasks, whatever the number of processes."""
    if jobs <= 1 or len(tasks) <= 1:
        yield from map(carry_out, tasks)
        return
    # Not forked: the progress bar has a thread.
    with multiprocessing.get_context("spawn").Pool(min(jobs, len(tasks))) as pool:
        yield from pool.imap(carry_out, tasks)
