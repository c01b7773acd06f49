"""Moving clients to nodes that are new or came back: `[rebalance]`, made from what it declares."""

from __future__ import annotations

from collections.abc import Iterator

from balancers import KEYED
from failover.rebalance import Rebalance
from wsmesh.config.balancing import BalancerSection, options_section, spec_of
from wsmesh.config.faults import Fault
from wsmesh.config.values import quoted

RebalanceSection = options_section(
    Rebalance, "`[rebalance]`: clients leave nodes that have too many.", enabled=False
)


def rebalance_of(section: object) -> Rebalance:
    """Return how rounds are planned.

    :raises ValueError: two options do not go together.
    """
    plan: Rebalance = spec_of(Rebalance, section)
    return plan


def rebalance_faults(section: object, balancer: BalancerSection) -> Iterator[Fault]:
    """Yield what is wrong with options that are each right by themselves."""
    try:
        rebalance_of(section)
    except ValueError as error:
        name, _, text = str(error).partition(": ")
        yield Fault(f"rebalance.{name}", text)
    if not getattr(section, "enabled", False):
        return
    if balancer.sticky.enabled:
        text = "expected false, because clients have their places by balancer.sticky"
        yield Fault("rebalance.enabled", text, ("balancer.sticky.enabled",))
    elif balancer.strategy in KEYED or balancer.strategy == "first":
        text = f"balancer.strategy {quoted(balancer.strategy)}"
        yield Fault(
            "rebalance.enabled", f"expected false, because clients have their places by {text}",
            ("balancer.strategy",),
        )
