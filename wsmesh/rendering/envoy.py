"""Envoy, API v3, as JSON, which it reads like YAML: `render envoy`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from balancers import KEYED
from wsmesh.config.addresses import TCPAddress
from wsmesh.config.sections import Config
from wsmesh.rendering.upstream import (
    Rendered,
    Upstream,
    always_lost,
    keys,
    needs_key,
    silence,
    weights,
)

_TYPES = "type.googleapis.com/envoy.extensions"
_POLICIES = {
    "p2c": "LEAST_REQUEST",
    "least_connections": "LEAST_REQUEST",
    "least_load": "LEAST_REQUEST",
    "peak_ewma": "LEAST_REQUEST",
    "random": "RANDOM",
    "round_robin": "ROUND_ROBIN",
    "weighted_round_robin": "ROUND_ROBIN",
    "maglev": "MAGLEV",
    **dict.fromkeys(("rendezvous", "ring_hash", "multi_probe", "bounded_load"), "RING_HASH"),
}


def envoy(config: Config, upstreams: Sequence[Upstream], listen: TCPAddress) -> Rendered:
    """Return a bootstrap configuration.

    :param listen: where clients connect.
    """
    balancer = config.balancer
    lost = always_lost(config)
    if balancer.strategy == "first":
        lost.append("first: nodes are filled evenly, because Envoy does not pack")
    if balancer.strategy in ("rendezvous", "multi_probe", "bounded_load"):
        lost.append(f"{balancer.strategy}: Envoy places keys by a ring")
    if balancer.strategy in ("least_connections", "least_load", "peak_ewma"):
        lost.append(f"{balancer.strategy}: the less loaded of two nodes drawn at random")
    if balancer.strategy not in _POLICIES and balancer.strategy != "first":
        lost.append(f"{balancer.strategy} is unknown to Envoy: the less loaded of two is taken")
    if balancer.strategy in KEYED:
        lost.append("keys belong to other nodes than with the gateway: its hash is another")
    if balancer.sticky.enabled and balancer.strategy not in KEYED:
        lost.append("[balancer.sticky]: Envoy has no such memory; keys are placed by a ring")
    if any(each.proxy_protocol == "required" for each in config.listeners):
        lost.append("proxy_protocol: set it to off, Envoy sends X-Forwarded-For")
    if config.affinity.cookie:
        lost.append("[affinity] cookie is not signed: whoever writes one chooses a node")
    lost.append("the health score does not count, only whether a node takes clients")
    made = {
        "static_resources": {
            "listeners": [_listener(config, listen, lost)],
            "clusters": [_cluster(config, upstreams)],
        }
    }
    return Rendered(json.dumps(made, indent=2) + "\n", tuple(lost))


def _listener(config: Config, listen: TCPAddress, lost: list[str]) -> dict[str, Any]:
    route: dict[str, Any] = {
        "cluster": "nodes",
        "timeout": "0s",
        "retry_policy": {
            "retry_on": "connect-failure,refused-stream,retriable-status-codes",
            "retriable_status_codes": [503],
            "num_retries": config.gateway.attempts - 1,
            "host_selection_retry_max_attempts": "3",
            "retry_host_predicate": [{
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": {
                    "@type": f"{_TYPES}.retry.host.previous_hosts.v3.PreviousHostsPredicate"
                },
            }],
        },
    }
    if needs_key(config, KEYED) or config.affinity.cookie:
        route["hash_policy"] = _hash_policy(config, lost)
    manager = {
        "@type": f"{_TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "wsmesh",
        "use_remote_address": True,
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "request_headers_timeout": f"{config.limits.handshake_timeout:g}s",
        "stream_idle_timeout": f"{silence(config):g}s",
        "route_config": {
            "name": "nodes",
            "virtual_hosts": [{
                "name": "all",
                "domains": ["*"],
                "routes": [{"match": {"prefix": "/"}, "route": route}],
            }],
        },
        "http_filters": [{
            "name": "envoy.filters.http.router",
            "typed_config": {"@type": f"{_TYPES}.filters.http.router.v3.Router"},
        }],
    }
    chain: dict[str, Any] = {
        "filters": [{
            "name": "envoy.filters.network.http_connection_manager", "typed_config": manager,
        }]
    }
    if config.tls.certificate:
        chain["transport_socket"] = _server_tls(config)
    return {"name": "clients", "address": _address(listen), "filter_chains": [chain]}


def _server_tls(config: Config) -> dict[str, Any]:
    version = "TLSv1_3" if config.tls.minimum_version == "1.3" else "TLSv1_2"
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": f"{_TYPES}.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": {
                "tls_params": {"tls_minimum_protocol_version": version},
                "tls_certificates": [{
                    "certificate_chain": {"filename": config.tls.certificate},
                    "private_key": {"filename": config.tls.key},
                }],
            },
        },
    }


def _hash_policy(config: Config, lost: list[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for kind, name in keys(config):
        match kind:
            case "ip":
                found.append({"connection_properties": {"source_ip": True}})
                lost.append("ip: all of an address counts, not ipv4_prefix and ipv6_prefix bits")
            case "header":
                found.append({"header": {"header_name": name}})
            case "cookie":
                found.append({"cookie": {"name": name}})
            case "query":
                found.append({"query_parameter": {"name": name}})
            case _:
                lost.append(f"claim:{name}: a key in a token needs Envoy's JWT filter")
    if config.affinity.cookie:
        age = config.affinity.cookie_max_age
        found.append(
            {"cookie": {"name": config.affinity.cookie, "ttl": f"{age:g}s", "path": "/"}}
        )
    # The first that a request has counts.
    return [{**each, "terminal": True} for each in found]


def _cluster(config: Config, upstreams: Sequence[Upstream]) -> dict[str, Any]:
    balancer, most = config.balancer, config.node.max_connections * max(1, len(upstreams))
    policy = _POLICIES.get(balancer.strategy, "LEAST_REQUEST")
    if policy not in ("RING_HASH", "MAGLEV") and (
        needs_key(config, KEYED) or config.affinity.cookie
    ):
        policy = "RING_HASH"
    common: dict[str, Any] = {
        "healthy_panic_threshold": {
            "value": balancer.panic.threshold * 100 if balancer.panic.enabled else 0
        }
    }
    if balancer.strategy == "bounded_load":
        factor = float(balancer.options.get("balance_factor", 1.25))
        common["consistent_hashing_lb_config"] = {"hash_balance_factor": round(factor * 100)}
    made: dict[str, Any] = {
        "name": "nodes",
        "type": "STRICT_DNS",
        "connect_timeout": f"{config.gateway.connect_timeout:g}s",
        "lb_policy": policy,
        "common_lb_config": common,
        # Envoy's own default is 1024 of each.
        "circuit_breakers": {"thresholds": [{
            "max_connections": most, "max_pending_requests": most, "max_requests": most,
        }]},
        "health_checks": [{
            "timeout": "1s", "interval": "1s", "unhealthy_threshold": 2, "healthy_threshold": 1,
            **(
                {"http_health_check": {"path": "/health/accepting"}}
                if config.health.enabled else {"tcp_health_check": {}}
            ),
        }],
        "load_assignment": {
            "cluster_name": "nodes",
            "endpoints": [{"lb_endpoints": [
                {"endpoint": {"address": _address(each.address)}, "load_balancing_weight": weight}
                for each, weight in zip(upstreams, weights(upstreams), strict=True)
            ]}],
        },
    }
    ejection = balancer.outlier_ejection
    if ejection.enabled:
        made["outlier_detection"] = {
            "consecutive_5xx": ejection.consecutive_failures,
            "base_ejection_time": f"{ejection.base_ejection_time:g}s",
            "max_ejection_time": f"{ejection.max_ejection_time:g}s",
            "max_ejection_percent": round(ejection.max_ejection_percent),
        }
    if any(each.tls for each in config.listeners):
        made["transport_socket"] = {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {"@type": f"{_TYPES}.transport_sockets.tls.v3.UpstreamTlsContext"},
        }
    if balancer.slow_start.enabled and policy in ("LEAST_REQUEST", "ROUND_ROBIN"):
        kind = "least_request" if policy == "LEAST_REQUEST" else "round_robin"
        made[f"{kind}_lb_config"] = {
            "slow_start_config": {"slow_start_window": f"{balancer.slow_start.window:g}s"}
        }
    return made


def _address(address: TCPAddress) -> dict[str, Any]:
    host = address.host.strip("[]")
    return {"socket_address": {"address": host, "port_value": address.port}}
