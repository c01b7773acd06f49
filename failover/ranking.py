"""Rankings: the order in which a key prefers members, the same for everybody who asks."""

from __future__ import annotations

from balancers import KEYED, STRATEGIES
from balancers.bounded_load import BASES, BoundedLoadSpec
from balancers.interface import Spec
from balancers.rendezvous import RendezvousSpec


def ranking_of(balancer: Spec, hash_seed: str) -> Spec:
    """Return the hash strategy whose order counts.

    The balancer itself when it goes by keys alone; what `bounded_load` bounds; else `rendezvous`
    with this seed, because nobody else can repeat what chance or loads decided.
    """
    if isinstance(balancer, BoundedLoadSpec):
        return BASES[balancer.base](**balancer.base_options)
    if isinstance(balancer, tuple(STRATEGIES[name] for name in KEYED)):
        return balancer
    return RendezvousSpec(hash_seed=hash_seed)
