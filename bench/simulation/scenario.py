"""Scenarios: what a simulated cluster is made of and what happens to it, read from TOML.

A scenario and a seed reproduce a run exactly; `Scenario.digest` names the scenario by its content.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Any, Literal

import attrs
import cattrs
from attrs import field, frozen, validators

DIRECTORY = Path(__file__).with_name("scenarios")
"""The scenarios that come with the simulator."""

Kind = Literal["crash", "join", "leave", "drain", "flap", "deploy"]


class ScenarioError(Exception):
    """A scenario cannot be used; the text names the place and what is wrong."""


_amount: Any = validators.ge(0)
_positive: Any = validators.gt(0)


@frozen(kw_only=True)
class NodeGroup:
    """Nodes that are alike.

    :param accept_rate: clients per second that a node takes, 0: any.
    """

    count: int = field(default=1, validator=_positive)
    weight: float = field(default=1.0, validator=_positive)
    capacity: int = field(default=10_000, validator=_positive)
    zone: str = ""
    accept_rate: float = field(default=0.0, validator=_amount)


@frozen(kw_only=True)
class Gateways:
    """Who places clients, and how old what they know is.

    :param count: gateways; each has its own instance of the strategy, clients come through any.
    :param report_interval: seconds between the reports of a node; nodes report at different times.
    :param report_delay: seconds until gateways have a report.
    :param detection: seconds until gateways no longer see a node that crashed.
    :param suspicion: seconds for which a gateway avoids a node that refused a client.
    :param attempts: nodes that are tried for a client.
    :param accept_queue: seconds that a client waits at a node with an `accept_rate` at most; the
        node refuses those who would wait longer.
    :param sees_ends: whether a gateway learns when a client it placed has gone.
    :param counts_own: whether strategies are told what their gateway opens; only to show what
        happens to those who go by reports alone.
    """

    count: int = field(default=3, validator=_positive)
    report_interval: float = field(default=5.0, validator=_positive)
    report_delay: float = field(default=0.05, validator=_amount)
    detection: float = field(default=1.0, validator=_amount)
    suspicion: float = field(default=1.0, validator=_amount)
    attempts: int = field(default=4, validator=_positive)
    accept_queue: float = field(default=1.0, validator=_amount)
    sees_ends: bool = True
    counts_own: bool = True


@frozen(kw_only=True)
class Sessions:
    """Clients: how many come, for how long.

    :param initial: clients at the start. They come evenly over `ramp` seconds; with 0 they are
        already there, spread by the weights of the nodes whatever the strategy.
    :param unevenness: with a `ramp` of 0, by which part of its share a node has more or fewer
        clients at the start, at most; drawn alike for every node.
    :param arrival_rate: clients per second that come after that (a Poisson process).
    :param mean_life: seconds a client stays on average (exponential), 0: for ever.
    :param keys: different keys, drawn alike; 0: every client has its own.
    :param hot_share: the share of clients who have one and the same key.
    :param return_within: seconds within which the clients of a crashed node come back.
    """

    initial: int = field(default=0, validator=_amount)
    ramp: float = field(default=0.0, validator=_amount)
    unevenness: float = field(default=0.0, validator=[_amount, validators.lt(1)])
    arrival_rate: float = field(default=0.0, validator=_amount)
    mean_life: float = field(default=0.0, validator=_amount)
    keys: int = field(default=0, validator=_amount)
    hot_share: float = field(default=0.0, validator=[_amount, validators.le(1)])
    return_within: float = field(default=2.0, validator=_amount)


@frozen(kw_only=True)
class Event:
    """Something that happens to nodes; those that are already there, or gone, it leaves alone.

    :param at: when, in seconds from the start.
    :param kind: `crash`: they are gone, and back after `down` if that is not 0. `leave`: their
        clients are sent elsewhere over `over` seconds, then they are gone. `drain`: as `leave`,
        but they stay, and accept again after further `down` seconds if that is not 0. `flap`: they
        crash for `down` and are up for `up` seconds, `times` times. `deploy`: one after the other
        they leave, are back after `down` seconds, and the next follows `up` seconds later.
        `join`: the nodes of `group` come.
    :param nodes: numbers of the nodes, from 0 in the order of the groups.
    :param zone: the nodes of this zone, too.
    """

    at: float = field(validator=_amount)
    kind: Kind
    nodes: tuple[int, ...] = ()
    zone: str | None = None
    over: float = field(default=0.0, validator=_amount)
    down: float = field(default=0.0, validator=_amount)
    up: float = field(default=0.0, validator=_amount)
    times: int = field(default=1, validator=_positive)
    group: NodeGroup | None = None


@frozen(kw_only=True)
class Scenario:
    """A cluster, its clients and its events.

    :param duration: seconds of virtual time.
    :param warm_up: seconds at the start that figures leave out.
    :param sample: seconds between samples.
    :param headline: the metric to compare strategies by.
    """

    name: str
    about: str
    duration: float = field(validator=_positive)
    warm_up: float = field(default=0.0, validator=_amount)
    sample: float = field(default=1.0, validator=_positive)
    headline: str = "max_avg"
    nodes: tuple[NodeGroup, ...] = field(validator=validators.min_len(1))
    gateways: Gateways = Gateways()
    sessions: Sessions = Sessions()
    events: tuple[Event, ...] = ()

    def __attrs_post_init__(self) -> None:
        if self.warm_up >= self.duration:
            raise ValueError("warm_up: expected less than the duration")
        known = sum(group.count for group in self.nodes)
        room = sum(group.count * group.capacity for group in self.nodes)
        if self.sessions.initial > room and not self.sessions.ramp:
            raise ValueError(f"sessions: expected at most {room} clients who are there at once")
        zones = {group.zone for group in self.nodes}
        for event in self.events:
            if any(not 0 <= number < known for number in event.nodes):
                raise ValueError(f"events: expected nodes from 0 to {known - 1}")
            if event.zone is not None and event.zone not in zones:
                raise ValueError(f"events: there is no zone {event.zone!r}")
            if event.kind == "join":
                if event.group is None:
                    raise ValueError("events: expected a group that joins")
            elif not event.nodes and event.zone is None:
                raise ValueError(f"events: expected nodes or a zone to {event.kind}")

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits of SHA-256 over everything that is in it."""
        text = json.dumps(attrs.asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def shipped() -> dict[str, Path]:
    """Return the scenarios that come with the simulator, by name."""
    return {path.stem: path for path in sorted(DIRECTORY.glob("*.toml"))}


def load(path: Path) -> Scenario:
    """Read a scenario; its name is that of the file.

    :raises ScenarioError: it cannot be read, or is not one.
    """
    try:
        raw = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path}: {error}") from error
    converter = cattrs.Converter(forbid_extra_keys=True)
    try:
        return converter.structure({"name": path.stem, **raw}, Scenario)
    except cattrs.BaseValidationError as error:
        problems = "; ".join(cattrs.transform_error(error, path="scenario"))
        text = _innermost(error)
        raise ScenarioError(f"{path}: {problems}" + (f" ({text})" if text else "")) from error


def _innermost(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return "" if isinstance(error, cattrs.ForbiddenExtraKeysError) else str(error)
