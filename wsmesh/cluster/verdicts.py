"""Who is dead, and what a node without the store may do: two decisions, made from values only.

A verdict needs accusations, and an accusation needs a node that did not answer: a lease that ran
out accuses nobody, so that an outage of the store, which ends all leases, condemns nobody.
The registry carries `judge` out inside Redis (`scripts/node_accuse.lua`).
"""

from __future__ import annotations

from enum import Enum

from attrs import define, field, frozen

from wsmesh.cluster.nodes import Identity


@frozen(kw_only=True)
class Evidence:
    """What the registry knows when somebody accuses a node.

    :param accusers: different nodes that accuse this incarnation within the window.
    :param others: nodes besides the accused whose leases have not run out.
    :param is_refused: the accuser found the host up and nobody listening.
    :param is_expired: the accused's lease has run out, by the store's clock.
    """

    accusers: int
    others: int
    is_refused: bool = False
    is_expired: bool = False


def judge(evidence: Evidence, needed: int) -> bool:
    """Return whether an accused node is dead; final for its incarnation.

    Enough accusers are a verdict. One is enough where two independent signs agree (connections
    refused, lease run out), and where no second accuser is left to ask (the accuser is the only
    other node) if it has one of the two signs.

    :param needed: `[cluster] accusers`.
    """
    if evidence.accusers <= 0:
        return False
    if evidence.accusers >= needed or (evidence.is_refused and evidence.is_expired):
        return True
    return evidence.others <= 1 and (evidence.is_refused or evidence.is_expired)


@define
class Accusations:
    """The accusations of one registry that still count.

    :param window: seconds an accusation counts.
    """

    window: float
    _made: dict[Identity, dict[Identity, float]] = field(factory=dict, init=False)

    def accuse(self, accused: Identity, accuser: Identity, now: float) -> int:
        """Count an accusation, again if need be; return how many different nodes accuse."""
        if accused != accuser:
            self._made.setdefault(accused, {})[accuser] = now
        return len(self.accusers(accused, now))

    def absolve(self, accused: Identity, accuser: Identity) -> None:
        """Withdraw an accusation; withdrawing none is no error."""
        self._made.get(accused, {}).pop(accuser, None)

    def forget(self, who: Identity) -> None:
        """A node is gone: it neither accuses nor is accused any more."""
        self._made.pop(who, None)
        for accusers in self._made.values():
            accusers.pop(who, None)

    def accusers(self, accused: Identity, now: float) -> frozenset[Identity]:
        """Return who accuses this incarnation and did so within the window."""
        made = self._made.get(accused, {})
        for accuser in [each for each, at in made.items() if now - at > self.window]:
            del made[accuser]
        return frozenset(made)


class StoreLoss(Enum):
    """`[cluster] on_store_loss`."""

    LEASE_MAJORITY = "lease_majority"
    KEEP_SERVING = "keep_serving"
    FENCE = "fence"


class Duty(Enum):
    """What a node may do: everything; all but take over sessions; nothing, its sockets close."""

    SERVE = "serve"
    SERVE_NO_CLAIMS = "serve_no_claims"
    FENCE = "fence"


def on_store_loss(
    policy: StoreLoss, *, lease: float, lease_age: float, peers: int, cluster_size: int
) -> Duty:
    """Return what a node that cannot reach the store may do; ask again whenever a figure changes.

    While its lease runs nobody may take what it holds, so it serves. Afterwards `keep_serving`
    keeps its clients, `fence` closes them, and `lease_majority` asks whether it is the store that
    is away (most nodes still answer this one: keep them) or this node (close them). Half of the
    nodes are no majority. A session that comes back elsewhere is fenced by its epoch in any case.

    :param lease: seconds, `[node] node_timeout`.
    :param lease_age: seconds since the renewal that last succeeded was *sent*.
    :param peers: other nodes that answer this one now.
    :param cluster_size: nodes that the view held when the store was lost, this one included.
    """
    if lease_age < lease:
        return Duty.SERVE
    if policy is StoreLoss.FENCE:
        return Duty.FENCE
    if policy is StoreLoss.LEASE_MAJORITY and 2 * (peers + 1) <= cluster_size:
        return Duty.FENCE
    return Duty.SERVE_NO_CLAIMS
