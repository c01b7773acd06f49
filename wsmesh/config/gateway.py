"""The gateway: where it finds nodes, and how it hands clients over: `[gateway]`."""

from __future__ import annotations

from attrs import frozen

from wsmesh.config.values import ByteSize, Seconds, at_least, one_of, option, within


@frozen(kw_only=True)
class GatewaySection:
    """`[gateway]`: one address for all nodes."""

    nodes: tuple[str, ...] = option(
        (),
        'Nodes by hand: "unix:PATH" is the control socket of one on this host ([node] control), '
        "which gets clients without a byte passing through the gateway afterwards; HOST:PORT is "
        "one elsewhere, to which bytes are relayed. Those of [redis] come on top.",
    )
    control_dir: str = option(
        "", "Directory in which every *.sock is the control socket of a node on this host."
    )
    control: str = option(
        "", "Path of the Unix socket on which the gateway reports how it is, to its supervisor."
    )
    fds: tuple[int, ...] = option(
        (),
        "Descriptors of listening sockets that the process was started with, one for each of "
        "[[listeners]]; empty: it opens them.",
    )
    tls: str = option(
        "terminate",
        'On listeners with tls: "terminate" it here and relay bytes, or "pass" the connection '
        'unread to a node, which needs the certificate; then only key = "ip" can be told.',
        validator=one_of("terminate", "pass"),
    )
    max_waiting: int = option(
        4096,
        "Clients whose request is not read or not placed yet; further ones get 503, those that "
        "come back later than those that are new.",
        validator=at_least(1),
    )
    at_once: int = option(
        256, "Clients being handed over at the same time; others wait.", validator=at_least(1)
    )
    attempts: int = option(
        4, "Nodes that are tried for one client before it gets 503.", validator=within(1, 100)
    )
    handover_timeout: Seconds = option(
        Seconds(0.5), "How long a node on this host may take to take a client.",
        validator=at_least(0.01),
    )
    connect_timeout: Seconds = option(
        Seconds(1.0), "How long connecting to a node elsewhere may take.",
        validator=at_least(0.01),
    )
    suspect_for: Seconds = option(
        Seconds(1.0), "How long a node gets nobody after it could not be reached.",
        validator=at_least(0.0),
    )
    retry_after: Seconds = option(
        Seconds(2.0), "When clients that no node takes are told to come back.",
        validator=at_least(1.0),
    )
    relay_idle_timeout: Seconds = option(
        Seconds(300.0), "A relayed connection without a byte for so long is closed.",
        validator=at_least(1.0),
    )
    relay_buffer: ByteSize = option(
        ByteSize(64 * 1024), "Bytes held for one direction of a relayed connection.",
        validator=at_least(4096),
    )
    refresh_interval: Seconds = option(
        Seconds(1.0), "How often the nodes of [redis] are read.", validator=at_least(0.05)
    )
