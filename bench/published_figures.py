"""What papers say of the strategies, beside what ours do: balance, disruption, moves.

Run: `python -m bench published_figures`. Every line names the source, its figure, and ours: the
median of the seeds and their range. Tables and rings are measured themselves where the papers do
so, without keys, whose noise would be in the figure. `FAIL` is a median outside of what the line
says would agree.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from math import ceil
from statistics import median, pstdev

import click
from attrs import frozen

from balancers import STRATEGIES, Strategy, View
from balancers.hashing import mixed
from balancers.ring_hash import ring_of
from bench.lab.options import Lab, lab_options
from bench.pick_cost import view_of

WHOLE = 1 << 64
BACKENDS = 1_000
SMALL, LARGE = 65_537, 655_373
"""Slots of the tables in the Maglev paper."""


@frozen
class Figure:
    """A figure of a paper and how to get ours.

    :param ours: seed -> our figure.
    :param agrees: from where to where ours would agree with theirs.
    """

    source: str
    what: str
    theirs: str
    ours: Callable[[int], float]
    agrees: tuple[float, float]


def build(name: str, seed: int, **options: object) -> Strategy:
    """Make a strategy."""
    return STRATEGIES[name](**options).build(random.Random(seed), lambda: 0.0)


def home(strategy: Strategy, key: int, view: View) -> str:
    """Return the id of the member that is picked."""
    member = strategy.pick(key, view)
    assert member is not None
    return member.id


def excess(loads: Counter[str], size: int) -> float:
    """Return max/avg - 1 in percent."""
    return (max(loads.values()) * size / loads.total() - 1) * 100


def maglev_excess(slots: int, seed: int) -> float:
    """Return by how much a table's fullest backend exceeds the average, in percent."""
    strategy = build("maglev", seed, table_size=slots, hash_seed=str(seed))
    view = view_of(BACKENDS)
    return excess(Counter(home(strategy, slot, view) for slot in range(slots)), BACKENDS)


def rendezvous_excess(slots: int, seed: int) -> float:
    """Return the same of a table that rendezvous hashing fills."""
    strategy, view = build("rendezvous", seed, hash_seed=str(seed)), view_of(BACKENDS)
    return excess(Counter(home(strategy, slot, view) for slot in range(slots)), BACKENDS)


def ring_excess(slots: int, vnodes: int, seed: int) -> float:
    """Return the same of a table that is a ring's members at equal distances."""
    strategy = build("ring_hash", seed, vnodes=vnodes, hash_seed=str(seed))
    view = view_of(BACKENDS)
    at = (slot * WHOLE // slots for slot in range(slots))
    return excess(Counter(home(strategy, key, view) for key in at), BACKENDS)


def maglev_unneeded(slots: int, seed: int) -> float:
    """Return the slots that change without need when 1 % of the backends fail, in percent."""
    strategy, view = build("maglev", seed, table_size=slots), view_of(BACKENDS)
    lost = {member.id for member in random.Random(seed).sample(view.members, BACKENDS // 100)}
    left = View(2, tuple(member for member in view.members if member.id not in lost))
    before = [home(strategy, slot, view) for slot in range(slots)]
    after = [home(strategy, slot, left) for slot in range(slots)]
    pairs = zip(before, after, strict=True)
    return sum(old != new and old not in lost for old, new in pairs) / slots * 100


@cache
def ring_shares(vnodes: int, seed: int) -> Sequence[float]:
    """Return what a ring's members own, over the average, in order."""
    weights = tuple((member.id, 1.0) for member in view_of(BACKENDS).members)
    ring = ring_of(weights, vnodes, str(seed).encode())
    owned: Counter[str] = Counter()
    last = ring.points[-1] - WHOLE
    for point, owner in zip(ring.points, ring.owners, strict=True):
        owned[owner] += point - last
        last = point
    return sorted(share / WHOLE * BACKENDS for share in owned.values())


def probing_peak(keys: int, seed: int) -> float:
    """Return max/avg of 50 members with one point each and 21 probes."""
    strategy = build("multi_probe", seed, vnodes=1, probes=21, hash_seed=str(seed))
    view = view_of(50)
    loads = Counter(home(strategy, mixed(seed, key), view) for key in range(keys))
    return max(loads.values()) * 50 / keys


def most_in_a_bin(name: str, bins: int, seed: int) -> float:
    """Return the most balls in a bin, with as many balls as bins."""
    strategy, view = build(name, seed), view_of(bins)
    loads: Counter[str] = Counter()
    for ball in range(bins):
        bin_ = home(strategy, ball, view)
        strategy.opened(bin_)
        loads[bin_] += 1
    return max(loads.values())


BALLS, BINS = 4_000, 50


def placed(view: View, factor: float, seed: int) -> list[str]:
    """Return where bounded loads put the balls, placed one after the other."""
    options = {"hash_seed": str(seed)}
    strategy = build("bounded_load", seed, balance_factor=factor, base_options=options)
    homes = []
    for ball in range(BALLS):
        homes.append(home(strategy, mixed(seed, ball), view))
        strategy.opened(homes[-1])
    return homes


def bounded_peak(factor: float, seed: int) -> float:
    """Return the fullest bin over what the bound allows."""
    loads = Counter(placed(view_of(BINS), factor, seed))
    return max(loads.values()) / ceil(factor * BALLS / BINS)


def bounded_moves(factor: float, seed: int) -> float:
    """Return the balls that move when a bin is removed, for each ball that it had."""
    view = view_of(BINS)
    before = placed(view, factor, seed)
    after = placed(View(2, view.members[1:]), factor, seed)
    moved = sum(old != new for old, new in zip(before, after, strict=True))
    return moved / before.count(view.members[0].id)


def figures(*, quick: bool) -> list[Figure]:
    """Return what there is to compare."""
    maglev, jump = "Maglev, NSDI 2016, 5.3", "Lamping and Veach, arXiv 1406.2294"
    bounds, choices = "arXiv 1608.01350", "Azar et al., STOC 1994"
    keys, bins = (50_000, 2**10) if quick else (500_000, 2**14)
    table = "1,000 backends, {:,} slots: the fullest exceeds the average by, %"
    found = [
        Figure(maglev, "Maglev, " + table.format(SMALL), "< 1",
               lambda seed: maglev_excess(SMALL, seed), (0, 1)),
        Figure(maglev, "Maglev: needless changes when 1 % fail, large table over small one",
               "< 1", lambda seed: maglev_unneeded(50_021, seed) / maglev_unneeded(5_003, seed),
               (0, 1)),
        *(
            Figure(jump, f"ring of {vnodes} points: standard error of a share", f"{error:.4f}",
                   lambda seed, vnodes=vnodes: pstdev(ring_shares(vnodes, seed)),  # type: ignore[misc]
                   (error * 0.9, error * 1.1))
            for vnodes, error in ((10, 0.3152), (100, 0.0997))
        ),
        Figure(jump, "ring of 100 points: 99 % of the shares from", "0.76",
               lambda seed: ring_shares(100, seed)[5], (0.73, 0.79)),
        Figure(jump, "ring of 100 points: 99 % of the shares to", "1.28",
               lambda seed: ring_shares(100, seed)[994], (1.24, 1.32)),
        # Keys add their own noise: the highest of 50 with 10,000 each is 2 % up, quick 7 %.
        Figure("arXiv 1505.00062", "multi-probe, 21 probes: max/avg", "1.05",
               lambda seed: probing_peak(keys, seed), (1.0, 1.2 if quick else 1.08)),
        # Gonnet, JACM 1981: the inverse of the gamma function at n, less 3/2.
        Figure(choices, f"random, {bins:,} balls and bins: most in a bin",
               "5.5" if quick else "7.1", lambda seed: most_in_a_bin("random", bins, seed),
               (4, 8) if quick else (6, 9)),
        Figure(choices, f"p2c, {bins:,} balls and bins: most in a bin, ln ln n / ln 2 + O(1)",
               "2.8 + O(1)" if quick else "3.3 + O(1)",
               lambda seed: most_in_a_bin("p2c", bins, seed), (2, 4)),
        *(
            Figure(bounds, f"c = {factor}: the fullest bin over ceil(c avg)", "<= 1",
                   lambda seed, factor=factor: bounded_peak(factor, seed),  # type: ignore[misc]
                   (0, 1))
            for factor in (1.05, 1.25, 2.0)
        ),
        *(
            Figure(bounds, f"c = {factor}: moves for each ball of a removed bin",
                   f"O(1/e^2) = O({(factor - 1) ** -2:.0f})",
                   lambda seed, factor=factor: bounded_moves(factor, seed),  # type: ignore[misc]
                   (1, (factor - 1) ** -2))
            for factor in (1.05, 1.25)
        ),
    ]
    if not quick:
        found += [
            Figure(maglev, "Maglev, " + table.format(LARGE), "< 1",
                   lambda seed: maglev_excess(LARGE, seed), (0, 1)),
            # The paper does not say how many points its rings have.
            Figure(maglev, "ring of 100 points, " + table.format(SMALL), "29.7",
                   lambda seed: ring_excess(SMALL, 100, seed), (25, 50)),
            Figure(maglev, "ring of 1,000 points, " + table.format(LARGE), "10.3",
                   lambda seed: ring_excess(LARGE, 1_000, seed), (8, 13)),
            # A table of hashes is balls in bins: the highest of 1,000 with 65.5 each.
            Figure(maglev, "rendezvous, " + table.format(SMALL), "49.5",
                   lambda seed: rendezvous_excess(SMALL, seed), (35, 55)),
        ]
    return found


@click.command()
@lab_options("published_figures")
def main(lab: Lab) -> None:
    """Compare the strategies with what has been published about them."""
    for figure in figures(quick=lab.quick):
        ours = [figure.ours(seed) for seed in range(1, lab.rounds + 1)]
        low, high = figure.agrees
        middle = median(ours)
        lab.report.figures[figure.what] = ours
        lab.report.claim(
            f"{figure.what}: {figure.theirs} ({figure.source}), ours {middle:.4g} "
            f"({min(ours):.4g} to {max(ours):.4g}; {low:.3g} to {high:.3g} agrees)",
            holds=low <= middle <= high,
        )
    lab.report.finish()


if __name__ == "__main__":
    main()
