"""Options that bound and shape traffic: limits, proxies, batches, compression."""

from __future__ import annotations

from math import inf
from typing import Any

import attrs
from attrs import frozen

from wsmesh.config.units import format_size, parse_size
from wsmesh.config.values import (
    UNLIMITED,
    ByteSize,
    PerSecond,
    Seconds,
    at_least,
    option,
    quoted,
    within,
)

FRAME_HEAD = 14
"""Bytes of the longest head of a client's frame (RFC 6455 section 5.2)."""


@frozen
class SizeOrUnlimited:
    """Validator: a text is a size of at least so many bytes, or `UNLIMITED`."""

    low: int

    def __call__(self, _: Any, attribute: attrs.Attribute[Any], value: str) -> None:
        """Raise ValueError, saying what was expected, for a value that does not fit."""
        try:
            fits = value == UNLIMITED or parse_size(value) >= self.low
        except ValueError:
            fits = False
        if not fits:
            raise ValueError(f"expected {self.rule(attribute.type)}, found {quoted(value)}")

    def rule(self, _: object) -> str:
        """Return what is allowed."""
        return f'a size such as "64KiB", at least {format_size(self.low)}, or "{UNLIMITED}"'


@frozen(kw_only=True)
class LimitsSection:
    """`[limits]`: bounds against abuse; hits are counted in wsmesh_limit_hits_total."""

    handshake_timeout: Seconds = option(
        Seconds(5.0),
        "From accept to the finished handshake, TLS included; bytes do not extend it.",
        validator=at_least(0.05),
    )
    http_header_count: int = option(64, "Header fields of a request.", validator=at_least(1))
    http_header_line: ByteSize = option(
        ByteSize(8 * 1024), "One header line.", validator=at_least(64)
    )
    http_head_size: ByteSize = option(
        ByteSize(16 * 1024), "The whole request head.", validator=at_least(256)
    )
    http_path_length: ByteSize = option(
        ByteSize(4 * 1024), "Path and query of a request.", validator=at_least(16)
    )
    http_body_size: ByteSize = option(
        ByteSize(4 * 1024 * 1024), "Body of an HTTP API request.", validator=at_least(0)
    )
    message_size: ByteSize = option(
        ByteSize(64 * 1024), "One message from a client, after inflation.", validator=at_least(128)
    )
    fragments: int = option(
        128, "Frames of one message, empty ones included.", validator=at_least(1)
    )
    incomplete_age: Seconds = option(
        Seconds(10.0), "How long a started frame or message may stay unfinished.",
        validator=at_least(0.05),
    )
    control_rate: float = option(10.0, "Pings and pongs per second.", validator=at_least(0.1))
    control_burst: int = option(20, "Pings and pongs in a burst.", validator=at_least(1))
    json_depth: int = option(32, "Nesting of a command's data.", validator=at_least(1))
    json_keys: int = option(256, "Members of the objects of one command.", validator=at_least(1))
    send_queue_bytes: ByteSize = option(
        ByteSize(1024 * 1024), "Unsent bytes of one client before it counts as slow.",
        validator=at_least(1024),
    )
    send_queue_total: ByteSize = option(
        ByteSize(256 * 1024 * 1024),
        "Unsent bytes of all clients together; beyond, those with the most are disconnected.",
        validator=at_least(1024),
    )
    write_timeout: Seconds = option(
        Seconds(5.0), "How long a client may take nothing at all.", validator=at_least(0.05)
    )
    message_rate: float = option(
        100.0, "Commands per second of one connection.", validator=at_least(0.1)
    )
    message_burst: int = option(
        200, "Commands of one connection in a burst.", validator=at_least(1)
    )
    user_message_rate: PerSecond = option(
        PerSecond(inf),
        "Commands per second of one user on all connections and nodes together; anonymous users "
        "are not counted.", validator=at_least(1.0),
    )
    user_message_burst: int = option(
        600, "Commands of one user in a burst.", validator=at_least(1)
    )
    byte_rate: str = option(
        "256KiB", "Bytes per second of one connection, framing included.",
        # Less, and one read of a fast client would be worth more seconds than a pause may take.
        validator=SizeOrUnlimited(8192),
    )
    byte_burst: ByteSize = option(
        ByteSize(512 * 1024),
        "Bytes of one connection in a burst; one message of message_size always fits.",
        validator=at_least(128),
    )
    connects_per_ip: float = option(
        20.0, "New connections per second of one address (IPv6: of one /64).",
        validator=at_least(0.01),
    )
    connects_per_ip_burst: int = option(
        100, "New connections of one address in a burst.", validator=at_least(1)
    )
    max_connections_per_ip: int = option(
        200, "Open connections of one address (IPv6: of one /64).", validator=at_least(1)
    )
    loopback_exempt: bool = option(
        True, "Do not count per-IP limits for 127.0.0.0/8, ::1 and Unix sockets."
    )
    accept_rate: float = option(
        3000.0, "New connections per second of this node; further ones get 503.",
        validator=at_least(1),
    )
    accept_burst: int = option(
        3000, "New connections of this node in a burst; a quarter is for clients that come back.",
        validator=at_least(1),
    )
    unauthenticated_share: float = option(
        0.5, "Share of max_connections that may be open without having connected.",
        validator=within(0.001, 1.0),
    )

    @property
    def bytes_per_second(self) -> int | None:
        """`byte_rate` as a number; None when it is unlimited."""
        return None if self.byte_rate == UNLIMITED else parse_size(self.byte_rate)

    @property
    def bytes_at_once(self) -> int:
        """`byte_burst`, or what the largest message takes in as many frames as it may have."""
        return max(self.byte_burst, self.message_size + FRAME_HEAD * self.fragments)


@frozen(kw_only=True)
class ProxySection:
    """`[proxy]`: load balancers in front of this node."""

    trusted_proxies: tuple[str, ...] = option(
        (),
        "Networks (CIDR) whose X-Forwarded-For and PROXY headers are believed; "
        "empty: these headers are ignored.",
    )
    header_timeout: Seconds = option(
        Seconds(1.0), "How long a required PROXY header may take.", validator=at_least(0.05)
    )


@frozen(kw_only=True)
class BatchSection:
    """`[batch]`: joining messages to one client into one write."""

    delay: Seconds = option(
        Seconds(0.0),
        "How long a message may wait for company; 0 joins only what is ready at once.",
        validator=within(0, 1),
    )
    max_messages: int = option(
        64, "A batch this long goes out at once.", validator=at_least(1)
    )
    max_bytes: ByteSize = option(
        ByteSize(64 * 1024), "A batch this big goes out at once.", validator=at_least(1)
    )


@frozen(kw_only=True)
class CompressionSection:
    """`[compression]`: permessage-deflate (RFC 7692), without context takeover."""

    enabled: bool = option(False, "Accept permessage-deflate when a client offers it.")
    level: int = option(1, "zlib level of what is sent.", validator=within(1, 9))
    min_size: ByteSize = option(
        ByteSize(256), "Smaller messages go out as they are.", validator=at_least(0)
    )
