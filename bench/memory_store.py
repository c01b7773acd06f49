"""CPU per publish into the memory store, against a plain dict and deque.

Run: `python -m bench memory_store`. The plain loop appends to a bounded deque found in a dict; all
run in the same process, and the figures are medians of seven runs of CPU time. The node subscribed
to every channel, so each publish is delivered, to a function that does nothing; the clock is
Trio's.
Targets: 2 µs with history, 1 µs without.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from statistics import median

import trio
from msgspec import Raw

from wsmesh.protocol.messages import Publication
from wsmesh.store.interface import Position, Published, PublishOptions, Retention
from wsmesh.store.memory import MemoryStore

RUNS = 7
CALLS = 50_000
CHANNELS = [f"news:{number}" for number in range(100)]
KEPT = 100


def microseconds(publish_all: Callable[[], None]) -> float:
    """CPU time of one publish, the median of several runs of `CALLS`."""
    figures = []
    for _ in range(RUNS):
        began = time.process_time()
        publish_all()
        figures.append((time.process_time() - began) / CALLS * 1e6)
    return median(figures)


def turns() -> Iterator[str]:
    """Yield the channels in turn, `CALLS` in all."""
    for _ in range(CALLS // len(CHANNELS)):
        yield from CHANNELS


def plain(publication: Publication) -> Callable[[], None]:
    """The floor: find a bounded deque, append."""
    streams: dict[str, deque[Publication]] = {name: deque(maxlen=KEPT) for name in CHANNELS}

    def publish_all() -> None:
        for channel in turns():
            streams[channel].append(publication)

    return publish_all


async def through_store(publication: Publication, retention: Retention) -> Callable[[], None]:
    """The store, with the cheapest possible listener."""
    store = MemoryStore()
    store.listen(_deliver, _presence_event, _gap)
    for channel in CHANNELS:
        await store.subscribe(channel)
    options = PublishOptions(retention=retention)

    def publish_all() -> None:
        for channel in turns():
            store.publish_nowait(channel, publication, options, _settle)

    return publish_all


def _deliver(channel: str, publication: Publication, position: Position) -> None:
    """Deliver to nobody."""


def _gap(channel: str) -> None:
    """Memory misses nothing."""


def _presence_event(channel: str, info: object, joined: bool) -> None:
    """Deliver to nobody."""


def _settle(outcome: Published | Exception) -> None:
    """The publisher does not care."""


async def main() -> None:
    """Print a line for each kind of publish."""
    publication = Publication(data=Raw(b'{"price":42}'))
    floor = microseconds(plain(publication))
    print(f"{'publish':<18}{'us':>7}{'x plain':>9}")
    print(f"{'dict and deque':<18}{floor:>7.2f}{1:>9.1f}")
    for name, retention in (
        ("without history", Retention()),
        ("with history", Retention(size=KEPT, ttl=60.0)),
    ):
        figure = microseconds(await through_store(publication, retention))
        print(f"{name:<18}{figure:>7.2f}{figure / floor:>9.1f}")


if __name__ == "__main__":
    trio.run(main)
