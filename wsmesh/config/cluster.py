"""How the nodes of a cluster know and watch each other: `[cluster]`."""

from __future__ import annotations

from attrs import frozen

from wsmesh.config.values import Seconds, Secret, at_least, one_of, option, within


@frozen(kw_only=True)
class ClusterSection:
    """`[cluster]`: links between nodes, and when a silent node is given up."""

    secret: Secret = option(
        Secret(),
        "What proves to a node that another belongs to the cluster; the same on every node. "
        "Empty: one that the first node leaves in the store.",
    )
    address: str = option(
        "127.0.0.1:0", "HOST:PORT to accept other nodes on; port 0 lets the kernel choose."
    )
    advertise: str = option(
        "",
        "HOST or HOST:PORT under which other nodes reach it; empty: `address`. Without a port, "
        "that of `address`.",
    )
    zone: str = option("", "Where the node runs, such as a data centre; for balancers.")
    weight: float = option(
        1.0, "The node's share of clients relative to others.", validator=within(0.001, 1000.0)
    )
    probe_interval: Seconds = option(
        Seconds(1.0), "How often a node probes each of those it watches.", validator=at_least(0.05)
    )
    probe_timeout: Seconds = option(
        Seconds(0.5), "How long the answer to a probe may take.", validator=at_least(0.02)
    )
    probe_misses: int = option(
        2,
        "Unanswered probes in a row before a node is accused; the last also goes through others.",
        validator=within(1, 10),
    )
    accusers: int = option(
        2,
        "Nodes that must accuse one before it is dead; in a cluster of two the other one is "
        "enough if connections are refused or the lease ran out.",
        validator=within(1, 3),
    )
    on_store_loss: str = option(
        "lease_majority",
        "What a node does whose lease ran out because it cannot reach the store: "
        '"keep_serving" its clients, "fence" (close them), or "lease_majority": keep them '
        "while most nodes still answer this one.",
        validator=one_of("lease_majority", "keep_serving", "fence"),
    )
    tls_certificate: str = option(
        "", "PEM file with the certificate chain shown to other nodes; empty: no TLS between nodes."
    )
    tls_key: str = option("", "PEM file with its private key.")
    tls_ca: str = option("", "PEM file with the authorities of the other nodes' certificates.")
