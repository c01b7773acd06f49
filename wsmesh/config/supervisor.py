"""How `python -m wsmesh up` keeps the processes of one host running: `[supervisor]`."""

from __future__ import annotations

from attrs import frozen

from wsmesh.config.values import Seconds, at_least, option, within


@frozen(kw_only=True)
class SupervisorSection:
    """`[supervisor]`: a gateway and several nodes on one host, started by `up`."""

    nodes: int = option(
        0, "Node processes; 0: one for each core that the supervisor may use.",
        validator=within(0, 1024),
    )
    gateway: bool = option(
        True,
        "Run a gateway, which has the addresses of [[listeners]]. Without one each node has "
        "addresses of its own: the ports of [[listeners]] and those that follow.",
    )
    hang_timeout: Seconds = option(
        Seconds(2.0),
        "A process that says nothing on its control socket for so long is killed and started "
        "again; it reports every 250ms.",
        validator=at_least(0.5),
    )
    start_timeout: Seconds = option(
        Seconds(30.0), "How long a process may take from its start to its first report.",
        validator=at_least(0.1),
    )
    restart_backoff: Seconds = option(
        Seconds(0.5), "Wait after the first failure of a process; it doubles with each in a row.",
        validator=at_least(0.0),
    )
    restart_backoff_max: Seconds = option(
        Seconds(30.0), "The longest of these waits.", validator=at_least(0.0)
    )
    healthy_after: Seconds = option(
        Seconds(60.0), "A process that ran so long begins to count its failures anew.",
        validator=at_least(0.1),
    )
    give_up_after: int = option(
        10,
        "Failures in a row after which a process is hopeless. The supervisor gives up when the "
        "gateway is, or every node.",
        validator=at_least(1),
    )
    give_up_outage: Seconds = option(
        Seconds(60.0), "It also gives up when for so long no node was running.",
        validator=at_least(0.1),
    )
    cpu_affinity: bool = option(False, "Bind each node to a core of its own.")
    runtime_dir: str = option(
        "",
        "Directory of the control sockets, made if it is not there; empty: one of its own below "
        "$XDG_RUNTIME_DIR, else in the temporary directory.",
    )
    rolling_pause: Seconds = option(
        Seconds(1.0),
        "In a rolling restart, from a node being ready to the next being stopped; a gateway learns "
        "of the first meanwhile.",
        validator=at_least(0.5),
    )
