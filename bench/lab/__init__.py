"""What the benchmarks share: pinned processes, CPU clocks, rounds and verdicts."""
