"""What is wrong with `[cluster]` although each option is right by itself."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from wsmesh.config.addresses import TCPAddress, parse_address
from wsmesh.config.cluster import ClusterSection
from wsmesh.config.faults import Fault
from wsmesh.config.units import format_duration
from wsmesh.config.values import quoted


def cluster_faults(cluster: ClusterSection) -> Iterator[Fault]:
    """Yield the faults of `[cluster]`."""
    yield from _address_faults(cluster)
    if cluster.probe_timeout > cluster.probe_interval:
        yield Fault(
            "cluster.probe_timeout",
            "expected at most cluster.probe_interval, "
            f"{format_duration(cluster.probe_interval)}, "
            f"found {format_duration(cluster.probe_timeout)}",
            ("cluster.probe_interval",),
        )
    yield from _tls_faults(cluster)


def advertised(cluster: ClusterSection, port: int) -> TCPAddress:
    """Return where other nodes reach this one.

    :param port: that the mesh listens on, which the kernel may have chosen.
    :raises ValueError: `cluster.address` or `cluster.advertise` is no address.
    """
    host = _tcp(cluster.address).host
    if not cluster.advertise:
        return TCPAddress(host, port)
    try:
        given = _tcp(cluster.advertise)
    except ValueError:
        given = _tcp(f"{cluster.advertise}:0")
    return TCPAddress(given.host, given.port or port)


def _address_faults(cluster: ClusterSection) -> Iterator[Fault]:
    try:
        _tcp(cluster.address)
    except ValueError as exc:
        yield Fault("cluster.address", str(exc))
        return
    try:
        reached = advertised(cluster, 0)
    except ValueError:
        yield Fault(
            "cluster.advertise",
            'expected HOST or HOST:PORT such as "10.0.0.5" or "node-1.internal:7400", '
            f"found {quoted(cluster.advertise)}",
        )
        return
    if _is_any(reached.host):
        yield Fault(
            "cluster.advertise",
            f"expected an address that other nodes can reach, found {quoted(reached.host)}",
            ("cluster.address",),
        )


def _tls_faults(cluster: ClusterSection) -> Iterator[Fault]:
    if bool(cluster.tls_certificate) != bool(cluster.tls_key):
        lacking = "tls_key" if cluster.tls_certificate else "tls_certificate"
        yield Fault(
            f"cluster.{lacking}", "expected a file: a certificate and its key go together",
            ("cluster.tls_certificate", "cluster.tls_key"),
        )
    elif cluster.tls_certificate and not cluster.tls_ca:
        yield Fault(
            "cluster.tls_ca",
            "expected a PEM file, because cluster.tls_certificate is set, found none",
            ("cluster.tls_certificate",),
        )
    elif cluster.tls_ca and not cluster.tls_certificate:
        yield Fault(
            "cluster.tls_ca", "expected nothing: cluster.tls_certificate is not set",
            ("cluster.tls_certificate",),
        )


def _tcp(text: str) -> TCPAddress:
    address = parse_address(text)
    if not isinstance(address, TCPAddress):
        raise ValueError(f"expected HOST:PORT, found {quoted(text)}")
    return address


def _is_any(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
