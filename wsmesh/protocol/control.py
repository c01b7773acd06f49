"""What a node says on its control socket, and what is said to it: reports, and clients handed over.

The socket is a Unix one that keeps the bounds of messages (`SOCK_SEQPACKET`), opened by the node
at `[node] control`. The node reports to everybody who connects, every `REPORT_INTERVAL` and at
once when its state changes: a supervisor takes its silence for a hang, a gateway for a reason to
place nobody there. A gateway hands over clients; the descriptor of a client's socket comes with
the message (`SCM_RIGHTS`, unix(7)). The node answers each with `Taken` or `Refused`, and touches
the socket only after it has answered, so that a client of a node that dies belongs to exactly one
of the two.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from wsmesh.errors import WsmeshError

REPORT_INTERVAL = 0.25
"""Seconds between reports."""

LARGEST = 96 * 1024
"""Bytes of a message at most; request heads are bounded far below (`[limits]`)."""


class MalformedControl(WsmeshError):
    """A control message cannot be understood."""


class Report(Struct, frozen=True, kw_only=True, tag="report"):
    """How a node is.

    :param node: its id.
    :param incarnation: which of its lives.
    :param pid: its process.
    :param state: a `wsmesh.cluster.nodes.NodeState` by value.
    :param is_ready: takes new clients.
    :param report: grows with every report.
    :param connections: open client connections.
    :param capacity: at most.
    :param load: see `wsmesh.cluster.health.load_of`.
    :param health: see `wsmesh.cluster.health.health_of`.
    :param listeners: addresses for clients, `HOST:PORT`.
    """

    node: str
    incarnation: int
    name: str
    pid: int
    state: str
    is_ready: bool
    report: int
    connections: int
    capacity: int
    weight: float = 1.0
    zone: str = ""
    load: float = 0.0
    health: float = 1.0
    listeners: tuple[str, ...] = ()


class Handover(Struct, frozen=True, kw_only=True, tag="handover"):
    """A client's socket, which comes with this message.

    :param number: names it in the answer; grows.
    :param address: the client's IP address, empty for a Unix socket.
    :param is_secure: the client speaks TLS with the gateway.
    :param begun: what was read from the socket, a whole request head at least.
    :param headers: further header fields for the answer to the upgrade.
    :param waited: seconds since the gateway accepted it.
    :param tls: the node speaks TLS with the client; nothing was read.
    """

    number: int
    address: str
    is_secure: bool = False
    begun: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    waited: float = 0.0
    tls: bool = False


class Taken(Struct, frozen=True, tag="taken"):
    """The client is this node's."""

    number: int


class Refused(Struct, frozen=True, tag="refused"):
    """The client is still the gateway's."""

    number: int
    reason: str


Message = Report | Handover | Taken | Refused

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def encode(message: Message) -> bytes:
    """Return a message's bytes."""
    return _encoder.encode(message)


def decode(data: bytes) -> Message:
    """Return what `encode` of this or a neighbouring release wrote.

    :raises MalformedControl: it is no control message.
    """
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise MalformedControl(f"not a control message: {error}") from error
