"""Picks: CPU of one placement by every strategy, with 10, 100 and 1,000 members.

The reference is what anybody would write first, `min` over the members by load, and for
`ring_hash` the ring of uhashring with as many points. A pick is counted with its `opened`, as a
gateway does; keys are drawn beforehand. Strategies take turns in each round.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import click
from uhashring import HashRing

from balancers import STRATEGIES, Member, View
from bench.lab.options import Lab, lab_options
from bench.lab.report import Rounds

SIZES = (10, 100, 1_000)
VNODES = 160
RING_TARGET = 1.0
"""Our ring may cost as much as uhashring's, with the members' room checked on top."""


def view_of(size: int) -> View:
    """Return equal members with room for everybody."""
    return View(1, tuple(Member(id=f"node-{n:04}", capacity=10**9) for n in range(size)))


def least(view: View) -> Callable[[int], None]:
    """Return the reference: the least loaded of all, and count."""
    load = dict.fromkeys(view.by_id, 0)

    def pick(_: int) -> None:
        load[min(load, key=load.__getitem__)] += 1

    return pick


def strategy(name: str, view: View) -> Callable[[int], None]:
    """Return a strategy's pick that counts."""
    built = STRATEGIES[name]().build(random.Random(1), time.monotonic)

    def pick(key: int) -> None:
        member = built.pick(key, view)
        assert member is not None
        built.opened(member.id)

    return pick


def ring(view: View) -> Callable[[int], Any]:
    """Return the lookup of uhashring."""
    found: Callable[[int], Any] = HashRing(
        nodes={name: {"vnodes": VNODES, "weight": 1} for name in view.by_id}
    ).get_node
    return found


def microseconds(pick: Callable[[int], object], keys: list[int], seconds: float) -> float:
    """Return the CPU of a pick, so many as fit."""
    began = time.process_time()
    done = 0
    # A strategy that bounds loads would meet a full member with each key that came before.
    for key in keys:
        pick(key)
        done += 1
        if not done % 100 and time.process_time() - began >= seconds:
            break
    return (time.process_time() - began) / done * 1e6


@click.command()
@lab_options("pick_cost")
def main(lab: Lab) -> None:
    """Measure what a pick costs each strategy."""
    bits = random.Random(7).getrandbits
    keys = [bits(64) for _ in range(20_000)]
    seconds = 0.02 if lab.quick else 0.1
    click.echo(f"  {'us per pick':<22}" + "".join(f"{size:>10,}" for size in SIZES) + "  members")
    contests = {}
    for size in SIZES:
        view = view_of(size)
        contests[size] = {
            "min() over members": least(view),
            "uhashring": ring(view),
            **{name: strategy(name, view) for name in sorted(STRATEGIES)},
        }
    costs: dict[tuple[str, int], list[float]] = {}
    for number in range(lab.rounds):
        for size, picks in contests.items():
            for name, pick in picks.items():
                pick(0)
                costs.setdefault((name, size), []).append(microseconds(pick, keys, seconds))
        lab.report.progress(f"round {number + 1} of {lab.rounds}")
    rounds = {
        (name, size): Rounds(f"{name} of {size}", values, "us")
        for (name, size), values in costs.items()
    }
    for name in contests[SIZES[0]]:
        cells = "".join(f"{rounds[name, size].median:>10.2f}" for size in SIZES)
        click.echo(f"  {name:<22}{cells}")
    lab.report.figures.update({each.name: each.median for each in rounds.values()})
    for size in SIZES:
        lab.report.compare(
            rounds["ring_hash", size], rounds["uhashring", size], at_most=RING_TARGET
        )
    lab.report.better(
        rounds["p2c", 1_000], rounds["min() over members", 1_000], at_least=10
    )
    lab.report.finish()


if __name__ == "__main__":
    main()
