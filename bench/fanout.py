"""Fan-out of 128-byte messages to 5,000 subscribers: CPU per delivery against a raw send loop.

The reference sends the very bytes that the node sends, to as many sockets, on the same core, in
turns with the node. `one by one` publishes a message when the one before has reached everybody, so
that nothing can be coalesced; `saturating` keeps 16 messages on their way.
"""

from __future__ import annotations

import base64
from contextlib import ExitStack

import click

from bench.lab.load import Load, open_load
from bench.lab.options import Lab, lab_options
from bench.lab.report import Rounds
from bench.lab.servers import Server, open_c_fanout, open_node, open_python_peer

TARGET = 1.3
CHANNEL = "news"
DATA = "x" * 126
"""128 bytes of JSON with its quotes."""

VARIANTS = {"one by one": 1, "saturating": 16}


@click.command()
@lab_options("fanout")
@click.option("--subscribers", type=click.IntRange(1, 19_000), default=5000, show_default=True)
@click.option("--messages", type=click.IntRange(1), help="Per round; 40, quick 10.")
@click.option("--history", type=click.IntRange(0), default=0, show_default=True,
              help="Publications that the node keeps.")
@click.option("--eager", is_flag=True,
              help="Receivers wait on every socket, so each send also pays for a wake-up.")
@click.option("--with-c", is_flag=True, help="Show the loop in C too; needs cc.")
def main(
    lab: Lab, subscribers: int, messages: int | None, history: int, eager: bool, with_c: bool
) -> None:
    """Compare the node's fan-out with a bare loop of non-blocking sends."""
    messages = messages or (10 if lab.quick else 40)
    rest = 0.0 if eager else 0.001
    with ExitStack() as stack:
        node, frame = open_subscribed_node(lab, stack, subscribers, history)
        lab.report.note("frame", f"{len(frame)} bytes to {subscribers} sockets")
        references = [open_python_peer("raw_fanout", core=lab.server_core, dialect="raw")]
        if with_c:
            references.append(open_c_fanout(core=lab.server_core))
        raw = [open_reference(lab, stack, stack.enter_context(each), subscribers, frame)
               for each in references]
        costs = measure(lab, [node, *raw], subscribers, messages, rest)
    for variant in VARIANTS:
        ours, *theirs = (
            Rounds(f"{load.name} ({variant})", costs[load.name, variant], "us/delivery")
            for load in (node, *raw)
        )
        for rounds in (ours, *theirs):
            lab.report.show(rounds)
        lab.report.compare(ours, theirs[0], at_most=TARGET)
    lab.report.finish()


def measure(
    lab: Lab, loads: list[Load], subscribers: int, messages: int, rest: float
) -> dict[tuple[str, str], list[float]]:
    """CPU per delivery by server and variant, round by round, the servers taking turns."""
    costs: dict[tuple[str, str], list[float]] = {}
    for round_number in range(-1, lab.rounds):
        lab.report.progress(f"round {round_number + 1} of {lab.rounds} (0: warm-up)")
        for variant, window in VARIANTS.items():
            for load in loads:
                got = load.order(
                    "fanout", channel=CHANNEL, data=DATA, subscribers=subscribers,
                    messages=messages, window=window, rest=rest,
                )
                if round_number < 0:
                    continue
                costs.setdefault((load.name, variant), []).append(got.micros_each)
                lab.report.progress(
                    f"{load.name}, {variant}: {got.micros_each:.2f} us/delivery, server "
                    f"{got.server_share:.0%} and load {got.load_share:.0%} of their cores"
                )
    return costs


def open_subscribed_node(
    lab: Lab, stack: ExitStack, subscribers: int, history: int
) -> tuple[Load, bytes]:
    """The node with its subscribers, and the frame that each of them gets."""
    server = stack.enter_context(open_node(core=lab.server_core, history=history))
    node = stack.enter_context(open_load(
        "node", port=server.port, server_pid=server.pid, dialect=server.dialect,
        core=lab.load_core, secret=server.secret,
    ))
    lab.report.progress(f"opening {subscribers} subscribers")
    node.order("open", count=subscribers, channel=CHANNEL)
    node.order("publisher_joins")
    frame = node.order("check_fanout", channel=CHANNEL, data=DATA).result
    assert isinstance(frame, str)
    return node, base64.b64decode(frame)


def open_reference(
    lab: Lab, stack: ExitStack, peer: Server, subscribers: int, frame: bytes
) -> Load:
    """A raw loop with as many sockets that will send the same bytes."""
    raw = stack.enter_context(open_load(
        peer.name, port=peer.port, server_pid=peer.pid, dialect=peer.dialect, core=lab.load_core,
    ))
    raw.order("open", count=1)
    raw.order("open", count=subscribers)
    order = b"F" + len(frame).to_bytes(4, "big") + frame
    raw.order("tell", content=base64.b64encode(order).decode())
    raw.order("check_fanout", channel=CHANNEL, data=DATA)
    return raw


if __name__ == "__main__":
    main()
