"""Whose address counts: behind trusted proxies, and as the key of per-address limits.

Addresses are text in their shortest form; "" is the peer of a Unix socket.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from wsmesh.errors import ConfigError

_IPV6_KEY_BITS = 64  # what one customer has: an attacker changes the rest at will


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    """Read an address, with or without port; IPv4 inside IPv6 (RFC 4291 2.5.5.2) is unwrapped."""
    if text.startswith("["):
        text, closed, rest = text[1:].partition("]")
        if not closed or (rest and not rest[1:].isdecimal()) or rest[:1] not in ("", ":"):
            return None
    elif text.count(":") == 1:
        text, _, port = text.partition(":")
        if not port.isdecimal():
            return None
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


class TrustedProxies:
    """The networks whose X-Forwarded-For and PROXY headers are believed.

    :param networks: CIDR networks, single addresses, or "unix" for peers on Unix sockets.
    :raises ConfigError: naming every entry that is none of these.
    """

    def __init__(self, networks: Sequence[str], *, path: str = "proxy.trusted_proxies") -> None:
        self._networks: list[IPv4Network | IPv6Network] = []
        self._unix = "unix" in networks
        faults = []
        for text in networks:
            if text == "unix":
                continue
            try:
                self._networks.append(ip_network(text))
            except ValueError:
                faults.append(f'{path}: expected a network such as 10.0.0.0/8, found "{text}"')
        if faults:
            raise ConfigError("configuration", faults)

    def __bool__(self) -> bool:
        return self._unix or bool(self._networks)

    def __contains__(self, address: str) -> bool:
        if not address:
            return self._unix
        if not self._networks:
            return False
        parsed = _parse(address)
        return parsed is not None and self._holds(parsed)

    def _holds(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self._networks)

    def client_of(self, peer: str, hops: Iterator[str]) -> str:
        """Walk from `peer` through `hops`, nearest first, to the first that is not trusted."""
        client = peer
        for hop in hops:
            address = _parse(hop)
            if address is None:
                return peer
            client = str(address)
            if not self._holds(address):
                break
        return client


def client_address(peer: str, forwarded_for: Sequence[str], trusted: TrustedProxies) -> str:
    """Find the client's address: right to left through X-Forwarded-For while hops are trusted.

    The peer itself when it is not trusted, when there is no header, or when a hop on the way
    cannot be read; what lies left of the first untrusted hop was written by the client.

    :param peer: the socket's remote address.
    :param forwarded_for: values of all X-Forwarded-For headers, in order.
    """
    if not forwarded_for or peer not in trusted:
        return peer
    hops = (hop.strip() for value in reversed(forwarded_for) for hop in reversed(value.split(",")))
    return trusted.client_of(peer, hops)


@lru_cache(maxsize=16_384)
def network_of(address: str) -> str:
    """Give the key for limits per address: an IPv4 address itself, the /64 of an IPv6 address.

    "" for a Unix socket; text that is no address is its own key.
    """
    if ":" not in address:
        return address
    parsed = _parse(address)
    if parsed is None:
        return address
    if isinstance(parsed, IPv4Address):
        return str(parsed)
    host_bits = 128 - _IPV6_KEY_BITS
    return f"{IPv6Address(int(parsed) >> host_bits << host_bits)}/{_IPV6_KEY_BITS}"


@lru_cache(maxsize=16_384)
def is_local(address: str) -> bool:
    """Whether it is 127.0.0.0/8, ::1 or a Unix socket."""
    if not address:
        return True
    parsed = _parse(address)
    return parsed is not None and parsed.is_loopback
