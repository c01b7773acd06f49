"""What a member of a cluster shows of its Redis, its store, the cluster and its sessions.

Plain values at one moment, declared with the sentence that documents them. `wsmesh.observing` fills
them in, and `wsmesh.metrics` exposes them without knowing where they come from.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from attrs import field, frozen

from wsmesh.histogram import Histogram


class Kind(Enum):
    """How a figure behaves."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


def declaration(kind: Kind, text: str, label: str = "") -> Mapping[str, Any]:
    """Return the metadata of a field that is a figure.

    :param label: the value of the field is a mapping from this label's values.
    """
    return {"kind": kind, "text": text, "label": label}


def gauge(text: str, *, label: str = "") -> Any:
    """Declare a figure that goes up and down."""
    return field(metadata=declaration(Kind.GAUGE, text, label))


def counter(text: str, *, label: str = "") -> Any:
    """Declare a figure that only grows."""
    return field(metadata=declaration(Kind.COUNTER, text, label))


@frozen(kw_only=True)
class RedisFigures:
    """The connections to Redis, metrics `wsmesh_redis_*`."""

    masters: int = gauge("Masters of the deployment known now.")
    links: int = gauge("Connections for commands that there should be.")
    connected: int = gauge("Connections for commands that are up.")
    in_flight: int = gauge("Operations queued or unanswered.")
    breakers_open: int = gauge("Masters whose circuit breaker is open.")
    channels: int = gauge("Shard channels held.")
    channels_missing: int = gauge("Shard channels held that are not heard at the moment.")
    reconnects: int = counter("Connections made again after a loss, pub/sub included.")
    missed_deadlines: int = counter("Operations that were not answered in time.")
    redirections: int = counter("Operations that another master of a Redis Cluster had to take.")
    breakers_opened: int = counter("Times that a circuit breaker opened.")
    bytes_in: int = counter("Bytes from Redis.")
    bytes_out: int = counter("Bytes to Redis.")
    subscribe_commands: int = counter("Commands that subscribed or unsubscribed shard channels.")
    reply_seconds: Histogram = field(metadata=declaration(
        Kind.HISTOGRAM,
        "From the submission of an operation to its reply, redirections included; a sample.",
    ))  # fmt: skip


@frozen(kw_only=True)
class StoreFigures:
    """What publications go through, metrics `wsmesh_store_*`."""

    delivered: int = counter("Publications heard and handed to this node's subscribers.")
    duplicates: int = counter("Publications heard again and dropped.")
    stale: int = counter("Publications of an abandoned epoch, dropped.")
    repaired: int = counter("Publications that were missed and read from their stream.")
    gaps: int = counter("Times that missed publications could not be read again.")
    unknown: int = counter("Messages of a kind that this release does not know, skipped.")
    malformed: int = counter("Messages and entries that no release wrote, dropped.")
    failovers: int = counter("Streams with a new epoch because Redis has another history.")
    rollbacks: int = counter("Streams with a new epoch because their top went back.")
    quarantined: int = counter("Keys put aside because they held something else.")
    below_durability: int = counter("Publications stored less durably than asked for.")
    checked: int = counter("Positions compared with their streams.")
    reopened: int = counter("Pub/sub connections made anew because their canary was not heard.")
    listener_faults: int = counter("Faults inside wsmesh while a publication was delivered.")
    repairing: int = gauge("Channels that wait for missed publications.")
    canary_age_seconds: float = gauge(
        "Since the last canary was heard, of the shard where that is longest; +Inf: never."
    )
    canary_round_trip_seconds: float = gauge(
        "From publishing the last canary to hearing it, of the slowest shard."
    )


@frozen(kw_only=True)
class ClusterFigures:
    """The cluster as this node sees it, metrics `wsmesh_cluster_*`."""

    members: Mapping[str, int] = gauge("Members by state, this node included.", label="state")
    links: int = gauge("Mesh links to other nodes.")
    duty: Mapping[str, int] = gauge("What this node may do: 1 for one of them.", label="duty")
    unwell: int = gauge("How little this node may trust what it sees of others: 0 to 8.")
    lease_age_seconds: float = gauge(
        "Since the renewal of this node's lease that last succeeded; +Inf: none did."
    )
    incarnation: int = gauge("This node's; grows when the others have declared it dead.")
    changes: Mapping[str, int] = counter(
        "Changes that this node has seen: `died` counts deaths.", label="change"
    )


@frozen(kw_only=True)
class SessionFigures:
    """Sessions that outlive their connection, metrics `wsmesh_sessions` and others."""

    sessions: int = gauge("Sessions that this node serves and any node can continue.")
    session_resumptions: Mapping[str, int] = counter(
        "Attempts of clients to continue a session.", label="outcome"
    )
