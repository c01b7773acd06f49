"""A chaos run: a cluster under load, faults from a seed, and the verdict on what clients saw."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import trio
from attrs import asdict, frozen

from tests.chaos.interruptions import Line, silences, table
from tests.chaos.schedule import KINDS, Fault, schedule
from tests.chaos.shrink import shrunk
from tests.chaos.site import Site, open_site
from tests.history.check import check, read_log
from tests.history.client import Load, recorded_load
from tests.history.events import line_of
from tests.history.found import Verdict
from tests.history.limits import Limits
from tests.node_process import API_KEY
from wsmesh.client import Deadlines

CHANNELS = ("a", "b", "c", "d")
BOUND = 5.0
"""Seconds that an interruption may last."""
SHRINK_FOR = 60.0
PATIENCE = Deadlines(ping=1.0)
"""Nodes ping every second: two seconds of silence are a lost connection."""

Tell = Callable[[str, float], None]
"""Is told what happens, and at which second."""


@frozen(kw_only=True)
class Plan:
    """What a run is.

    :param seconds: of load.
    :param clients: subscribers.
    """

    seed: int
    seconds: float
    nodes: int = 4
    clients: int = 24
    publishers: int = 8
    rate: float = 10.0


@frozen(kw_only=True)
class Outcome:
    """What came of it.

    :param problems: that the history does not show.
    :param smallest: lines of the smallest history that breaks the same promise.
    """

    plan: Plan
    faults: Sequence[Fault]
    verdict: Verdict
    lines: Sequence[Line]
    problems: Sequence[str]
    smallest: Sequence[str] = ()

    @property
    def is_good(self) -> bool:
        """Whether every promise was kept, in time."""
        return self.verdict.is_valid and not self.problems and not self.late

    @property
    def late(self) -> list[str]:
        """Classes of faults that interrupted somebody for too long."""
        return [line.fault for line in self.lines if line.worst > BOUND]

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        facts = {
            "plan": asdict(self.plan), "faults": [asdict(fault) for fault in self.faults],
            "verdict": self.verdict.outcome, "violations": dict(self.verdict.counts),
            "totals": dict(self.verdict.totals), "happened": dict(self.verdict.sometimes),
            "interruptions": [asdict(line) for line in self.lines],
            "problems": list(self.problems), "smallest": list(self.smallest),
        }
        path.write_text(json.dumps(facts, indent=2) + "\n")


async def run(plan: Plan, directory: Path, tell: Tell) -> Outcome:
    """Run it; the logs and the record are below the directory."""
    record = directory / "record"
    record.mkdir(parents=True)
    faults = schedule(plan.seed, plan.nodes, plan.seconds)
    async with open_site(directory, plan.nodes) as site:
        places = site.places[:-1]
        async with recorded_load(
            [place.url for place in places], channels=CHANNELS, publishers=plan.publishers,
            subscribers=plan.clients, directory=record, api_key=API_KEY, rate=plan.rate,
            deadlines=PATIENCE, settle_within=30.0,
        ) as load:
            await _befall_all(site, load, faults, plan.seconds, tell)
        problems = [*site.problems, *_crashes(site)]
        problems += [f"{cid} never got all of {channel}" for cid, channel in load.missing]
    tell("the record is judged", plan.seconds)
    return judged(plan, faults, record, problems)


def judged(
    plan: Plan, faults: Sequence[Fault], record: Path, problems: Sequence[str]
) -> Outcome:
    """Judge the record of a run."""
    limits = Limits(return_within=BOUND, silent_within=BOUND)
    verdict = check([record], limits)
    logs = {path.stem: list(read_log(path)) for path in sorted(record.glob("*.jsonl"))}
    events = [event for each in logs.values() for event in each]
    lines = table(silences(events), Counter(fault.kind for fault in faults))
    smallest: list[str] = []
    if verdict.violations:
        deadline = trio.current_time() + SHRINK_FOR
        found = shrunk(logs, verdict, limits, lambda: trio.current_time() < deadline)
        whole = sorted((event for each in found.values() for event in each), key=lambda e: e.t)
        smallest = [line_of(event) for event in whole]
    return Outcome(
        plan=plan, faults=faults, verdict=verdict, lines=lines, problems=problems,
        smallest=smallest,
    )


async def _befall_all(
    site: Site, load: Load, faults: Sequence[Fault], seconds: float, tell: Tell
) -> None:
    began = trio.current_time()

    async def befall(fault: Fault) -> None:
        kind = KINDS[fault.kind]
        await trio.sleep_until(began + fault.at)
        tell(str(fault).strip(), fault.at)
        async with load.fault(
            fault.kind, site.places[fault.node].name, silent=kind.is_silent, outage=kind.is_deaf
        ):
            await site.befall(fault)

    async with trio.open_nursery() as nursery:
        for fault in faults:
            nursery.start_soon(befall, fault)
        await trio.sleep_until(began + seconds)
    tell("faults are over", seconds)


def _crashes(site: Site) -> list[str]:
    return [
        f"node-{place.number} logged a traceback" for place in site.places
        if "Traceback" in place.said()
    ]
