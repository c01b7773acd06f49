"""Checks across options: listeners, TLS, proxies, origins, and what dev mode demands."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from wsmesh.config.addresses import Address, TCPAddress, parse_address
from wsmesh.config.faults import Fault
from wsmesh.config.sections import Config
from wsmesh.config.values import quoted

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?"
_ORIGIN = re.compile(
    rf"[a-z][a-z0-9+.-]*://(?:(?:\*\.)?{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:.]{{2,45}}\])(?::[0-9]{{1,5}})?",
    re.IGNORECASE | re.ASCII,
)


def listener_faults(config: Config) -> Iterator[Fault]:
    """Yield what is wrong with where and how the node listens."""
    if config.agent_check.address:
        try:
            where = parse_address(config.agent_check.address)
            if not isinstance(where, TCPAddress):
                yield Fault("agent_check.address", f"expected HOST:PORT, found {where}")
        except ValueError as exc:
            yield Fault("agent_check.address", str(exc))
    if not config.listeners:
        yield Fault("listeners", "expected at least one listener, found none")
    seen: dict[Address, int] = {}
    for position, listener in enumerate(config.listeners):
        path = f"listeners[{position}].address"
        try:
            address = parse_address(listener.address)
        except ValueError as exc:
            yield Fault(path, str(exc))
            continue
        chosen_by_kernel = isinstance(address, TCPAddress) and address.port == 0
        if address in seen and not chosen_by_kernel:
            yield Fault(path, f"expected an address of its own, found that of "
                              f"listeners[{seen[address]}]: {address}")
        seen.setdefault(address, position)
        if config.node.dev and not address.is_loopback:
            yield Fault(
                path,
                "expected a loopback address such as 127.0.0.1, because dev mode lets everybody "
                f"in, found {address}",
                ("node.dev",),
            )


def tls_faults(config: Config) -> Iterator[Fault]:
    """Yield what a listener with `tls = true` lacks."""
    wanting = [n for n, listener in enumerate(config.listeners) if listener.tls]
    for name in ("certificate", "key"):
        if wanting and not getattr(config.tls, name):
            first = f"listeners[{wanting[0]}].tls"
            yield Fault(f"tls.{name}", f"expected a PEM file, because {first} is true, found none",
                        (first,))


def proxy_faults(config: Config) -> Iterator[Fault]:
    """Yield networks of proxies that are none."""
    for position, text in enumerate(config.proxy.trusted_proxies):
        try:
            ipaddress.ip_network(text)
        except ValueError:
            yield Fault(
                f"proxy.trusted_proxies[{position}]",
                f'expected a network such as "10.0.0.0/8" or "::1/128", found {quoted(text)}'
                f"{_meant_network(text)}",
            )


def origin_faults(config: Config) -> Iterator[Fault]:
    """Yield entries of allowed_origins that no browser's Origin could equal."""
    for position, text in enumerate(config.client.allowed_origins):
        if text not in ("*", "null") and not _ORIGIN.fullmatch(text):
            yield Fault(
                f"client.allowed_origins[{position}]",
                'expected "*" or SCHEME://HOST[:PORT] without a path, such as '
                f'"https://app.example.com" or "https://*.example.com", found {quoted(text)}',
            )


def api_faults(config: Config) -> Iterator[Fault]:
    """Yield doors that are open without a key."""
    if config.http_api.insecure and not config.node.dev:
        yield Fault("http_api.insecure", "expected false outside dev mode, found true",
                    ("node.dev",))


def _meant_network(text: str) -> str:
    try:
        return f", did you mean {ipaddress.ip_network(text, strict=False)}?"
    except ValueError:
        return ""
