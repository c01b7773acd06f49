"""What every rendered configuration is made of: nodes, the client's key, timeouts, and losses."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from wsmesh.config.addresses import TCPAddress
from wsmesh.config.sections import Config

HOUR = 3600.0


@frozen
class Upstream:
    """A node behind the balancer.

    :param weight: relative to the other nodes.
    """

    name: str
    address: TCPAddress
    weight: float = 1.0


@frozen
class Rendered:
    """A configuration, and what it cannot do that the gateway does, a sentence each."""

    text: str
    lost: tuple[str, ...]


def weights(upstreams: Sequence[Upstream], largest: int = 100) -> list[int]:
    """Return the weights as integers from 1 on; the heaviest has the largest."""
    heaviest = max((each.weight for each in upstreams), default=1.0)
    return [max(1, round(each.weight / heaviest * largest)) for each in upstreams]


def silence(config: Config) -> float:
    """Return for how many seconds nothing may pass on a connection that is alive.

    Nodes ping, so that whatever is silent for two rounds has gone.
    """
    client = config.client
    if not client.ping_interval:
        return HOUR
    return 2.0 * (client.ping_interval + client.pong_timeout)


def keys(config: Config) -> list[tuple[str, str]]:
    """Return where the client's key is looked for: kinds and names, in order."""
    parted = (key.partition(":") for key in config.affinity.keys)
    return [(kind, name) for kind, _, name in parted]


def needs_key(config: Config, keyed: frozenset[str]) -> bool:
    """Return whether clients are placed by their key.

    :param keyed: names of strategies that do.
    """
    return config.balancer.strategy in keyed or bool(config.balancer.sticky.enabled)


def always_lost(config: Config) -> list[str]:
    """Return what no balancer but the gateway does."""
    lost = [
        "every byte of every client passes the balancer, which the gateway is out of after the "
        "hand-over",
        "clients that continue a session do not go ahead of new ones",
    ]
    if config.balancer.zone.enabled:
        lost.append("[balancer.zone]: all nodes are alike, wherever they are")
    if not config.health.enabled:
        lost.append("[health] enabled = false: nodes that drain or are full are found by refusals")
    if config.affinity.header:
        lost.append("[affinity] header: clients without cookies get no key")
    return lost


def comment(lost: Sequence[str], made_by: str) -> str:
    """Return the head of a file: who made it, and what is lost."""
    lines = [f"Made by `python -m wsmesh render {made_by}`. Compared with the gateway:", *(
        f"  - {each}" for each in lost
    )]
    return "".join(f"# {line}\n" for line in lines)
