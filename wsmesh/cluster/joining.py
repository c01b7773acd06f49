"""Joining the cluster that the configuration names: the mesh's socket, its TLS, the terms."""

from __future__ import annotations

import os
import socket
import ssl

import trio

from wsmesh.cluster.actions import Timing
from wsmesh.cluster.mesh.mesh import Peer
from wsmesh.cluster.registry import NodeRegistry
from wsmesh.cluster.terms import Terms
from wsmesh.cluster.verdicts import StoreLoss
from wsmesh.cluster.view import View
from wsmesh.config.addresses import TCPAddress, parse_address
from wsmesh.config.cluster import ClusterSection
from wsmesh.config.cluster_checks import advertised
from wsmesh.config.sections import NodeSection
from wsmesh.errors import ConfigError

SECRET_BYTES = 32


def open_mesh_socket(section: ClusterSection) -> tuple[socket.socket, str]:
    """Open the socket that other nodes connect to; return it and the address to tell them.

    :raises ConfigError: the address cannot be used.
    """
    address = parse_address(section.address)
    assert isinstance(address, TCPAddress)
    sock = socket.socket(socket.AF_INET6 if ":" in address.host else socket.AF_INET)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address.host, address.port))
        sock.listen(256)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        fault = f"cluster.address: cannot listen on {section.address}: {error.strerror}"
        raise ConfigError("configuration", [fault]) from error
    return sock, str(advertised(section, sock.getsockname()[1]))


def listener_of(sock: socket.socket) -> trio.SocketListener:
    """Return a listener for one life: a mesh closes what it listened on, the next one needs it."""
    return trio.SocketListener(trio.socket.from_stdlib_socket(sock.dup()))


def peers_of(view: View) -> dict[str, Peer]:
    """Return where the members of a view accept links; one without a mesh has no place."""
    found = {}
    for node, seen in view.members.items():
        host, _, port = seen.record.mesh.rpartition(":")
        if host and port.isdecimal():
            found[node] = Peer(node, host.strip("[]"), int(port))
    return found


async def shared_secret(registry: NodeRegistry) -> bytes:
    """Return the secret of a cluster that configures none; who asks first proposes it.

    :raises StoreUnavailable: there is no store to ask.
    """
    return await registry.shared_secret(os.urandom(SECRET_BYTES).hex().encode())


async def agree_on_terms(
    node: NodeSection, section: ClusterSection, registry: NodeRegistry
) -> Terms:
    """Return what this member keeps to; without a configured secret it is the store's.

    :raises ConfigError: a TLS file cannot be used.
    :raises StoreUnavailable: there is no secret yet and no store to ask for one.
    """
    secret = section.secret.value.encode() or await shared_secret(registry)
    server_tls, client_tls = _tls(section)
    return Terms(
        beat=node.heartbeat_interval,
        lease=node.node_timeout,
        accusers=section.accusers,
        on_store_loss=StoreLoss(section.on_store_loss),
        timing=Timing(
            interval=section.probe_interval, timeout=section.probe_timeout,
            misses=section.probe_misses, lease=node.node_timeout,
        ),
        secret=secret,
        server_tls=server_tls,
        client_tls=client_tls,
    )


def _tls(section: ClusterSection) -> tuple[ssl.SSLContext | None, ssl.SSLContext | None]:
    """Return the contexts for accepting and for dialling; both sides show their certificates."""
    if not section.tls_certificate:
        return None, None
    try:
        server = ssl.create_default_context(
            ssl.Purpose.CLIENT_AUTH, cafile=section.tls_ca or None
        )
        client = ssl.create_default_context(
            ssl.Purpose.SERVER_AUTH, cafile=section.tls_ca or None
        )
        server.verify_mode = ssl.CERT_REQUIRED
        for context in (server, client):
            context.load_cert_chain(section.tls_certificate, section.tls_key)
    except (OSError, ssl.SSLError) as error:
        fault = f"cluster.tls_certificate: cannot use the files of the mesh's TLS: {error}"
        raise ConfigError("configuration", [fault]) from error
    return server, client
