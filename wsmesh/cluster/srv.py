"""Nodes as DNS records, for clients that look up where to connect (RFC 2782).

Lines of a zone file (RFC 1035 section 5): an SRV record for each node that takes clients, and an
address record where a node is known by its address, because a target must be a name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address

from balancers.interface import Member

_NAME = re.compile(r"_[A-Za-z0-9-]{1,62}\._(?:tcp|TCP)((?:\.[A-Za-z0-9_-]{1,63})+)\.?")


def zone_lines(members: Iterable[Member], name: str, ttl: int) -> list[str]:
    """Return the lines of a zone file.

    :param name: owner of the SRV records, `_service._tcp.domain`.
    :param ttl: seconds that resolvers keep them.
    :raises ValueError: it is no such name.
    """
    matched = _NAME.fullmatch(name)
    if matched is None:
        raise ValueError(f'expected a name such as "_wsmesh._tcp.chat.example", found "{name}"')
    owner, domain = f"{name.rstrip('.')}.", matched[1].lstrip(".")
    placed = sorted(
        (member for member in members if member.is_eligible and member.address),
        key=lambda member: member.id,
    )
    heaviest = max((member.weight for member in placed), default=1.0)
    services, addresses = [], []
    for member in placed:
        host, _, port = member.address.rpartition(":")
        target, record = _target(host.strip("[]"), member.id, domain)
        # Relative to each other is all that counts; 0 would mean hardly ever.
        weight = max(1, round(member.weight / heaviest * 100))
        services.append(f"{owner} {ttl} IN SRV 0 {weight} {port} {target}")
        if record:
            addresses.append(f"{target} {ttl} IN {record}")
    return services + sorted(set(addresses))


def _target(host: str, node: str, domain: str) -> tuple[str, str]:
    """Return a node's host name, and its address record where it has none."""
    try:
        address = ip_address(host)
    except ValueError:
        return f"{host.rstrip('.')}.", ""
    label = re.sub(r"[^a-z0-9-]+", "-", node.rpartition("/")[0].lower() or node.lower())[:63]
    return f"{label.strip('-')}.{domain}.", f"{'A' if address.version == 4 else 'AAAA'} {address}"
