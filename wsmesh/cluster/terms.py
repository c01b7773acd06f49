"""What a member of a cluster keeps to."""

from __future__ import annotations

from ssl import SSLContext

from attrs import frozen

from wsmesh.cluster.actions import Timing
from wsmesh.cluster.verdicts import StoreLoss


@frozen(kw_only=True)
class Terms:
    """What a member of this cluster keeps to; seconds.

    :param beat: `[node] heartbeat_interval`.
    :param lease: `[node] node_timeout`.
    """

    beat: float
    lease: float
    accusers: int
    on_store_loss: StoreLoss
    timing: Timing
    secret: bytes
    server_tls: SSLContext | None = None
    client_tls: SSLContext | None = None
