"""Cost per delivery as channels (10..100,000) and idle connections (0..15,000) are added.

Channels: ten clients own all channels and publish to them in turn, one outstanding each, one
delivery per message; only the number of channels changes. Idle connections: one message after the
other to 100 subscribers, while more and more others hold a subscription elsewhere. A second node
that stays at the smallest size is measured in turns, and its drift is divided out.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from contextlib import ExitStack

import click

from bench.lab.load import Load, Measured, open_load
from bench.lab.options import Lab, lab_options
from bench.lab.servers import open_node

GROWTH = 1.15
CHANNELS = (10, 100, 1000, 10_000, 100_000)
IDLE = (0, 1000, 5000, 15_000)
PUBLISHERS, SUBSCRIBERS = 10, 100
DATA = "x" * 126

REPEATS = 3
"""Rounds here are short and many: the machine's speed changes within seconds."""


@click.command()
@lab_options("scaling")
@click.option("--channels", type=int, multiple=True, help="10..100000, quick 10 and 10000.")
@click.option("--idle", type=int, multiple=True, help="0..15000, quick 0 and 2000.")
def main(lab: Lab, channels: tuple[int, ...], idle: tuple[int, ...]) -> None:
    """Show that what is not used costs nothing."""
    channels = channels or ((10, 10_000) if lab.quick else CHANNELS)
    idle = idle or ((0, 2000) if lab.quick else IDLE)
    with ExitStack() as stack:
        grown, control = (open_one(lab, stack, name) for name in ("grown", "control"))
        sweep_channels(lab, grown, control, channels)
    with ExitStack() as stack:
        grown, control = (open_one(lab, stack, name) for name in ("grown", "control"))
        sweep_idle(lab, grown, control, idle)
    lab.report.finish()


def open_one(lab: Lab, stack: ExitStack, name: str) -> Load:
    """A node and its load process."""
    server = stack.enter_context(open_node(core=lab.server_core, name=name))
    return stack.enter_context(open_load(
        name, port=server.port, server_pid=server.pid, dialect=server.dialect,
        core=lab.load_core, secret=server.secret,
    ))


def sweep_channels(lab: Lab, grown: Load, control: Load, sizes: tuple[int, ...]) -> None:
    """Exchange over more and more channels, each message to another one.

    The control's generator gets as many different frames, for the same few channels: if only one
    generator missed its caches, the pace and so the server's batches would differ too.
    """
    for load in (grown, control):
        load.order("open", count=PUBLISHERS)
    control.order("subscribe", pattern="ch-{c}", first=0, last=sizes[0])
    costs, reached = {}, 0
    seconds = 0.4 if lab.quick else 0.7
    for size in sizes:
        lab.report.progress(f"subscribing up to {size} channels")
        grown.order("subscribe", pattern="ch-{c}", first=reached, last=size)
        for load in (grown, control):
            load.order("prepare", data=DATA, each=size // PUBLISHERS)
        reached = size
        costs[size] = relative(lab, grown, control, lambda load: load.order(
            "exchange", seconds=seconds))
    judge(lab, "channels", costs)


def sweep_idle(lab: Lab, grown: Load, control: Load, sizes: tuple[int, ...]) -> None:
    """Fan out to the same subscribers while more and more others are idle."""
    for load in (grown, control):
        load.order("open", count=SUBSCRIBERS, channel="busy")
        load.order("publisher_joins")
    costs, reached = {}, 0
    messages = 200 if lab.quick else 500
    for size in sizes:
        lab.report.progress(f"opening up to {size} idle connections")
        grown.order("open", count=size - reached, channel="idle-{i}", first=10_000 + reached)
        reached = size
        costs[size] = relative(lab, grown, control, lambda load: load.order(
            "fanout", channel="busy", data=DATA, subscribers=SUBSCRIBERS, messages=messages,
            window=1, rest=0.0))
    judge(lab, "idle connections", costs)


def relative(
    lab: Lab, grown: Load, control: Load, run: Callable[[Load], Measured]
) -> tuple[float, float]:
    """CPU per delivery, and as a multiple of the control's: medians of interleaved rounds."""
    absolute, ratios = [], []
    for round_number in range(-1, REPEATS * lab.rounds):
        first, second = (grown, control) if round_number % 2 else (control, grown)
        cost = {load.name: run(load).micros_each for load in (first, second)}
        if round_number >= 0:
            absolute.append(cost[grown.name])
            ratios.append(cost[grown.name] / cost[control.name])
    return statistics.median(absolute), statistics.median(ratios)


def judge(lab: Lab, what: str, costs: dict[int, tuple[float, float]]) -> None:
    """Claim that the largest size costs no more than the smallest."""
    for size, (absolute, ratio) in costs.items():
        lab.report.note(f"{size} {what}", f"{absolute:.2f} us/delivery, {ratio:.3f} of control")
    least, most = min(costs), max(costs)
    growth = costs[most][1] / costs[least][1]
    lab.report.claim(
        f"{costs[most][0]:.2f} us/delivery with {most} {what}, {costs[least][0]:.2f} with {least}: "
        f"{growth:.2f} times, control divided out (target <= {GROWTH:g})",
        holds=growth <= GROWTH,
    )


if __name__ == "__main__":
    main()
