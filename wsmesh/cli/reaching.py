"""Where the node of a configuration is reached from this machine."""

from __future__ import annotations

import click

from wsmesh.config.addresses import TCPAddress, parse_address
from wsmesh.config.sections import Config

_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def base_url(config: Config, scheme: str) -> str:
    """Return `scheme://host:port` of the first TCP listener; `https` and `wss` where it has TLS.

    Raises click.UsageError when no listener has a port that can be known.
    """
    for listener in config.listeners:
        address = parse_address(listener.address)
        if isinstance(address, TCPAddress) and address.port:
            host = _ANY.get(address.host, address.host)
            secure = "s" if listener.tls else ""
            return f"{scheme}{secure}://{TCPAddress(host, address.port)}"
    raise click.UsageError("the configuration has no TCP listener with a known port: give --url")
