"""Where a member of a cluster reads its figures: Redis, store, membership, sessions."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import get_args

from attrs import asdict

from wsmesh.cluster.changes import Change
from wsmesh.cluster.nodes import NodeState
from wsmesh.cluster.verdicts import Duty
from wsmesh.clustering import Joined
from wsmesh.figures import ClusterFigures, RedisFigures, SessionFigures, StoreFigures
from wsmesh.metrics import Metrics
from wsmesh.session.tenure import Tenures
from wsmesh.store.opening import Storage
from wsmesh.store.redis.client import Redis
from wsmesh.store.redis.store import RedisStore

CHANGES = tuple(each.__name__.lower() for each in get_args(Change))
STATES = tuple(each for each in NodeState if each is not NodeState.DEAD)
"""Of members; a dead node is none."""


def observe_cluster(
    metrics: Metrics, storage: Storage, joined: Joined, tenures: Tenures
) -> None:
    """Let a member's metrics show what only members have."""
    assert storage.redis is not None
    assert storage.shared is not None
    metrics.observe(partial(redis_figures, storage.redis), prefix="redis_")
    metrics.observe(partial(store_figures, storage.shared), prefix="store_")
    metrics.observe(partial(cluster_figures, joined), prefix="cluster_")
    metrics.observe(partial(session_figures, tenures))


def redis_figures(redis: Redis) -> RedisFigures:
    """Return how the connections are, and what they did since the node started."""
    now = redis.statistics
    return RedisFigures(
        masters=now.masters, links=now.links, connected=now.connected, in_flight=now.in_flight,
        breakers_open=now.breakers_open, channels=now.channels, channels_missing=now.missing,
        reply_seconds=redis.reply_times.seconds, **asdict(now.totals),
    )


def store_figures(store: RedisStore) -> StoreFigures:
    """Return what happened to publications since the node started, and what is heard."""
    counts = asdict(store.counts)
    return StoreFigures(
        malformed=counts.pop("garbage"), repairing=store.repairs,
        canary_age_seconds=store.silence,
        canary_round_trip_seconds=max(store.round_trips.values(), default=0.0), **counts,
    )


def cluster_figures(joined: Joined) -> ClusterFigures:
    """Return the cluster as this node sees it."""
    membership = joined.membership
    states = Counter(seen.state for seen in membership.view.members.values())
    return ClusterFigures(
        members={state.value: states[state] for state in STATES},
        links=len(membership.mesh.peers),
        duty={duty.value: int(duty is membership.duty) for duty in Duty},
        unwell=membership.unwell,
        lease_age_seconds=membership.lease_age,
        incarnation=membership.record.incarnation,
        changes={change: joined.changes[change] for change in CHANGES},
    )


def session_figures(tenures: Tenures) -> SessionFigures:
    """Return what is served of sessions that can be continued."""
    return SessionFigures(sessions=len(tenures), session_resumptions=tenures.resumptions)
