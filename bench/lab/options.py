"""Options that every benchmark takes."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path

import click
from attrs import frozen

from bench.lab.report import Report

FULL_ROUNDS, QUICK_ROUNDS = 5, 3


@frozen
class Lab:
    """How a benchmark runs.

    :param quick: smaller and fewer; shows that it works, says little.
    :param rounds: repetitions, the compared servers taking turns in each.
    """

    quick: bool
    rounds: int
    server_core: int
    load_core: int
    report: Report


def lab_options(name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the common options; the command gets a `Lab` as its first argument."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @click.option("--quick", is_flag=True, help="Smaller and fewer rounds: a smoke test.")
        @click.option("--rounds", type=click.IntRange(1), help="Repetitions; 5, quick 3.")
        @click.option("--server-core", default=0, show_default=True)
        @click.option("--load-core", default=1, show_default=True)
        @click.option("--json", "json_file", type=click.Path(path_type=Path),
                      help="Append the result to this file as one JSON line.")
        @functools.wraps(command)
        def with_lab(
            quick: bool, rounds: int | None, server_core: int, load_core: int,
            json_file: Path | None, **others: object,
        ) -> None:
            cores = os.sched_getaffinity(0)
            if not {server_core, load_core} <= cores:
                raise click.UsageError(f"cores {server_core} and {load_core} of {sorted(cores)}?")
            os.sched_setaffinity(0, {load_core})
            rounds = rounds or (QUICK_ROUNDS if quick else FULL_ROUNDS)
            report = Report(name, json_file)
            command(Lab(quick, rounds, server_core, load_core, report), **others)

        return with_lab

    return decorate
