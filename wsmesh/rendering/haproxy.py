"""HAProxy 2.6 and later (its configuration manual): `render haproxy`."""

from __future__ import annotations

from collections.abc import Sequence

from balancers import KEYED
from wsmesh.config.addresses import TCPAddress
from wsmesh.config.sections import Config
from wsmesh.rendering.upstream import (
    Rendered,
    Upstream,
    always_lost,
    comment,
    keys,
    needs_key,
    silence,
    weights,
)

_ALGORITHMS = {
    "p2c": "random(2)",
    "least_connections": "leastconn",
    "least_load": "leastconn",
    "peak_ewma": "leastconn",
    "random": "random(1)",
    "round_robin": "roundrobin",
    "weighted_round_robin": "roundrobin",
    "first": "first",
}

_TEMPLATE = """\
{comment}
global
    maxconn {total}

defaults
    mode http
    timeout connect {connect}
    timeout http-request {head}
    timeout client {silence}
    timeout server {silence}
    timeout tunnel {silence}
    option redispatch 1
    retries 3
    retry-on conn-failure 503

frontend clients
    bind {listen}
    option forwardfor
    http-request set-header X-Forwarded-Proto https if {{ ssl_fc }}
    http-request set-header X-Forwarded-Proto http if !{{ ssl_fc }}
{keys}    default_backend nodes

backend nodes
{balance}{checks}    default-server {options}
{servers}
"""

_CHECKS = """\
    option httpchk
    http-check send meth GET uri /health/accepting
    http-check expect status 200
"""


def haproxy(config: Config, upstreams: Sequence[Upstream], listen: TCPAddress) -> Rendered:
    """Return an haproxy.cfg.

    :param listen: where clients connect.
    """
    lost = always_lost(config)
    strategy = config.balancer.strategy
    if strategy == "peak_ewma":
        lost.append("peak_ewma: slow handshakes do not count, connections do")
    if strategy == "least_load" and not config.agent_check.address:
        lost.append("least_load: set [agent_check] address, so that the health score counts")
    if strategy not in _ALGORITHMS and strategy not in KEYED:
        lost.append(f"{strategy} is unknown to HAProxy: clients go to the fewest connections")
    if strategy in KEYED:
        lost.append("keys belong to other nodes than with the gateway: its hash is another")
    if config.balancer.outlier_ejection.enabled:
        lost.append("[balancer.outlier_ejection]: only health checks take a node out")
    found = _keys(config, lost) if needs_key(config, KEYED) else ""
    options = _server_options(config)
    servers = [
        f"    server {each.name} {each.address} weight {weight}"
        + (f" cookie {each.name}" if config.affinity.cookie else "")
        for each, weight in zip(upstreams, weights(upstreams), strict=True)
    ]
    if config.affinity.cookie:
        lost.append("[affinity] cookie holds the node's name, and is not signed")
    text = _TEMPLATE.format(
        comment=comment(lost, "haproxy"), total=config.node.max_connections * len(upstreams),
        connect=_milliseconds(config.gateway.connect_timeout),
        head=_milliseconds(config.limits.handshake_timeout),
        silence=_milliseconds(silence(config)), listen=_bind(config, listen), keys=found,
        balance=_balance(config), checks=_CHECKS if config.health.enabled else "",
        options=options, servers="\n".join(servers),
    )
    return Rendered(text, tuple(lost))


def _milliseconds(seconds: float) -> str:
    return f"{max(1, round(seconds * 1000))}ms"


def _bind(config: Config, listen: TCPAddress) -> str:
    if not config.tls.certificate:
        return str(listen)
    # HAProxy reads the key from the same file, or from the file of this name with ".key".
    return f"{listen} ssl crt {config.tls.certificate} ssl-min-ver TLSv{config.tls.minimum_version}"


def _keys(config: Config, lost: list[str]) -> str:
    affinity = config.affinity
    lines = []
    for kind, name in keys(config):
        match kind:
            case "ip":
                found = f"src,ipmask({affinity.ipv4_prefix},{affinity.ipv6_prefix})"
            case "header":
                found = f"req.hdr({name})"
            case "cookie":
                found = f"req.cook({name})"
            case "query":
                found = f"url_param({name})"
            case _:
                found = f"http_auth_bearer,jwt_payload_query('$.{name}')"
                lost.append(f"claim:{name} is taken from tokens that nobody has verified")
        lines.append(f"    http-request set-var(txn.key,ifnotexists) {found}\n")
    return "".join(lines)


def _balance(config: Config) -> str:
    balancer, affinity = config.balancer, config.affinity
    if balancer.strategy in KEYED:
        lines = ["balance hash var(txn.key)", "hash-type consistent sdbm avalanche"]
        if balancer.strategy == "bounded_load":
            factor = float(balancer.options.get("balance_factor", 1.25))
            lines.append(f"hash-balance-factor {max(101, round(factor * 100))}")
    else:
        lines = [f"balance {_ALGORITHMS.get(balancer.strategy, 'leastconn')}"]
    if balancer.sticky.enabled:
        lines += [
            f"stick-table type string len 128 size {balancer.sticky.max_entries} "
            f"expire {_milliseconds(balancer.sticky.ttl)}",
            "stick on var(txn.key)",
        ]
    if affinity.cookie:
        secure = " secure" if affinity.cookie_secure == "always" or config.tls.certificate else ""
        same_site = affinity.cookie_same_site.capitalize()
        lines.append(
            f"cookie {affinity.cookie} insert indirect nocache httponly{secure} "
            f"attr SameSite={same_site}"
        )
    return "".join(f"    {line}\n" for line in lines)


def _server_options(config: Config) -> str:
    options = ["check inter 1s fall 2 rise 1", f"maxconn {config.node.max_connections}"]
    if config.agent_check.address:
        port = config.agent_check.address.rpartition(":")[2]
        options.append(f"agent-check agent-port {port} agent-inter 1s")
    if config.balancer.slow_start.enabled and config.balancer.slow_start.window:
        options.append(f"slowstart {_milliseconds(config.balancer.slow_start.window)}")
    if any(each.proxy_protocol == "required" for each in config.listeners):
        options.append("send-proxy-v2 check-send-proxy")
    if any(each.tls for each in config.listeners):
        # The nodes' certificate is for the name that clients use.
        options.append("ssl verify none")
    return " ".join(options)
