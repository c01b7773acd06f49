"""Addresses that a client connects to."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit


def split(url: str) -> SplitResult:
    """Return the parts of a WebSocket URL.

    :raises ValueError: the scheme is not `ws` or `wss`, or the host is missing.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise ValueError(f"expected ws://host... or wss://host..., found {url!r}")
    return parts


def at_node(url: str, base: str) -> str:
    """Return `url` with the scheme, host and port of a node's own, or as it is for nonsense."""
    try:
        node = split(base)
    except ValueError:
        return url
    return split(url)._replace(scheme=node.scheme, netloc=node.netloc).geturl()
