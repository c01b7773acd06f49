"""Where the nodes of a cluster meet: `[redis]`."""

from __future__ import annotations

from attrs import frozen

from wsmesh.config.values import ByteSize, Seconds, Secret, at_least, option


@frozen(kw_only=True)
class RedisSection:
    """`[redis]`: the store that the nodes of a cluster share; without it a node stands alone."""

    url: str = option(
        "",
        'Where Redis (7.0 or later) or Valkey is: "redis://HOST:PORT/DB", "rediss://..." (TLS), '
        '"unix:///PATH", "redis+sentinel://HOST:PORT,HOST:PORT/SERVICE", '
        '"redis+cluster://HOST:PORT,HOST:PORT", "rediss+cluster://..."; "embedded": one that the '
        "nodes of this host start and share; empty: everything in this process's memory.",
    )
    username: str = option("", "ACL user; empty: the default user, or the one in the URL.")
    password: Secret = option(Secret(), "Password of the user.")
    sentinel_username: str = option("", "ACL user at the sentinels.")
    sentinel_password: Secret = option(Secret(), "Password at the sentinels.")
    tls_ca: str = option("", "PEM file with the authorities to trust; empty: the system's.")
    tls_certificate: str = option("", "PEM file with our certificate, when Redis asks for one.")
    tls_key: str = option("", "PEM file with its key.")
    tls_server_name: str = option("", "Name in Redis's certificate; empty: the host's.")
    prefix: str = option("wsmesh", "First part of every key and channel; one for each cluster.")
    partitions: int = option(
        128, "Into how many parts channels are divided; the same on every node.",
        validator=at_least(1),
    )
    timeout: Seconds = option(
        Seconds(1.0), "How long an operation may take.", validator=at_least(0.01)
    )
    connect_timeout: Seconds = option(
        Seconds(1.0), "How long a connection may take to open.", validator=at_least(0.01)
    )
    max_in_flight: int = option(
        10_000, "Operations of one connection that may be on their way.", validator=at_least(1)
    )
    max_buffer: ByteSize = option(
        ByteSize(16 * 1024 * 1024), "Bytes that may wait to be sent to Redis.",
        validator=at_least(1024),
    )
    min_replicas: int = option(
        1, 'Replicas that must have a publication of a channel with durability = "replicated".',
        validator=at_least(1),
    )
    durability_timeout: Seconds = option(
        Seconds(1.0), "How long replicas and disks may take to confirm.", validator=at_least(0.01)
    )
    embedded_dir: str = option(
        "", 'Data directory of the embedded server; empty: below the user\'s state directory.'
    )
